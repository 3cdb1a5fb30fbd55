"""What the control side asks of a compute host, and what a host tells: the words that cross the bus.

Every order names the server by its id and says all that is needed, so that it can be repeated, to the same host
process or to the one that took its place. Orders are idempotent as the hypervisor's verbs behind them are.

A queue may also give an order a second time long after it was followed, when others were followed since. An `Order`
says when it was given, and `lateness.py` refuses it then.

Topic `host.<name>`: what a host answers. Topic `compute`: what the control side answers to hosts.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from aerostat.kernel import clock

from .protocol import (
    BaseImageSpec,
    ConsoleSockets,
    Domain,
    DomainFile,
    HostFacts,
    Landing,
    Power,
    Progress,
    RescueDisk,
    RootDisk,
)

T = TypeVar("T")

CONTROL_TOPIC = "compute"
REPORT_VERB = "host_report"
HELLO_VERB = "host_hello"
READ_IMAGE_VERB = "read_image"
WHO_LEFT_VERB = "who_left"
WHO_COMES_VERB = "who_comes"
LIST_LEAVING_VERB = "list_leaving"
READ_LEAVING_VERB = "read_leaving"
GUEST_EVENT = "compute.guest"
CHUNK_BYTES = 1 << 20

PROTOCOL = 1
"""What this page says, as a number: one more with each change that the other side must know of."""
OLDEST_PROTOCOL = 1
"""Hosts of this protocol are still understood, so that a cloud can be upgraded before its hosts."""


def topic_of(host_name: str) -> str:
    return f"host.{host_name}"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A network card: a port of the network room as a guest has it."""

    port_id: str
    mac: str
    mtu: int = 1500
    model: str = "virtio"


class GuestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A server as its host needs to know it. Like `DomainSpec`, but with ports in place of taps."""

    id: str
    name: str
    title: str
    vcpus: int
    memory_mib: int
    root: RootDisk
    rescue: RescueDisk | None = None
    ephemeral_gib: tuple[int, ...] = ()
    swap_mib: int = 0
    cards: tuple[Card, ...] = ()
    config_drive: dict[str, bytes] | None = None
    properties: dict[str, str] = {}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What changes something about a server. `at`: when it was given, by the control side's clock; None from a control
    side that does not say it yet.
    """

    at: datetime | None = None


class ServerOrder(Order, frozen=True):
    server_id: str


class GuestOrder(Order, frozen=True):
    spec: GuestSpec

    @property
    def server_id(self) -> str:
        return self.spec.id


class EnsureImage(msgspec.Struct, frozen=True):
    image: BaseImageSpec


class EnsureGuest(GuestOrder, frozen=True):
    """`new`: its disk may be made from the image. Otherwise it must be there, so that nobody finds an empty disk in
    the place of his own.
    """

    power: Power = "running"
    new: bool = False


class RemoveGuest(ServerOrder, frozen=True):
    """`heir`: the guest's files stay and belong to that host; without, they go too if they are this host's."""

    port_ids: tuple[str, ...] = ()
    heir: str | None = None


class RebuildGuest(GuestOrder, frozen=True):
    """Throw the disks away and make the guest anew; its ports stay plugged."""

    power: Power = "running"


class ClearFiles(ServerOrder, frozen=True):
    """Before a server comes: what an earlier stay of it left would be taken for its disk."""


class SetPower(ServerOrder, frozen=True):
    power: Power
    limit_s: float = 60.0


class Reboot(ServerOrder, frozen=True):
    hard: bool = False
    limit_s: float = 60.0


class PlugCard(ServerOrder, frozen=True):
    card: Card


class UnplugCard(ServerOrder, frozen=True):
    port_id: str


class OfServer(msgspec.Struct, frozen=True):
    server_id: str


class ConsoleLog(msgspec.Struct, frozen=True):
    server_id: str
    max_bytes: int = 102_400


class SetPassword(msgspec.Struct, frozen=True):
    server_id: str
    user: str
    password: str


class OfExport(msgspec.Struct, frozen=True):
    """A copy of a server's disk, on its way to become an image; `offset` matters for reading only."""

    server_id: str
    export_id: str
    offset: int = 0


class PrepareLanding(GuestOrder, frozen=True):
    """Make ready for a guest that is sent here while it runs."""


class SendGuest(ServerOrder, frozen=True):
    """Send a running guest to where `landing` says. `copy_disks`: the storage is not shared."""

    landing: Landing
    copy_disks: bool = False


class SteerSending(msgspec.Struct, frozen=True):
    server_id: str
    wish: Literal["hurry", "abort"]


class Sending(msgspec.Struct, frozen=True):
    """What the sending host knows. `none`: nothing is sent, and this process remembers no sending."""

    state: Literal["none", "running", "done", "failed", "aborted"]
    reason: str = ""
    progress: Progress | None = None


class FetchFiles(ServerOrder, frozen=True):
    """Get the files of a guest from the host that has them. `running`: it is to be sent while it runs, and disks that
    it writes to are only made empty; otherwise it must be off.
    """

    from_host: str
    running: bool = False


class ReadFile(msgspec.Struct, frozen=True):
    server_id: str
    name: str
    offset: int


class Leaving(msgspec.Struct, frozen=True):
    """What has `from_host` of a server that comes to `host`? The control side is asked: hosts do not hear each other.

    `name`, `offset`: of which file, and from where.
    """

    host: str
    server_id: str
    from_host: str
    name: str = ""
    offset: int = 0


class WhoLeft(msgspec.Struct, frozen=True):
    """Of these servers, which have nothing to do with this host any more? Answered with their ids."""

    host: str
    server_ids: tuple[str, ...]


class WhoComes(msgspec.Struct, frozen=True):
    """For which cards are there servers on their way to this host? Answered with the ids of their ports."""

    host: str


class ReadImage(msgspec.Struct, frozen=True):
    """Bytes of an image from `offset` on, at most `CHUNK_BYTES`; empty at the end."""

    image_id: str
    offset: int


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who a host is. `machine_id` is its state folder's, empty for hosts inside the control process; `at` its clock."""

    name: str
    machine_id: str
    at: datetime
    protocol: int = PROTOCOL
    version: str = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a hello: nothing, or why the host must not serve, or what is wrong and can be lived with.

    `at`: the control side's clock.
    """

    refusal: str = ""
    warning: str = ""
    at: datetime | None = None


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """A host's heart-beat. `booted_at` is when its agent started; hosts of before the hello say no `who`."""

    who: Hello | None = None

    name: str
    address: str = ""
    """Where other hosts reach it; empty if there are none."""
    facts: HostFacts
    booted_at: datetime
    uptime_s: float = 0.0
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    export_format: str = ""
    """The format in which it copies disks out; empty if it cannot."""
    abilities: tuple[str, ...] = ()
    """Orders that not every hypervisor can follow and this one can: `interrupt`, `set_password`."""


class GuestEvent(msgspec.Struct, frozen=True):
    """Something happened to a guest by itself. A nudge to look; some may be lost."""

    host: str
    server_id: str
    what: str


class Caller(Protocol):
    """What is needed of the bus."""

    async def call(
        self,
        topic: str,
        verb: str,
        body: Any = ...,
        *,
        timeout_s: float,
        request_id: str | None = ...,
        into: Any,
    ) -> Any: ...


class HostLink:
    """A compute host, as flows and resources call it. Every verb raises `DriverError`."""

    def __init__(self, bus: Caller, host_name: str, request_id: str | None = None) -> None:
        self._bus = bus
        self._topic = topic_of(host_name)
        self._request_id = request_id

    async def ensure_image(self, image: BaseImageSpec, timeout_s: float = 900.0) -> None:
        await self._ask("ensure_image", EnsureImage(image), None, timeout_s)

    async def ensure_guest(self, spec: GuestSpec, power: Power = "running", *, new: bool = False) -> Domain:
        found: Domain = await self._ask(
            "ensure_guest", EnsureGuest(spec, power, new, at=clock.now()), Domain, 180.0
        )
        return found

    async def rebuild_guest(self, spec: GuestSpec, power: Power = "running") -> Domain:
        found: Domain = await self._ask(
            "rebuild_guest", RebuildGuest(spec, power, at=clock.now()), Domain, 180.0
        )
        return found

    async def remove_guest(
        self, server_id: str, port_ids: tuple[str, ...] = (), heir: str | None = None
    ) -> None:
        await self._ask("remove_guest", RemoveGuest(server_id, port_ids, heir, at=clock.now()), None, 120.0)

    async def clear_files(self, server_id: str) -> None:
        """Before the server comes: remove what an earlier stay left. Refused while there is a guest of it here."""
        await self._ask("clear_files", ClearFiles(server_id, at=clock.now()), None, 120.0)

    async def set_power(self, server_id: str, power: Power, limit_s: float = 60.0) -> Domain:
        found: Domain = await self._ask(
            "set_power", SetPower(server_id, power, limit_s, at=clock.now()), Domain, limit_s + 60.0
        )
        return found

    async def reboot(self, server_id: str, *, hard: bool, limit_s: float = 60.0) -> Domain:
        found: Domain = await self._ask(
            "reboot", Reboot(server_id, hard, limit_s, at=clock.now()), Domain, limit_s + 60.0
        )
        return found

    async def plug_card(self, server_id: str, card: Card) -> None:
        await self._ask("plug_card", PlugCard(server_id, card, at=clock.now()), None, 60.0)

    async def unplug_card(self, server_id: str, port_id: str) -> None:
        await self._ask("unplug_card", UnplugCard(server_id, port_id, at=clock.now()), None, 90.0)

    async def find_guest(self, server_id: str) -> Domain | None:
        found: Domain | None = await self._ask("find_guest", OfServer(server_id), Domain | None, 30.0)
        return found

    async def digest_guests(self) -> str:
        """`digest_of` the host's guests: costs the same however many there are to tell of."""
        found: str = await self._ask("digest_guests", None, str, 60.0)
        return found

    async def list_guests(self) -> list[Domain]:
        found: list[Domain] = await self._ask("list_guests", None, list[Domain], 60.0)
        return found

    async def console_log(self, server_id: str, max_bytes: int) -> str:
        found: str = await self._ask("console_log", ConsoleLog(server_id, max_bytes), str, 30.0)
        return found

    async def console_sockets(self, server_id: str) -> ConsoleSockets:
        found: ConsoleSockets = await self._ask("console_sockets", OfServer(server_id), ConsoleSockets, 30.0)
        return found

    async def interrupt(self, server_id: str) -> None:
        await self._ask("interrupt", OfServer(server_id), None, 30.0)

    async def set_password(self, server_id: str, user: str, password: str) -> None:
        await self._ask("set_password", SetPassword(server_id, user, password), None, 60.0)

    async def export_disk(self, server_id: str, export_id: str) -> None:
        await self._ask("export_disk", OfExport(server_id, export_id), None, 1800.0)

    async def read_export(self, server_id: str, export_id: str) -> AsyncIterator[bytes]:
        """The copy's bytes, piece by piece."""
        offset = 0
        while True:
            order = OfExport(server_id, export_id, offset)
            piece: bytes = await self._ask("read_export", order, bytes, 60.0)
            if not piece:
                return
            offset += len(piece)
            yield piece

    async def remove_export(self, server_id: str, export_id: str) -> None:
        await self._ask("remove_export", OfExport(server_id, export_id), None, 60.0)

    async def find_owner(self, server_id: str) -> str | None:
        found: str | None = await self._ask("find_owner", OfServer(server_id), str | None, 30.0)
        return found

    async def prepare_landing(self, spec: GuestSpec) -> Landing:
        found: Landing = await self._ask(
            "prepare_landing", PrepareLanding(spec, at=clock.now()), Landing, 120.0
        )
        return found

    async def send_guest(self, server_id: str, landing: Landing, *, copy_disks: bool) -> Sending:
        """Begin to send; answers when it is over, or after a short while."""
        order = SendGuest(server_id, landing, copy_disks, at=clock.now())
        found: Sending = await self._ask("send_guest", order, Sending, 60.0)
        return found

    async def watch_sending(self, server_id: str) -> Sending:
        """How it goes; answers when it is over, or after a short while."""
        found: Sending = await self._ask("watch_sending", OfServer(server_id), Sending, 60.0)
        return found

    async def steer_sending(self, server_id: str, wish: Literal["hurry", "abort"]) -> None:
        await self._ask("steer_sending", SteerSending(server_id, wish), None, 60.0)

    async def fetch_files(self, server_id: str, from_host: str, *, running: bool) -> None:
        """Let this host get a guest's files from another; refused if the guest runs and `running` is not said."""
        order = FetchFiles(server_id, from_host, running, at=clock.now())
        await self._ask("fetch_files", order, None, 3600.0)

    async def list_files(self, server_id: str) -> list[DomainFile]:
        found: list[DomainFile] = await self._ask("list_files", OfServer(server_id), list[DomainFile], 60.0)
        return found

    async def read_file(self, server_id: str, name: str, offset: int) -> bytes:
        """A piece of a file; empty at its end."""
        piece: bytes = await self._ask("read_file", ReadFile(server_id, name, offset), bytes, 60.0)
        return piece

    async def _ask(self, verb: str, order: Any, into: Any, timeout_s: float) -> Any:
        return await self._bus.call(
            self._topic, verb, order, timeout_s=timeout_s, request_id=self._request_id, into=into
        )
