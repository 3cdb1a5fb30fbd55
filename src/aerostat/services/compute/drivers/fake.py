"""A hypervisor in memory: hosts with domains, disks, consoles and guests, that can be made to misbehave.

For tests and for `up --fake`. It obeys the same contract as the real driver and remembers the same
things; what it does not have is a machine. A `FakeHypervisor` is one host *and* its memory: a process that
"dies" in a test leaves the object, and the next one opens it again.

Faults are planted from outside: `fake.faults.fail("ensure_domain", times=2)`, `fake.faults.delay(...)`.
What guests do by themselves: `guest_prints`, `guest_shuts_down`, `guest_crashes`, `deaf` (does not obey its
power button). `on_start` is called, beside the call that started it, each time a guest boots.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import structlog

from aerostat.kernel.clock import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import short_id
from aerostat.services.compute.drivers.fake_console import FakeConsoles
from aerostat.services.compute.drivers.fake_moves import FakeFolder, FakeMoves
from aerostat.services.compute.host.protocol import (
    BaseImage,
    BaseImageSpec,
    ConsoleSockets,
    Domain,
    DomainEvent,
    DomainSpec,
    Happening,
    HostFacts,
    Interface,
    Power,
    State,
)

log = structlog.get_logger(__name__)

GIB = 1 << 30
BOOT_TEXT = """\
[    0.000000] Linux version 6.1.0-fake (Aerostat's fake hypervisor)
[    0.000000] Memory: {memory_mib}M available, {vcpus} CPU(s)
{interfaces}[    0.200000] booted from image {image}
== test guest: ready, uptime 0.00
{name} login: """

OnStart = Callable[[DomainSpec], Awaitable[None]]


class FakeWorld:
    """Several hosts by name. `host` gives the one that is there, or makes it.

    `faults` are those of all hosts; a host has its own beside them. `shared_storage`: the hosts made from then on
    keep the files of their guests in one place.
    """

    def __init__(self, on_start: OnStart | None = None) -> None:
        self.hosts: dict[str, FakeHypervisor] = {}
        self.on_start = on_start
        self.faults = Faults()
        self.shared_storage = False
        self._files: dict[str, FakeFolder] = {}

    def host(
        self, name: str, *, vcpus: int = 8, memory_mib: int = 16_384, disk_gib: int = 200
    ) -> "FakeHypervisor":
        if name not in self.hosts:
            self.hosts[name] = FakeHypervisor(
                name, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib, on_start=self._started
            )
            self.hosts[name].faults.of_all = self.faults
            self.hosts[name].moves.neighbours = self.hosts
            if self.shared_storage:
                self.hosts[name].files = self._files
        return self.hosts[name]

    async def _started(self, spec: DomainSpec) -> None:
        if self.on_start is not None:
            await self.on_start(spec)


class Faults:
    """What shall go wrong, by verb; the verb `*` is every verb. `calls` counts what was asked."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.of_all: Faults | None = None  # those that every host of the world has
        self._failures: list[_Failure] = []
        self._delays: dict[str, float] = {}

    def fail(
        self, verb: str, *, times: int | None = 1, error: Exception | None = None, after: bool = False
    ) -> None:
        """Raise `error` at the next `times` calls (None: until `heal`).

        `after`: the work is done, but the answer is lost.
        """
        error = error or DriverError("The host refused.", detail=f"planted fault in {verb}", retry=True)
        self._failures.append(_Failure(verb, times, error, after))

    def delay(self, verb: str, seconds: float) -> None:
        """Make each call of `verb` wait before it does anything."""
        self._delays[verb] = seconds

    def heal(self, verb: str | None = None) -> None:
        """Take back the faults of `verb`, or all."""
        self._failures = [f for f in self._failures if verb not in (None, f.verb)]
        self._delays = {v: s for v, s in self._delays.items() if verb not in (None, v)}

    @contextlib.asynccontextmanager
    async def around(self, verb: str) -> AsyncIterator[None]:
        """What the fake puts around each verb."""
        self.calls[verb] += 1
        if wait_s := self._delays.get(verb, self._delays.get("*", 0.0)):
            await asyncio.sleep(wait_s)
        self._raise_planted(verb, after=False)
        async with self.of_all.around(verb) if self.of_all else contextlib.nullcontext():
            yield
        self._raise_planted(verb, after=True)

    def _raise_planted(self, verb: str, *, after: bool) -> None:
        for failure in self._failures:
            if failure.verb in (verb, "*") and failure.after is after:
                if failure.times is not None:
                    failure.times -= 1
                    if failure.times <= 0:
                        self._failures.remove(failure)
                raise failure.error


@dataclass
class _Failure:
    verb: str
    times: int | None
    error: Exception
    after: bool


@dataclass
class FakeGuest:
    """One domain of the world. `spec` holds what its next start uses; `live` what it runs with."""

    spec: DomainSpec
    live: DomainSpec
    state: State = "shutoff"
    reason: str = ""
    started_at_s: float = 0.0
    used_s: float = 0.0
    console: str = ""
    deaf: bool = False
    exports: dict[str, bytes] = field(default_factory=dict)
    interrupts: int = 0
    passwords: dict[str, str] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def active(self) -> bool:
        return self.state in ("running", "paused")


class FakeHypervisor:
    """One host of the fake world; see the module and `Hypervisor` for what each verb promises."""

    def __init__(
        self,
        name: str = "fake-1",
        *,
        vcpus: int = 8,
        memory_mib: int = 16_384,
        disk_gib: int = 200,
        on_start: OnStart | None = None,
    ) -> None:
        self.name = name
        self.vcpus, self.memory_mib, self.disk_gib = vcpus, memory_mib, disk_gib
        self.on_start = on_start
        self.faults = Faults()
        self.files: dict[str, FakeFolder] = {}
        self.moves = FakeMoves(self)
        self._images: dict[str, BaseImage] = {}
        self._guests: dict[str, FakeGuest] = {}
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue(maxsize=1000)
        self._hooks: set[asyncio.Task[None]] = set()
        self._consoles = FakeConsoles(self._console_text)

    async def open(self) -> None:
        async with self.faults.around("open"):
            pass

    async def close(self) -> None:
        for task in self._hooks:
            task.cancel()
        await asyncio.gather(*self._hooks, return_exceptions=True)
        await self._consoles.close()

    def after_crash(self) -> "FakeHypervisor":
        """The same machine for the next process, when this one was killed: locks and queues are new."""
        following = FakeHypervisor(
            self.name,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            on_start=self.on_start,
        )
        following.faults = self.faults
        following.files = self.files
        following.moves.neighbours = self.moves.neighbours
        following._images, following._guests = self._images, self._guests
        for guest in self._guests.values():
            guest.lock = asyncio.Lock()
        return following

    async def events(self) -> AsyncIterator[DomainEvent]:
        while True:
            yield await self._events.get()

    async def inspect_host(self) -> HostFacts:
        async with self.faults.around("inspect_host"):
            return HostFacts(
                host_name=self.name,
                arch="x86_64",
                vcpus=self.vcpus,
                memory_mib=self.memory_mib,
                disk_gib=self.disk_gib,
                disk_free_gib=self.disk_gib - self._used_bytes() // GIB,
                accelerator="tcg",
                accelerator_reason="this hypervisor is a fake",
                hypervisor_type="fake",
                hypervisor_version=1_000_000,
                cpu_info={
                    "arch": "x86_64",
                    "vendor": "fake",
                    "model": "fake",
                    "topology": {"sockets": 1, "cores": self.vcpus, "threads": 1},
                    "features": [],
                },
            )

    # Base images

    async def ensure_base_image(self, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> BaseImage:
        async with self.faults.around("ensure_base_image"):
            if image.id in self._images:
                return self._image(image.id)
            if image.format not in ("raw", "qcow2"):
                raise DriverError(f"Images of format {image.format} cannot be used here.")
            size, head = 0, bytearray()
            digest = hashlib.new(image.hash_algo)
            async for chunk in chunks:
                head += chunk[: 32 - len(head)]
                size += len(chunk)
                digest.update(chunk)
            if image.size_bytes is not None and size != image.size_bytes:
                raise DriverError(f"The image has {size} bytes, not {image.size_bytes}.", retry=True)
            if image.hash_value is not None and digest.hexdigest() != image.hash_value.lower():
                raise DriverError("The image's checksum does not match.", retry=True)
            if (head[:4] == b"QFI\xfb") != (image.format == "qcow2"):
                raise DriverError(f"The image's content is not of format {image.format}.")
            virtual = int.from_bytes(head[24:32], "big") if image.format == "qcow2" else size
            self._images[image.id] = BaseImage(
                id=image.id, format=image.format, virtual_bytes=virtual, file_bytes=size
            )
            return self._image(image.id)

    async def find_base_image(self, image_id: str) -> BaseImage | None:
        async with self.faults.around("find_base_image"):
            return self._image(image_id) if image_id in self._images else None

    def remember_image(self, image_id: str) -> None:
        """An image that the host had fetched before this world began, as a real host's cache would have it."""
        unknown = BaseImage(id=image_id, format="raw", virtual_bytes=0, file_bytes=0)
        self._images.setdefault(image_id, unknown)

    async def remove_base_image(self, image_id: str) -> None:
        async with self.faults.around("remove_base_image"):
            self._images.pop(image_id, None)

    async def list_base_images(self) -> list[BaseImage]:
        async with self.faults.around("list_base_images"):
            return [self._image(image_id) for image_id in sorted(self._images)]

    # Domains

    async def ensure_domain(self, spec: DomainSpec, power: Power = "running") -> Domain:
        async with self.faults.around("ensure_domain"):
            guest = self._guests.get(spec.id)
            there = guest is not None and guest.live.rescue == spec.rescue
            if spec.rescue is not None and not there and spec.rescue.image_id not in self._images:
                raise DriverError("The image is not on the host yet.", retry=True)
            if spec.id not in self.files:
                self.files[spec.id] = FakeFolder(self.fresh_disk(spec), None)
            self.files[spec.id].owner = self.name
            if guest is None:
                if any(g.spec.name == spec.name for g in self._guests.values()):
                    raise DriverError(f"The name {spec.name} is taken on this host.")
                guest = self._guests[spec.id] = FakeGuest(spec=spec, live=spec)
            async with guest.lock:
                if guest.state in ("shutoff", "crashed"):
                    guest.spec = spec
                await self._bring_to(guest, power, 0.0)
                return self._seen(guest)

    async def remove_domain(self, domain_id: str) -> None:
        async with self.faults.around("remove_domain"):
            folder = self.files.get(domain_id)
            if folder is not None and folder.owner in (None, self.name):
                del self.files[domain_id]
            await self.forget(domain_id)

    async def inspect_domain(self, domain_id: str) -> Domain | None:
        async with self.faults.around("inspect_domain"):
            guest = self._guests.get(domain_id)
            return self._seen(guest) if guest else None

    async def list_domains(self) -> list[Domain]:
        async with self.faults.around("list_domains"):
            return [self._seen(self._guests[domain_id]) for domain_id in sorted(self._guests)]

    async def ensure_power(self, domain_id: str, power: Power, *, limit_s: float = 60.0) -> Domain:
        async with self.faults.around("ensure_power"):
            guest = self._get(domain_id)
            async with guest.lock:
                await self._bring_to(guest, power, limit_s)
                return self._seen(guest)

    async def reboot(self, domain_id: str, *, hard: bool = False, limit_s: float = 60.0) -> Domain:
        async with self.faults.around("reboot"):
            guest = self._get(domain_id)
            async with guest.lock:
                if guest.state == "running":
                    if guest.deaf and not hard:
                        await asyncio.sleep(limit_s)
                    self._tell(domain_id, "rebooted")
                    self._boot(guest)
                else:
                    await self._bring_to(guest, "running", 0.0)
                return self._seen(guest)

    async def ensure_interface(self, domain_id: str, interface: Interface) -> None:
        async with self.faults.around("ensure_interface"):
            guest = self._get(domain_id)
            guest.spec = _with_interface(guest.spec, interface)
            guest.live = _with_interface(guest.live, interface)

    async def remove_interface(self, domain_id: str, port_id: str, *, limit_s: float = 20.0) -> None:
        async with self.faults.around("remove_interface"):
            guest = self._get(domain_id)
            guest.spec = _without_interface(guest.spec, port_id)
            guest.live = _without_interface(guest.live, port_id)

    # Consoles

    async def console_log(self, domain_id: str, max_bytes: int = 102_400) -> str:
        async with self.faults.around("console_log"):
            return self._get(domain_id).console[-max_bytes:]

    async def console_sockets(self, domain_id: str) -> ConsoleSockets:
        async with self.faults.around("console_sockets"):
            self._get_active(domain_id)
            return await self._consoles.serve(domain_id)

    # Copies of disks

    @property
    def export_format(self) -> Literal["raw", "qcow2"]:
        return "raw"

    async def export_disk(self, domain_id: str, export_id: str) -> None:
        async with self.faults.around("export_disk"):
            guest = self._get(domain_id)
            guest.exports.setdefault(export_id, f"disk of {guest.spec.name}".encode() * 100)

    async def read_export(self, domain_id: str, export_id: str, offset: int, size: int) -> bytes:
        async with self.faults.around("read_export"):
            data = self._get(domain_id).exports.get(export_id)
            if data is None:
                raise DriverError("There is no such copy of a disk.", detail=f"export {export_id}")
            return data[offset : offset + size]

    async def remove_export(self, domain_id: str, export_id: str) -> None:
        async with self.faults.around("remove_export"):
            if domain_id in self._guests:
                self._guests[domain_id].exports.pop(export_id, None)

    # What is done to a guest that runs

    async def interrupt(self, domain_id: str) -> None:
        async with self.faults.around("interrupt"):
            self._get_active(domain_id).interrupts += 1

    async def set_password(self, domain_id: str, user: str, password: str) -> None:
        async with self.faults.around("set_password"):
            self._get_active(domain_id).passwords[user] = password

    # What guests do, and what tests ask

    def has(self, domain_id: str) -> bool:
        return domain_id in self._guests

    def domains(self) -> list[Domain]:
        """What an onlooker sees; no fault can hide it."""
        return [self._seen(self._guests[domain_id]) for domain_id in sorted(self._guests)]

    def guest_prints(self, domain_id: str, text: str) -> None:
        """Let the guest write to its serial line."""
        self._get(domain_id).console += text

    def guest_shuts_down(self, domain_id: str) -> None:
        """Let the guest power itself off."""
        self._cut(self._get(domain_id), "shutoff", "the guest shut down")

    def guest_crashes(self, domain_id: str, reason: str = "the guest panicked") -> None:
        self._cut(self._get(domain_id), "crashed", reason)

    def make_deaf(self, domain_id: str, deaf: bool = True) -> None:
        """Let the guest ignore its power button."""
        self._get(domain_id).deaf = deaf

    def spec(self, domain_id: str) -> DomainSpec:
        """What the domain was last told to be, with the network cards plugged since."""
        return self._get(domain_id).spec

    async def settle(self) -> None:
        """Wait until every `on_start` that is under way has ended."""
        while self._hooks:
            await asyncio.gather(*self._hooks, return_exceptions=True)

    # What moving guests needs

    def guest(self, domain_id: str) -> FakeGuest:
        return self._get(domain_id)

    def take_in(self, guest: FakeGuest) -> None:
        """A guest that was sent goes on here."""
        self._guests[guest.spec.id] = guest
        self._tell(guest.spec.id, "started")

    async def forget(self, domain_id: str) -> None:
        """The guest is no longer here; its files are another matter."""
        self.moves.break_off(domain_id)
        if self._guests.pop(domain_id, None) is not None:
            await self._consoles.remove(domain_id)
            self._tell(domain_id, "removed")

    def fresh_disk(self, spec: DomainSpec) -> bytes:
        """A disk that is told from every other."""
        image = self._images.get(spec.root.image_id)
        if image is None:
            raise DriverError("The image is not on the host yet.", retry=True)
        if spec.root.size_gib and spec.root.size_gib * GIB < image.virtual_bytes:
            raise DriverError("The root disk is smaller than the image.")
        return f"disk {short_id()} of {spec.name}".encode()

    # Within

    def _get(self, domain_id: str) -> FakeGuest:
        guest = self._guests.get(domain_id)
        if guest is None:
            raise DriverError("The host does not know this server.", detail=f"no domain {domain_id}")
        return guest

    def _get_active(self, domain_id: str) -> FakeGuest:
        guest = self._get(domain_id)
        if not guest.active:
            raise DriverError("The server is not running.")
        return guest

    def _image(self, image_id: str) -> BaseImage:
        uses = sum(g.spec.root.image_id == image_id for g in self._guests.values())
        return msgspec.structs.replace(self._images[image_id], uses=uses)

    def _used_bytes(self) -> int:
        return sum(image.file_bytes for image in self._images.values())

    def _console_text(self, domain_id: str) -> str:
        return self._get(domain_id).console

    def _seen(self, guest: FakeGuest) -> Domain:
        spec = guest.live if guest.active else guest.spec
        used_s = guest.used_s
        if guest.state == "running":
            used_s += clock.timestamp() - guest.started_at_s
        return Domain(
            id=spec.id,
            name=spec.name,
            state=guest.state,
            reason=guest.reason,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            cpu_time_s=round(used_s, 3) if guest.active else 0.0,
            resident_mib=spec.memory_mib if guest.active else 0,
            ports=tuple(card.port_id for card in spec.interfaces),
        )

    async def _bring_to(self, guest: FakeGuest, power: Power, limit_s: float) -> None:
        """The transitions that the contract's `ensure_power` names."""
        was = guest.state
        if was == power:
            return
        if power == "shutoff":
            if was == "running" and guest.deaf:
                await asyncio.sleep(limit_s)
            self._cut(guest, "shutoff", "the power was cut" if guest.deaf else "the guest shut down")
        elif power == "suspended":
            if not guest.active:
                raise DriverError("Only a running or paused server can be suspended.")
            self._set(guest, "suspended", "suspended")
        elif was in ("shutoff", "crashed"):
            self._boot(guest)
            self._tell(guest.spec.id, "started")
            if power == "paused":
                self._set(guest, "paused", "paused")
        else:
            self._set(guest, power, "resumed" if power == "running" else "paused")

    def _boot(self, guest: FakeGuest) -> None:
        guest.live = guest.spec
        guest.used_s = 0.0
        guest.state, guest.reason = "running", ""
        guest.started_at_s = clock.timestamp()
        spec = guest.spec
        cards = "".join(
            f"[    0.100000] eth{n}: {card.mac} mtu {card.mtu}\n" for n, card in enumerate(spec.interfaces)
        )
        guest.console += BOOT_TEXT.format(
            memory_mib=spec.memory_mib,
            vcpus=spec.vcpus,
            interfaces=cards,
            image=(spec.rescue or spec.root).image_id,
            name=spec.title or spec.name,
        )
        if self.on_start is not None:
            task = asyncio.get_running_loop().create_task(self._run_hook(spec))
            self._hooks.add(task)
            task.add_done_callback(self._hooks.discard)

    async def _run_hook(self, spec: DomainSpec) -> None:
        assert self.on_start is not None
        try:
            await self.on_start(spec)
        except Exception:
            log.exception("the hook of a fake guest failed", domain=spec.id)

    def _cut(self, guest: FakeGuest, state: State, reason: str) -> None:
        self._set(guest, state, "crashed" if state == "crashed" else "stopped")
        guest.reason = reason

    def _set(self, guest: FakeGuest, state: State, what: Happening) -> None:
        if guest.state == "running":
            guest.used_s += clock.timestamp() - guest.started_at_s
        guest.started_at_s = clock.timestamp()
        guest.state, guest.reason = state, ""
        self._tell(guest.spec.id, what)

    def _tell(self, domain_id: str, what: Happening) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # some may be lost
            self._events.put_nowait(DomainEvent(domain_id, what))


def _with_interface(spec: DomainSpec, interface: Interface) -> DomainSpec:
    if any(card.port_id == interface.port_id for card in spec.interfaces):
        return spec
    return msgspec.structs.replace(spec, interfaces=(*spec.interfaces, interface))


def _without_interface(spec: DomainSpec, port_id: str) -> DomainSpec:
    cards = tuple(card for card in spec.interfaces if card.port_id != port_id)
    return msgspec.structs.replace(spec, interfaces=cards)
