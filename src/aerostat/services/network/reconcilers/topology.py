"""The topology: does the driver's world have the things that the rows describe?

Woken by a change it looks at the things that changed; on the clock, at its first run and after a failure it compares
everything. A driver that fails leaves the changes where they are, for the next round; that all must be compared is
noted among them, for the next round may be another process's.
"""

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Table, select

from aerostat.kernel import clock, operation
from aerostat.kernel.db import Row, Store
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Reconciler
from aerostat.kernel.work.lease import LEASE

from ..changes import EVERYTHING, TOPOLOGY, touch_everything
from ..config import NetworkConfig
from ..host.protocol import Changes, FloatingIP, Key, NetworkDriver, Port, Thing, key_of
from ..model import CHANGES, FLOATING_IPS, PORTS
from ..ports import GATEWAY, INTERFACE, METADATA
from ..topology import read_things

if TYPE_CHECKING:
    from aerostat.kernel.house import House

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 400
LOOK_EVERY_S = 20.0
PORTS_CHANGED = "network.ports_changed"
_SERVICES = (INTERFACE, GATEWAY, METADATA)  # ports that are in use as soon as they are there


class Progress:
    """What this process knows of earlier rounds; forgetting it costs a full comparison."""

    def __init__(self) -> None:
        self.compared_at: datetime | None = None
        self.unsound: set[Key] = set()  # said once


async def reconcile(house: "House") -> int:
    """One round. Answers how many things it changed in the world. Raises `DriverError` when that failed."""
    room = house.state["network"]
    settings = house.config.section(NetworkConfig)
    progress: Progress = room.progress
    pending = await house.store.fetch(select(CHANGES).order_by(CHANGES.c.id).limit(MOST_AT_ONCE))
    full_sync = timedelta(seconds=settings.full_sync_s)
    due = progress.compared_at is None or not clock.is_recent(progress.compared_at, full_sync)
    due = due or any(row.kind == EVERYTHING for row in pending)
    if not due and not pending:
        return 0
    keys = None if due else dict.fromkeys(Key(row.kind, row.thing_id) for row in pending)
    if devices := sorted({row.device_id for row in pending if row.device_id}):
        # Rooms above that show ports of their own things read them anew; told twice is told once.
        await house.bus.publish(PORTS_CHANGED, {"device_ids": devices})
    read_at_s = time.monotonic()
    things = await read_things(house.store, settings, keys)
    there = {key_of(thing) for thing in things}
    gone = None if keys is None else [key for key in keys if key not in there]
    things = [thing for thing in things if await _is_sound(house, room.driver, progress, thing)]
    try:
        done = await _apply(room.driver, things, gone)
    except DriverError as error:
        await _owe_comparison(house.store, progress)
        await operation.record(
            house.store,
            None,
            TOPOLOGY,
            "failed",
            request_id=TOPOLOGY,
            reason=error.message,
            data=error.detail,
        )
        raise
    await _note(house.store, things, pending)
    if due:
        progress.compared_at = clock.now()
    overtaken = time.monotonic() - read_at_s > LEASE.total_seconds()
    if overtaken:
        # Another process may have written newer things meanwhile, and ours came on top of them.
        await _owe_comparison(house.store, progress)
    if overtaken or len(pending) == MOST_AT_ONCE:
        house.nudge(TOPOLOGY)
    return len(done.ensured) + len(done.removed)


async def _owe_comparison(store: Store, progress: Progress) -> None:
    """The next round compares everything, whoever's it is; ours does, if that cannot be noted now."""
    progress.compared_at = None
    async with store.transaction() as tx:
        await touch_everything(tx)


async def _is_sound(house: "House", driver: NetworkDriver, progress: Progress, thing: Thing) -> bool:
    """Whether the driver understands the thing. One that it does not must not hold up all the others."""
    try:
        driver.fingerprint(thing)
        return True
    except Exception as error:
        key = key_of(thing)
        if key not in progress.unsound:
            progress.unsound.add(key)
            log.error("the driver does not understand a thing", thing=str(key), exc_info=error)
            await operation.record(
                house.store,
                None,
                TOPOLOGY,
                "failed",
                request_id=TOPOLOGY,
                subject_kind=key.kind,
                subject_id=key.id,
                reason=f"The network driver does not understand it: {error}",
            )
        return False


async def _apply(driver: NetworkDriver, things: list[Thing], gone: list[Key] | None) -> Changes:
    if gone is None:
        return await driver.sync(things)
    # What goes makes room for what comes: an address may move from one thing to another.
    removed = (await driver.remove_things(gone)).removed if gone else ()
    ensured = (await driver.ensure_things(things)).ensured if things else ()
    return Changes(ensured=ensured, removed=removed)


async def _note(store: Store, things: list[Thing], pending: list[Row]) -> None:
    """What is in the world now is active; the changes have been told.

    A floating IP that was led elsewhere since `things` were read is not in the world yet: its change is still to come.
    """
    there = [thing.id for thing in things if isinstance(thing, Port)]
    led = {thing.id: thing for thing in things if isinstance(thing, FloatingIP)}
    ports = await _down(store, PORTS, there, device_owner=_SERVICES)
    floating = await _down(store, FLOATING_IPS, list(led))
    if not pending and not ports and not floating:
        return
    async with store.transaction() as tx:
        for start in range(0, len(ports), MOST_AT_ONCE):
            await tx.update(PORTS, {"id": ports[start : start + MOST_AT_ONCE]}, status="ACTIVE")
        for id in floating:
            as_read = {"port_id": led[id].port_id, "fixed_ip_address": led[id].fixed_ip}
            await tx.update(FLOATING_IPS, {"id": id, **as_read}, status="ACTIVE")
        if pending:
            await tx.delete(CHANGES, id=[row.id for row in pending])


async def _down(store: Store, table: Table, ids: list[str], **where: Any) -> list[str]:
    """Those of `ids` whose rows say that they are not in use."""
    found: list[str] = []
    for start in range(0, len(ids), MOST_AT_ONCE):
        some = {"id": ids[start : start + MOST_AT_ONCE], "status": "DOWN"}
        found += [row.id for row in await store.all(table, some | where)]
    return found


RECONCILER = Reconciler(TOPOLOGY, every=LOOK_EVERY_S, run=reconcile)
