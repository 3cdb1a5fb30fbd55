"""The hypervisor's contract: what the compute host agent may ask of a driver.

A driver is mechanics only. It keeps no record beside the hypervisor's own: the state of a domain is read
from the hypervisor every time. Choosing, counting and remembering belong to the flows that call it.

Every verb is idempotent. A repeat finds what the first call made, by names derived from the ids in the
call, and repairs what is half done. A verb may be cancelled or die anywhere; calling it again finishes the
work. Verbs on one domain are serialised inside the driver; verbs on different domains run side by side.

Every verb raises `DriverError`: `message` is for the user, `detail` for the log, and `retry` says whether
the same call may succeed later. An id that the host does not know is an error with `retry=False`, except
where a sentence below says otherwise: removing what is absent is success.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Literal, Protocol, runtime_checkable

import msgspec

from aerostat.kernel.errors import DriverError


class DiskFull(DriverError):
    """There is no room for what is to be written. Whether it may work later is for the agent to say."""

    def __init__(self, detail: str, *, retry: bool = False) -> None:
        super().__init__("The host's disk is full.", detail=detail, retry=retry)


Power = Literal["running", "shutoff", "paused", "suspended"]
"""What a domain can be asked to be. `suspended` is saved to disk and uses no memory."""

State = Literal["running", "shutoff", "paused", "suspended", "crashed"]
"""What a domain can be found to be."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the host has. Capacity is the whole of it, whatever its domains use."""

    host_name: str
    arch: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    """Size of the file system that holds the instances, and of it free now."""
    disk_free_gib: int
    accelerator: Literal["kvm", "tcg"]
    accelerator_reason: str
    """Why the accelerator is not kvm; empty if it is."""
    hypervisor_type: str
    hypervisor_version: int
    """Major * 1,000,000 + minor * 1,000 + release, as compute APIs show it."""
    cpu_info: dict[str, object] = {}
    """`arch`, `vendor`, `model`, `topology` {`sockets`, `cores`, `threads`}, `features` [names]."""


class BaseImageSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be kept on the host. `hash_value` is hexadecimal; without it nothing is compared."""

    id: str
    format: str
    size_bytes: int | None = None
    hash_algo: str = "sha512"
    hash_value: str | None = None


class BaseImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the host's cache."""

    id: str
    format: str
    virtual_bytes: int
    """Size of the disk a guest would see."""
    file_bytes: int
    uses: int = 0
    """How many domains on this host have a disk that stands on it."""


class RootDisk(msgspec.Struct, frozen=True):
    """The disk a domain boots from: a copy-on-write layer over a base image in the cache.

    `size_gib` 0 means as large as the image.
    """

    image_id: str
    size_gib: int = 0


class RescueDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk to boot from while a domain is being rescued: a layer over an image, thrown away afterwards.

    Without `device` and `bus` it takes the root disk's place, which comes second. With one of them it comes last and
    every other disk keeps its place. `bus` is one of those of `hw_disk_bus`, or `usb`.
    """

    image_id: str
    device: Literal["", "disk", "cdrom"] = ""
    bus: str = ""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network card. `tap` is the name of a tap device that the caller has made and owns."""

    port_id: str
    mac: str
    tap: str
    mtu: int = 1500
    model: str = "virtio"


class DomainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual machine as it should be.

    `name` is unique on the host (letters, digits, `-`, `_`); `title` is free text. `config_drive` maps
    paths (`openstack/latest/meta_data.json`) to contents and becomes a CD labelled `config-2`; None means
    no CD. `properties` are image properties under their upstream names; a driver obeys `hw_machine_type`,
    `hw_disk_bus`, `hw_video_model` and `hw_rng_model`, ignores the ones it does not know, and refuses a
    value that it cannot give.
    """

    id: str
    name: str
    title: str = ""
    vcpus: int
    memory_mib: int
    root: RootDisk
    rescue: RescueDisk | None = None
    """While it is there the domain boots from it; the image must be in the cache until the disk is made."""
    ephemeral_gib: tuple[int, ...] = ()
    """Empty disks, formatted, labelled `ephemeral0` and up."""
    swap_mib: int = 0
    interfaces: tuple[Interface, ...] = ()
    config_drive: dict[str, bytes] | None = None
    properties: dict[str, str] = {}


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual machine as it was found. Times and memory are those of this moment, 0 when not active."""

    id: str
    name: str
    state: State
    reason: str = ""
    """Why it is in this state, in words, if the hypervisor knows: `the guest shut down`."""
    vcpus: int
    memory_mib: int
    cpu_time_s: float = 0.0
    resident_mib: int = 0
    """Memory of the host that it occupies."""
    ports: tuple[str, ...] = ()
    """Port ids of its network cards, in the guest's order."""


def digest_of(domains: Iterable[Domain]) -> str:
    """What is there and in which state, as one short text: equal texts mean that there is nothing new to look at."""
    told = sorted(
        " ".join((domain.id, domain.name, domain.state, domain.reason, *sorted(domain.ports)))
        for domain in domains
    )
    return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a domain that is sent arrives, in the words of its driver; the sending driver alone reads it.

    `address` is the target's, as other hosts reach it; `folder` and `sockets` are where the domain's files will be.
    """

    host_name: str
    uri: str
    address: str = ""
    folder: str = ""
    sockets: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a domain that is being sent has come."""

    memory_total_bytes: int = 0
    memory_processed_bytes: int = 0
    memory_remaining_bytes: int = 0
    disk_total_bytes: int = 0
    disk_processed_bytes: int = 0
    disk_remaining_bytes: int = 0


class DomainFile(msgspec.Struct, frozen=True):
    """A file without which a domain cannot be made elsewhere; `name` is the same on every host.

    `live`: a disk that an active domain writes to. It is made empty, as large as a guest sees it (`size_bytes`), and
    what is on it comes with the domain.
    """

    name: str
    size_bytes: int
    live: bool = False


Happening = Literal["started", "stopped", "paused", "resumed", "suspended", "rebooted", "crashed", "removed"]


class DomainEvent(msgspec.Struct, frozen=True):
    """Something happened to a domain. A nudge to look again, never an order; some may be lost."""

    domain_id: str
    what: Happening


class ConsoleSockets(msgspec.Struct, frozen=True):
    """Unix stream sockets on this host: RFB without authentication, and the serial line, one client each."""

    vnc: str
    serial: str


class Hypervisor(Protocol):
    """One host's hypervisor. `open` before any other verb; guests outlive the driver and its process."""

    async def open(self) -> None:
        """Connect, and find the domains that earlier processes left. A repeat does nothing."""

    async def close(self) -> None:
        """Disconnect; domains run on. A repeat does nothing."""

    def events(self) -> AsyncIterator[DomainEvent]:
        """What happens to domains from `open` on, without end. For one reader, which may come late."""

    async def inspect_host(self) -> HostFacts:
        """Measure the host. The accelerator is proved by booting a few bytes, not by belief."""

    # Base images

    async def ensure_base_image(self, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> BaseImage:
        """Keep `chunks` as a base image, whole and checked, or not at all.

        If it is there already, `chunks` is not read. Refused, with nothing kept: a format other than raw
        or qcow2, content of another format, a wrong size or hash, a reference to any other file.
        """

    async def find_base_image(self, image_id: str) -> BaseImage | None:
        """The image if it is in the cache."""

    async def remove_base_image(self, image_id: str) -> None:
        """Take it out of the cache. Domains that stand on it are not harmed; absent is success."""

    async def list_base_images(self) -> list[BaseImage]:
        """All images in the cache, by id."""

    # Domains

    async def ensure_domain(self, spec: DomainSpec, power: Power = "running") -> Domain:
        """Make the domain with its disks and bring it to `power`.

        Disks that are there keep their content; a root disk that is smaller than `spec` says grows, one that is
        larger stays. A domain that is shut off takes on `spec` as it now is; one that is active or suspended
        keeps what it has, apart from `power`. Until its root disk is made the base image must be in the cache.
        """

    async def remove_domain(self, domain_id: str) -> None:
        """Stop it at once and remove it with its disks, logs and sockets. Taps are the caller's.

        Absent is success. Files that belong to another host (see `DomainMoves`) are left alone.
        """

    async def inspect_domain(self, domain_id: str) -> Domain | None:
        """The domain as it is now; None if the hypervisor has none of this id."""

    async def list_domains(self) -> list[Domain]:
        """All domains of this host, by id."""

    async def ensure_power(self, domain_id: str, power: Power, *, limit_s: float = 60.0) -> Domain:
        """Bring a domain to `power`.

        To `shutoff` the guest is asked by its power button and given `limit_s` to obey; then, or at once
        if `limit_s` is 0 or the guest is paused, the power is cut. A saved state is thrown away by
        `shutoff` and resumed by `running` and `paused`. `suspended` needs an active domain.
        """

    async def reboot(self, domain_id: str, *, hard: bool = False, limit_s: float = 60.0) -> Domain:
        """Restart the guest; afterwards it is running. This verb alone does its work again on a repeat.

        Soft asks the guest and waits `limit_s` for it to obey, then does as hard does: resets at once.
        A domain that is not running is just started.
        """

    async def ensure_interface(self, domain_id: str, interface: Interface) -> None:
        """Plug a network card in, now and for later starts. A card of this port id is left as it is."""

    async def remove_interface(self, domain_id: str, port_id: str, *, limit_s: float = 20.0) -> None:
        """Unplug a network card and wait until the guest has let go of it; absent is success.

        A guest that does not let go in `limit_s` is an error with `retry=True`.
        """

    # Consoles

    async def console_log(self, domain_id: str, max_bytes: int = 102_400) -> str:
        """The end of what the guest wrote to its serial line, over all its starts; empty if nothing."""

    async def console_sockets(self, domain_id: str) -> ConsoleSockets:
        """Where to reach the consoles. An error unless the domain is running or paused."""


@runtime_checkable
class TakesScreenshots(Protocol):
    """A hypervisor that can show what is on the guest's screen."""

    async def screenshot(self, domain_id: str) -> bytes:
        """A picture in PNG. An error unless the domain is running or paused."""


@runtime_checkable
class ExportsDisks(Protocol):
    """A hypervisor that can give a domain's root disk away: as a copy in a file that stands on no other.

    Copies go with their domain at the latest.
    """

    @property
    def export_format(self) -> Literal["raw", "qcow2"]:
        """The format of copies."""

    async def export_disk(self, domain_id: str, export_id: str) -> None:
        """Copy the root disk as it is at one moment, whatever the domain does. A repeat finds the copy."""

    async def read_export(self, domain_id: str, export_id: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of a finished copy; empty at its end."""

    async def remove_export(self, domain_id: str, export_id: str) -> None:
        """Take the copy away; absent is success."""


@runtime_checkable
class Interrupts(Protocol):
    """A hypervisor that can make a guest's kernel crash, so that it writes its dump."""

    async def interrupt(self, domain_id: str) -> None:
        """Send the guest an interrupt that it cannot mask. An error unless it is running. A repeat sends another."""


@runtime_checkable
class SetsPasswords(Protocol):
    """A hypervisor that can have a password changed inside a guest."""

    async def set_password(self, domain_id: str, user: str, password: str) -> None:
        """Let the guest's agent change it. An error unless the domain is running and its agent answers."""


class DomainMoves(Protocol):
    """Domains that change hosts: sent while they run, or made anew from their files when they are off.

    Hosts may share the storage of their domains. So the files of a domain belong to one host, the one that
    last made or took over the domain (`ensure_domain`), and nobody else removes them.
    """

    async def find_owner(self, domain_id: str) -> str | None:
        """The host to which the files of the domain belong, as far as they are seen from here.

        None if there are none. Another host's name means that its storage is ours as well.
        """

    async def has_disk(self, domain_id: str) -> bool:
        """Whether the domain's root disk is seen from here."""

    async def list_leftovers(self) -> list[str]:
        """Ids of what has files here, this host's or nobody's, and is no domain here. `remove_domain` removes them."""

    async def leave(self, domain_id: str, heir: str) -> None:
        """Stop and forget the domain here; its files stay, and belong to host `heir`. Absent is success."""

    # Sending

    async def prepare_landing(self, spec: DomainSpec) -> Landing:
        """On the target: make what must be there before the domain comes. `remove_domain` takes it back.

        Without shared storage its files must have been made before (`ensure_file`).
        """

    async def send(self, domain_id: str, landing: Landing, *, copy_disks: bool) -> None:
        """Send an active domain, paused or running, and return when it has arrived.

        Afterwards it is unknown here; on the target it goes on as it was, with a stored definition, and
        `ensure_domain` there makes it the target's own. On failure it runs on here as if nothing had been.
        `copy_disks`: the target does not share the storage. A repeat while it goes on is an error.
        """

    async def find_progress(self, domain_id: str) -> Progress | None:
        """How far it is, whoever began to send it; None when it is not being sent."""

    async def hurry(self, domain_id: str) -> None:
        """Let a sending come to its end, at the cost of a pause. Nothing is sent: success."""

    async def abort(self, domain_id: str) -> None:
        """Break a sending off, unless it has come to its end by then. Nothing is sent: success."""

    # Files

    async def list_files(self, domain_id: str) -> list[DomainFile]:
        """The files that make the domain anew elsewhere, in the order in which they are to be made."""

    async def read_file(self, domain_id: str, name: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of a file; empty at its end."""

    async def ensure_file(self, domain_id: str, file: DomainFile, pieces: AsyncIterator[bytes]) -> None:
        """Keep a file for a domain that will be made here: whole or not at all.

        If it is there already, or is `live`, `pieces` is not read.
        """


@runtime_checkable
class MovesDomains(Protocol):
    """A hypervisor whose domains can change hosts."""

    @property
    def moves(self) -> DomainMoves:
        """The verbs of moving."""
