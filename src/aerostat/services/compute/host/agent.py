"""The compute host: what runs next to the hardware, serves `host.<name>` on the bus, and never sees the database.

It joins two drivers, the hypervisor and the host's half of the network: a guest's cards are plugged before it starts
and unplugged after it is gone. What it keeps in memory is of this process only, and a new one does without: the orders
that it heard (one of before its beginning is late to it), the last rebuild of each guest, cards and files that looked
like nobody's at the last look.
"""

import asyncio
import contextlib
import errno
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

import structlog

import aerostat
from aerostat.kernel import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.log import say
from aerostat.kernel.turns import Turns

from . import orders
from .cards import Cards, PortPlugger
from .lateness import Lateness
from .mover import Mover
from .orders import (
    CONTROL_TOPIC,
    GUEST_EVENT,
    HELLO_VERB,
    READ_IMAGE_VERB,
    REPORT_VERB,
    GuestSpec,
)
from .protocol import (
    DiskFull,
    Domain,
    DomainSpec,
    ExportsDisks,
    Hypervisor,
    Interrupts,
    Landing,
    MovesDomains,
    Power,
    SetsPasswords,
    digest_of,
)
from .tidying import Tidying

log = structlog.get_logger(__name__)

EVENTS_PAUSE_S = 1.0
TIDY_S = 30.0
ABILITIES: dict[str, type] = {"interrupt": Interrupts, "set_password": SetsPasswords}
BRINGS = {"ensure_image", "ensure_guest", "prepare_landing", "fetch_files"}
HELLO_LIMIT_S = 10.0
HELLO_PAUSE_S = 3.0


class HostRefused(DriverError):
    """The control plane does not take this host; the message says why. Trying again does not help."""


class HostAgent:
    """One compute host. `start` opens the drivers and serves; `stop` leaves the guests running."""

    def __init__(
        self,
        name: str,
        bus: Any,
        hypervisor: Hypervisor,
        network: PortPlugger,
        *,
        report_s: float = 10.0,
        address: str = "",
        machine_id: str = "",
    ) -> None:
        self.name = name
        self.address = address
        self._machine_id = machine_id
        self.hypervisor = hypervisor
        self.network = network
        self._bus = bus
        self._report_s = report_s
        self._booted_at = clock.now()
        self._tasks: list[asyncio.Task[None]] = []
        self._image_turns = Turns()
        self._turns = Turns()  # of what makes and what removes a server's guest
        self._cards = Cards(network)
        self._lateness = Lateness()
        self._tidying = Tidying(name, bus, hypervisor, self._cards, self._turns, self._lateness)
        self._rebuilt: dict[str, datetime | None] = {}  # by server: when the last order to do so was given
        self._mover = Mover(name, bus, hypervisor)
        self._verbs: dict[str, tuple[Any, Callable[[Any], Awaitable[Any]]]] = {
            "ensure_image": (orders.EnsureImage, self._ensure_image),
            "ensure_guest": (orders.EnsureGuest, self._ensure_guest),
            "rebuild_guest": (orders.RebuildGuest, self._rebuild_guest),
            "remove_guest": (orders.RemoveGuest, self._remove_guest),
            "clear_files": (orders.ClearFiles, self._clear_files),
            "set_power": (orders.SetPower, self._set_power),
            "reboot": (orders.Reboot, self._reboot),
            "plug_card": (orders.PlugCard, self._plug_card),
            "unplug_card": (orders.UnplugCard, self._unplug_card),
            "find_guest": (orders.OfServer, self._find_guest),
            "digest_guests": (None, self._digest_guests),
            "list_guests": (None, self._list_guests),
            "interrupt": (orders.OfServer, self._interrupt),
            "set_password": (orders.SetPassword, self._set_password),
            "export_disk": (orders.OfExport, self._export_disk),
            "read_export": (orders.OfExport, self._read_export),
            "remove_export": (orders.OfExport, self._remove_export),
            "console_log": (orders.ConsoleLog, self._console_log),
            "console_sockets": (orders.OfServer, self._console_sockets),
            "prepare_landing": (orders.PrepareLanding, self._prepare_landing),
            **self._mover.verbs,
        }

    async def start(self) -> None:
        """Raises `HostRefused` before anything is served."""
        await self.hypervisor.open()
        self._lateness.since = (await be_welcome(self._bus, self._who())).at
        await self._bus.serve(orders.topic_of(self.name), self.answer)
        await self.report()
        self._tasks = [
            asyncio.create_task(self._keep(self.report, self._report_s), name=f"reports of {self.name}"),
            asyncio.create_task(self._keep_telling(), name=f"events of {self.name}"),
            asyncio.create_task(self._keep(self.tidy, TIDY_S), name=f"tidiness of {self.name}"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._mover.stop()
        await self.hypervisor.close()

    async def report(self) -> None:
        """Say now that this host is here and what it has."""
        await self._bus.cast(CONTROL_TOPIC, REPORT_VERB, await self.describe())

    async def describe(self) -> orders.HostReport:
        return orders.HostReport(
            who=self._who(),
            name=self.name,
            address=self.address,
            facts=await self.hypervisor.inspect_host(),
            booted_at=self._booted_at,
            uptime_s=time.monotonic(),
            load=os.getloadavg(),
            export_format=self.hypervisor.export_format if isinstance(self.hypervisor, ExportsDisks) else "",
            abilities=tuple(name for name, kind in ABILITIES.items() if isinstance(self.hypervisor, kind)),
        )

    def _who(self) -> orders.Hello:
        return orders.Hello(
            name=self.name, machine_id=self._machine_id, at=clock.now(), version=aerostat.__version__
        )

    async def tidy(self) -> int:
        """Take away what nobody here needs, now and at the last look. Answers how many pieces went."""
        return await self._tidying.tidy()

    async def answer(self, message: Any) -> Any:
        """What an order of `orders.py` comes to. Raises `DriverError`."""
        found = self._verbs.get(message.verb)
        if found is None:
            raise DriverError(f"The host does not know how to {message.verb}.")
        kind, verb = found
        order = message.read(kind) if kind is not None else None
        if isinstance(order, orders.ServerOrder | orders.GuestOrder):
            await self._admit(order)
        # What brings something new may go to another host; all else has to wait for room.
        waits = message.verb not in BRINGS
        try:
            return await verb(order)
        except DiskFull as error:
            raise DiskFull(str(error.detail), retry=waits) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(str(error), retry=waits) from error
            raise

    async def _admit(self, order: orders.ServerOrder | orders.GuestOrder) -> None:
        """Refuse what comes too late. If it only seems so, by a control side's clock that was set back, then whoever
        means it is heard when he gives it again.
        """
        try:
            self._lateness.admit(order.server_id, order.at)
        except DriverError:
            with contextlib.suppress(DriverError):
                if (now := (await say_hello(self._bus, self._who())).at) is not None:
                    self._lateness.set_clock(now)
            raise

    async def _keep(self, what: Callable[[], Awaitable[object]], every_s: float) -> None:
        """Again and again, whatever comes of it: the one time that it fails must not be the last."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await what()
            except DriverError as error:
                log.warning("upkeep failed", host=self.name, what=what.__name__, error=error.message)
            except Exception as error:
                log.error("upkeep failed", host=self.name, what=what.__name__, exc_info=error)

    async def _keep_telling(self) -> None:
        while True:
            try:
                async for event in self.hypervisor.events():
                    told = orders.GuestEvent(self.name, event.domain_id, event.what)
                    await self._bus.publish(GUEST_EVENT, told)
            except DriverError as error:
                log.warning("the hypervisor's events broke off", host=self.name, error=error.message)
            except Exception as error:
                log.error("the hypervisor's events broke off", host=self.name, exc_info=error)
            await asyncio.sleep(EVENTS_PAUSE_S)

    # Orders

    async def _ensure_image(self, order: orders.EnsureImage) -> None:
        image = order.image
        async with self._image_turns.of(image.id):
            if await self.hypervisor.find_base_image(image.id) is None:
                await self.hypervisor.ensure_base_image(image, self._fetch(image.id))

    async def _ensure_guest(self, order: orders.EnsureGuest) -> Domain:
        async with self._turns.of(order.spec.id):
            if not order.new:
                await self._check_disk(order.spec.id)
            return await self._make(order.spec, order.power)

    async def _rebuild_guest(self, order: orders.RebuildGuest) -> Domain:
        async with self._turns.of(order.spec.id):
            if order.at is None or self._rebuilt.get(order.spec.id) != order.at:
                await self.hypervisor.remove_domain(order.spec.id)
            made = await self._make(order.spec, order.power)
            self._rebuilt[order.spec.id] = order.at  # should it come again: the new disk may be in use
            return made

    async def _make(self, spec: GuestSpec, power: Power) -> Domain:
        """The guest with its cards; those that it had before and has no more are unplugged."""
        before = await self.hypervisor.inspect_domain(spec.id)
        with self._cards.awaiting(spec.cards):
            made = await self.hypervisor.ensure_domain(await self._plugged(spec), power)
        await self._cards.unplug(set(before.ports if before is not None else ()) - set(made.ports))
        return made

    async def _remove_guest(self, order: orders.RemoveGuest) -> None:
        async with self._turns.of(order.server_id):
            found = await self.hypervisor.inspect_domain(order.server_id)
            ports = {*order.port_ids, *(found.ports if found is not None else ())}
            if order.heir is not None:
                await self._mover.moves.leave(order.server_id, order.heir)
            else:
                await self.hypervisor.remove_domain(order.server_id)
            await self._cards.unplug(ports)
            self._rebuilt.pop(order.server_id, None)

    async def _clear_files(self, order: orders.ClearFiles) -> None:
        """Never a guest's: the order may come again when the server has come and runs here."""
        async with self._turns.of(order.server_id):
            if await self.hypervisor.inspect_domain(order.server_id) is not None:
                raise DriverError("The host still has a guest of this server.", detail=order.server_id)
            await self.hypervisor.remove_domain(order.server_id)

    async def _prepare_landing(self, order: orders.PrepareLanding) -> Landing:
        async with self._turns.of(order.spec.id):
            return await self._mover.moves.prepare_landing(await self._plugged(order.spec))

    async def _set_power(self, order: orders.SetPower) -> Domain:
        return await self.hypervisor.ensure_power(order.server_id, order.power, limit_s=order.limit_s)

    async def _reboot(self, order: orders.Reboot) -> Domain:
        return await self.hypervisor.reboot(order.server_id, hard=order.hard, limit_s=order.limit_s)

    async def _plug_card(self, order: orders.PlugCard) -> None:
        await self.hypervisor.ensure_interface(order.server_id, await self._cards.plug(order.card))

    async def _unplug_card(self, order: orders.UnplugCard) -> None:
        await self.hypervisor.remove_interface(order.server_id, order.port_id)
        await self._cards.unplug([order.port_id])

    async def _find_guest(self, order: orders.OfServer) -> Domain | None:
        return await self.hypervisor.inspect_domain(order.server_id)

    async def _digest_guests(self, _: None) -> str:
        return digest_of(await self.hypervisor.list_domains())

    async def _list_guests(self, _: None) -> list[Domain]:
        return await self.hypervisor.list_domains()

    async def _console_log(self, order: orders.ConsoleLog) -> str:
        return await self.hypervisor.console_log(order.server_id, order.max_bytes)

    async def _console_sockets(self, order: orders.OfServer) -> Any:
        return await self.hypervisor.console_sockets(order.server_id)

    async def _interrupt(self, order: orders.OfServer) -> None:
        if not isinstance(self.hypervisor, Interrupts):
            raise DriverError("The host's hypervisor cannot interrupt guests.")
        await self.hypervisor.interrupt(order.server_id)

    async def _set_password(self, order: orders.SetPassword) -> None:
        if not isinstance(self.hypervisor, SetsPasswords):
            raise DriverError("The host's hypervisor cannot change passwords.")
        await self.hypervisor.set_password(order.server_id, order.user, order.password)

    async def _export_disk(self, order: orders.OfExport) -> None:
        await self._exporter().export_disk(order.server_id, order.export_id)

    async def _read_export(self, order: orders.OfExport) -> bytes:
        size = orders.CHUNK_BYTES
        return await self._exporter().read_export(order.server_id, order.export_id, order.offset, size)

    async def _remove_export(self, order: orders.OfExport) -> None:
        await self._exporter().remove_export(order.server_id, order.export_id)

    # Within

    async def _check_disk(self, server_id: str) -> None:
        if not isinstance(self.hypervisor, MovesDomains):
            return  # it cannot tell
        if not await self.hypervisor.moves.has_disk(server_id):
            raise DriverError("The server's disk is not on the host.", detail=server_id)

    def _exporter(self) -> ExportsDisks:
        if not isinstance(self.hypervisor, ExportsDisks):
            raise DriverError("The host's hypervisor cannot copy disks out.")
        return self.hypervisor

    async def _plugged(self, spec: GuestSpec) -> DomainSpec:
        """The spec with a tap for each card, plugged now: after a reboot of the host no tap is left."""
        interfaces = [await self._cards.plug(card) for card in spec.cards]
        return DomainSpec(
            id=spec.id,
            name=spec.name,
            title=spec.title,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            root=spec.root,
            rescue=spec.rescue,
            ephemeral_gib=spec.ephemeral_gib,
            swap_mib=spec.swap_mib,
            interfaces=tuple(interfaces),
            config_drive=spec.config_drive,
            properties=spec.properties,
        )

    async def _fetch(self, image_id: str) -> AsyncIterator[bytes]:
        """An image's bytes from the control side, piece by piece: the same on every bus."""
        offset = 0
        while True:
            piece = await self._bus.call(
                CONTROL_TOPIC, READ_IMAGE_VERB, orders.ReadImage(image_id, offset), timeout_s=60.0, into=bytes
            )
            if not piece:
                return
            offset += len(piece)
            yield piece


async def say_hello(bus: Any, who: orders.Hello) -> orders.Welcome:
    """What the control plane answers. Raises `DriverError`."""
    welcome: orders.Welcome = await bus.call(
        CONTROL_TOPIC, HELLO_VERB, who, timeout_s=HELLO_LIMIT_S, into=orders.Welcome
    )
    return welcome


async def be_welcome(bus: Any, who: orders.Hello) -> orders.Welcome:
    """Say hello until the control plane answers. Raises `HostRefused`."""
    waits = 0
    while True:
        try:
            welcome = await say_hello(bus, who)
        except DriverError as error:
            if not error.retry:
                raise
            if waits == 0:
                say(f"{who.name} waits for the control plane, as long as it takes", reason=error.message)
            elif waits == 5 or waits % 100 == 0:
                log.warning("host.waiting_for_control_plane", host=who.name, reason=error.message)
            waits += 1
            await asyncio.sleep(HELLO_PAUSE_S * random.uniform(0.5, 1.0))
            continue
        if welcome.refusal:
            raise HostRefused(f"host {who.name} may not serve: {welcome.refusal}")
        if welcome.warning:
            log.warning("host.warned", host=who.name, warning=welcome.warning)
        return welcome


@contextlib.asynccontextmanager
async def running(agent: HostAgent) -> AsyncIterator[HostAgent]:
    """The agent for as long as the block lasts."""
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()
