"""A cloud of two hosts of one machine for tests, with what its stories ask of it and of the world below."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aerostat.kernel.namespaces import list_processes
from aerostat.kernel.state_folder import write_private
from tests.contracts.move_worlds import why_no_libvirtd
from tests.metal.real_cloud import RealCloud, why_no_real_cloud
from tests.waiting import eventually

BOOT_LIMIT_S = 180.0
MOVE_LIMIT_S = 120.0


def why_no_two_hosts() -> str:
    """Why two hosts cannot be made here; empty when they can."""
    return why_no_real_cloud() or why_no_libvirtd()


class TwoHosts:
    """A cloud of two hosts with what the stories ask of it."""

    def __init__(self, path: Path, settings: str) -> None:
        self.cloud = RealCloud(path / "s", home=path)
        self.cloud.folder.create()
        write_private(self.cloud.folder.settings, settings)
        self.cloud.up("--hosts", "2")
        self.demo, self.admin = self.cloud.connect("demo"), self.cloud.connect("admin")
        self.hosts = sorted(one.host for one in self.admin.compute.services())
        self.key = path / "key.pem"
        self.key.touch(mode=0o600)
        self.key.write_text(self.demo.compute.create_keypair(name="key").private_key)
        self.group = self.demo.network.create_security_group(name="reach")
        for protocol in ("tcp", "icmp"):
            self.demo.network.create_security_group_rule(
                security_group_id=self.group.id, direction="ingress", protocol=protocol, ether_type="IPv4"
            )

    def server(self, name: str, **more: Any) -> Any:
        """A server that is ACTIVE, with a floating IP."""
        server = self.demo.create_server(
            name,
            image=self.demo.image.find_image("aerostat-test"),
            flavor=self.demo.compute.find_flavor("m1.nano"),
            network=["private"],
            key_name="key",
            security_groups=[self.group.name],
            auto_ip=False,
            wait=True,
            timeout=60,
            **more,
        )
        port = next(self.demo.network.ports(device_id=server.id))
        external = self.demo.network.find_network("public")
        self.demo.network.create_ip(floating_network_id=external.id, port_id=port.id)
        return server

    def host_of(self, server: Any) -> str:
        return str(self.admin.compute.get_server(server.id).compute_host)

    def ssh(self, name: str, command: str) -> str:
        """What the command printed in the guest, empty if the guest was not reached in time."""
        try:
            words = (name, "-i", str(self.key), "--", command)
            return self.cloud.run("ssh", *words, limit_s=30, check=False)
        except subprocess.TimeoutExpired:
            return ""

    def booted(self, name: str) -> None:
        eventually(lambda: self.ssh(name, "hostname") == f"{name}\n", BOOT_LIMIT_S, every_s=2, why=name)

    def settled(self, server: Any, status: str = "ACTIVE") -> Any:
        def look() -> Any:
            found = self.admin.compute.get_server(server.id)
            assert found.status != "ERROR", found.fault
            return found.status == status and found

        return eventually(look, MOVE_LIMIT_S, why=status)

    def guests(self) -> list[set[str]]:
        """The QEMU processes in each host's namespace, by their servers' names on the host."""
        prefix = self.cloud.folder.prefix
        spaces = (f"{prefix}-host", f"{prefix}-2-host")
        return [{name for pid in list_processes(space) if (name := guest_of(pid))} for space in spaces]

    def processes(self, *names: str) -> list[int]:
        return [one["pid"] for one in self.cloud.status()["processes"] if one["name"] in names]


def guest_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if "-name" in words:
            return words[words.index("-name") + 1].removeprefix("guest=").split(",")[0]
    return ""


def two_hosts(settings: str = "") -> Iterator[TwoHosts]:
    """`settings` may name the folder around the cloud's: `{path}`."""
    path = Path(tempfile.mkdtemp(prefix="as-2h-", dir="/tmp"))
    hosts = None
    try:
        hosts = TwoHosts(path, settings.format(path=path))
        yield hosts
    finally:
        if hosts is not None:
            hosts.demo.close()
            hosts.admin.close()
        RealCloud.purge_folder(path / "s", path)
        shutil.rmtree(path, ignore_errors=True)
