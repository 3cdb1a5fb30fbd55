"""What the libvirt driver is told, and where it keeps things."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aerostat.kernel.errors import DriverError

# sockaddr_un.sun_path has 108 bytes, one of which ends it.
MAX_SOCKET_PATH = 107


@dataclass(frozen=True)
class LibvirtSettings:
    """`state` holds everything of this host: cache, disks, logs, consoles and libvirt's own files.

    `uri` "embed" runs libvirt inside this process, with one state folder for the life of the process;
    anything else is a libvirt URI (`qemu:///system`), whose QEMU must be allowed to write below `state`.
    `accelerator` "auto" proves KVM and falls back to TCG. `host_name` is the machine's own if empty.
    `client`: user and group ids of the process that carries consoles to browsers, when it is not root.

    `shared_instances`: where the domains' files are instead, when other hosts have them there too; their sockets
    stay below `state`. `address` is where other hosts reach this one: what a migration is sent to, by the libvirt that
    answers at `landing_uri` (empty: nobody comes).

    `qemu_as_root`: libvirt is the machine's own and would run QEMU as somebody who may not go where our files are.
    """

    state: Path
    uri: str = "embed"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    host_name: str = ""
    client: tuple[int, int] | None = None
    shared_instances: Path | None = None
    address: str = ""
    landing_uri: str = ""
    qemu_as_root: bool = False

    @property
    def own_name(self) -> str:
        return self.host_name or platform.node()

    @property
    def embedded(self) -> bool:
        return self.uri == "embed"

    @property
    def libvirt_root(self) -> Path:
        return self.state / "libvirt"

    @property
    def images(self) -> Path:
        """The cache. Best on the same file system as `instances`: disks then hold hard links to what is in it."""
        return self.state / "images"

    @property
    def instances(self) -> Path:
        return self.shared_instances or self.state / "instances"

    def folder(self, domain_id: str) -> "DomainFolder":
        own = self.shared_instances is None
        return DomainFolder(self.instances / domain_id, None if own else self.state / "sockets" / domain_id)

    def check(self) -> None:
        """Raise if the paths of sockets below `state` would be too long for the kernel."""
        longest = self.folder("0" * 36).serial_socket
        if len(str(longest.absolute())) > MAX_SOCKET_PATH:
            raise DriverError(
                "The state folder's path is too long for the consoles' sockets.",
                detail=f"{longest} has more than {MAX_SOCKET_PATH} characters",
            )


@dataclass(frozen=True)
class DomainFolder:
    """The files of one domain, by fixed names: who knows the id finds them.

    `apart`: where its sockets are, when the other files are on storage that several hosts share.
    """

    path: Path
    apart: Path | None = None

    @property
    def sockets(self) -> Path:
        return self.apart or self.path

    @property
    def owner(self) -> Path:
        """Names the host to which the files belong."""
        return self.path / "owner"

    @property
    def root_disk(self) -> Path:
        return self.path / "disk.qcow2"

    @property
    def base(self) -> Path:
        """A hard link to the base image, so that emptying the cache harms nobody."""
        return self.path / "base"

    def ephemeral(self, index: int) -> Path:
        return self.path / f"ephemeral{index}.raw"

    @property
    def swap(self) -> Path:
        return self.path / "swap.raw"

    @property
    def config_drive(self) -> Path:
        return self.path / "config.iso"

    @property
    def rescue_disk(self) -> Path:
        """What the domain boots from while it is being rescued."""
        return self.path / "rescue.qcow2"

    @property
    def rescue_base(self) -> Path:
        return self.path / "rescue-base"

    @property
    def exports(self) -> Path:
        """Copies of the root disk, see `exports.py`."""
        return self.path / "exports"

    @property
    def console_log(self) -> Path:
        return self.path / "console.log"

    @property
    def serial_socket(self) -> Path:
        return self.sockets / "serial.sock"

    @property
    def vnc_socket(self) -> Path:
        return self.sockets / "vnc.sock"

    @property
    def agent_socket(self) -> Path:
        return self.sockets / "agent.sock"
