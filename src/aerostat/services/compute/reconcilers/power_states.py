"""Every guest runs, or does not, as its server's row says.

A guest that shut itself down is believed: its server is stopped. One that is off for any other reason (the host was
restarted, its process died) is started again, and one that an order moved after all was over is moved back. A paused
or suspended one that is off has lost what it was to go on with, so its server is stopped, too. Passing states are left
to their flows.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.work import Reconciler

from .. import model
from ..guest import guest_of
from ..host.protocol import Domain
from ..hosts import POWER
from ..room import room_of
from ..states import DESIRED_POWER, POWER_STATES, SERVER, desired_power

log = structlog.get_logger(__name__)

REQUEST_ID = "compute-power"
HOSTS_AT_ONCE = 500
BY_ITSELF = "the guest shut down"


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about one server."""

    server_id: str
    host: str
    state: str
    what: Literal["start", "set", "believe_stopped", "lost", "note"]
    power_state: int


async def _observe(house: Any) -> tuple[list[Row], dict[str, dict[str, Domain]]]:
    """Servers that rest, and the guests of every host that answers: where either changed since the last round."""
    watch = room_of(house).power_watch
    since = watch.begin()
    servers = model.SERVERS.c
    moved = select(servers.host).where(servers.host.is_not(None)).distinct()
    if since is not None:
        moved = moved.where(servers.updated_at >= since)
    suspects = {row.host for row in await house.store.fetch(moved)}
    desired: list[Row] = []
    found = await watch.changed_guests(house, REQUEST_ID, suspects)
    names = sorted(found)
    for start in range(0, len(names), HOSTS_AT_ONCE):
        some = {"host": names[start : start + HOSTS_AT_ONCE], "state": list(DESIRED_POWER)}
        desired += await house.store.all(model.SERVERS, some)
    return desired, {host: {guest.id: guest for guest in guests} for host, guests in found.items()}


def plan_power(desired: list[Row], actual: Mapping[str, Mapping[str, Domain]]) -> list[Repair]:
    """Nothing for servers whose host did not answer: silence says nothing about guests."""
    repairs = []
    for server in desired:
        guests = actual.get(server.host)
        if guests is None:
            continue
        found = guests.get(server.id)
        wanted = desired_power(server.state, server.flavor_before)
        what: Any = None
        if found is None:
            what = "lost"
        elif found.state == wanted:
            what = "note" if POWER_STATES[found.state] != server.power_state else None
        elif wanted == "running":
            what = "believe_stopped" if found.state == "shutoff" and found.reason == BY_ITSELF else "start"
        elif wanted == "shutoff" or found.state in ("running", "paused", "suspended"):
            what = "set"  # an order that came late, or twice, moved it
        else:
            what = "believe_stopped"
        if what is not None:
            power = POWER_STATES[found.state] if found is not None else 0
            repairs.append(
                Repair(
                    server_id=server.id, host=server.host, state=server.state, what=what, power_state=power
                )
            )
    return repairs


async def _apply(house: Any, repair: Repair) -> None:
    """Look once more before doing anything: a flow may have begun meanwhile."""
    room, store = room_of(house), house.store
    room.power_watch.forget(repair.host)  # seen to be right before it is believed to be
    server = await store.find(model.SERVERS, id=repair.server_id, state=repair.state, host=repair.host)
    if server is None:
        return
    host = room.host(repair.host, REQUEST_ID)
    guard = {"state": repair.state}
    log.info("power state repaired", server_id=server.id, what=repair.what)
    if repair.what == "start":
        found = await host.ensure_guest(await guest_of(house, server, REQUEST_ID))
        power = POWER_STATES[found.state]
        await store.update(model.SERVERS, {"id": server.id, **guard}, power_state=power)
    elif repair.what == "set":
        wanted = desired_power(server.state, server.flavor_before)
        assert wanted is not None, "only servers of which something is desired are repaired"
        found = await host.set_power(server.id, wanted)
        power = POWER_STATES[found.state]
        await store.update(model.SERVERS, {"id": server.id, **guard}, power_state=power)
    elif repair.what == "believe_stopped":
        guest = await host.find_guest(server.id)
        if guest is None or guest.state not in ("shutoff", "crashed"):
            return  # begun after the host was looked at, and before its row was
        async with store.transaction() as tx:
            if server.state in ("active", "paused", "suspended"):
                await SERVER.move(
                    tx, model.SERVERS, server.id, "halted", where=guard, power_state=repair.power_state
                )
            else:
                await tx.update(model.SERVERS, {"id": server.id, **guard}, power_state=repair.power_state)
    elif repair.what == "lost":
        if await host.find_guest(server.id) is not None:
            return  # made after the host was looked at, and before its row was
        fault = {"message": f"Host {repair.host} no longer has this server.", "code": "GuestLost"}
        fault["at"] = server.updated_at.isoformat() if server.updated_at else server.created_at.isoformat()
        async with store.transaction() as tx:
            await SERVER.move(tx, model.SERVERS, server.id, "fail", where=guard, power_state=0, fault=fault)
    else:
        await store.update(model.SERVERS, {"id": server.id, **guard}, power_state=repair.power_state)


power_states = Reconciler(
    POWER,
    every=60.0,
    observe=_observe,
    plan=plan_power,
    apply=_apply,
    forget=lambda house: room_of(house).power_watch.forget_all(),
)
