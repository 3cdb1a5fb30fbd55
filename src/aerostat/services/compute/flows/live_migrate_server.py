"""Live migration: a running guest goes to another host, and does not notice.

Until it has arrived everything can be taken back; from then on everything follows it. So there is one undo, which
looks where the guest is.
"""

from datetime import timedelta

import msgspec

from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from .. import model, moves, networking
from ..errors import StorageIsShared, StorageNotShared
from ..guest import guest_of
from ..host.orders import HostLink, Sending
from ..host.protocol import Landing, Power
from ..room import room_of
from ..states import POWER_STATES, REST_EVENTS, SERVER
from .power_server import back_to_rest

LOOK_AGAIN_S = 0.1  # the host's answer itself waits
MOST_SENDINGS = 3
LIVES = ("running", "paused")


async def _give_up(work: Work, server: Row, fault: Fault) -> None:
    arrived = server.host == work.data.get("target")
    broken_off = "cancelled" if work.data.get("aborted") else "error"
    moves.note(work, status="completed" if arrived else broken_off)
    await back_to_rest(work, server, fault)


live_migrate_server = Flow(
    "server.live-migration",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=_give_up,
)


@live_migrate_server.step
async def claim_target(work: Work, server: Row) -> None:
    """Choose the target and take room on it; what the server leaves is kept for it."""
    moves.note(work, status="preparing")
    await moves.claim_target(work, server)


@claim_target.undo
async def settle(work: Work, server: Row) -> None:
    """Ports, claims and files are where the guest is, and nowhere else."""
    migration = await moves.of_flow(work)
    target = work.data.get("target")
    if target is None:
        return
    if await _has_arrived(work, server, migration.source_host, target):
        await _follow(work, server, migration.source_host, target)
        return
    await moves.remove_there(work, server, target)
    await networking.bind_ports(
        room_of(work.house).network_admin(work.request_id), server, migration.source_host
    )
    await moves.hold_only(work, server, work.flow_id, migration.source_host)


@live_migrate_server.step
async def prepare_target(work: Work, server: Row) -> None:
    """What the guest needs there: its files' places, its taps, packets for it."""
    if work.data.get("landing") is not None:
        return
    room = room_of(work.house)
    target = room.host(work.data["target"], work.request_id)
    owner = await target.find_owner(server.id)
    shared = owner is not None and owner != work.data["target"]
    asked = work.data.get("block_migration")  # None: as it is best
    if asked is True and shared:
        raise StorageIsShared(host=work.data["target"])
    if asked is False and not shared:
        raise StorageNotShared(host=work.data["target"])
    if not shared:
        source = (await moves.of_flow(work)).source_host
        await target.clear_files(server.id)
        await target.fetch_files(server.id, source, running=True)
    landing = await target.prepare_landing(await guest_of(work.house, server, work.request_id))
    await networking.announce_move(room.network_admin(work.request_id), server, work.data["target"])
    work.data["landing"] = msgspec.to_builtins(landing)
    work.data["shared"] = shared


@live_migrate_server.step
async def send(work: Work, server: Row) -> Outcome | None:
    """Send the guest, and look after it until it has arrived. The process that sends may die: it is begun again."""
    migration = await moves.of_flow(work)
    source = room_of(work.house).host(migration.source_host, work.request_id)
    sending = await source.watch_sending(server.id)
    if sending.state == "none":
        if await _has_arrived(work, server, migration.source_host, work.data["target"]):
            return None
        sending = await _begin(work, server, source, migration)
    if sending.state == "running":
        if migration.wish is not None:
            await source.steer_sending(server.id, migration.wish)
        moves.note(work, status="running", progress=msgspec.to_builtins(sending.progress))
        return work.again(LOOK_AGAIN_S)
    if await _has_arrived(work, server, migration.source_host, work.data["target"]):
        return None
    if sending.state == "aborted":
        work.data["aborted"] = True
    raise DriverError(sending.reason or "The server did not arrive on its new host.")


@live_migrate_server.step
async def follow(work: Work, server: Row) -> None:
    """The guest has arrived. Nothing leads back from here."""
    migration = await moves.of_flow(work)
    await _follow(work, server, migration.source_host, work.data["target"])
    moves.note(work, status="completed")
    power = _power(server)
    work.move(
        REST_EVENTS[server.state_before], power_state=POWER_STATES[power], state_before=None, fault=None
    )


async def _begin(work: Work, server: Row, source: HostLink, migration: Row) -> Sending:
    if migration.wish == "abort":
        work.data["aborted"] = True
        raise DriverError("The migration was broken off.")
    tried = work.data.get("sendings", 0)
    if tried >= MOST_SENDINGS:
        raise DriverError("The server did not arrive on its new host.", detail=f"begun {tried} times")
    work.data["sendings"] = tried + 1
    await work.save()
    landing = msgspec.convert(work.data["landing"], Landing)
    return await source.send_guest(server.id, landing, copy_disks=not work.data["shared"])


async def _has_arrived(work: Work, server: Row, source: str, target: str) -> bool:
    """Where both know the guest it is still on its way."""
    if server.host == target:
        return True
    room = room_of(work.house)
    here = await room.host(source, work.request_id).find_guest(server.id)
    if here is not None and here.state in LIVES:
        return False
    there = await room.host(target, work.request_id).find_guest(server.id)
    return there is not None and there.state in LIVES


async def _follow(work: Work, server: Row, source: str, target: str) -> None:
    room = room_of(work.house)
    await networking.bind_ports(room.network_admin(work.request_id), server, target)
    spec = await guest_of(work.house, server, work.request_id)
    await room.host(target, work.request_id).ensure_guest(spec, _power(server))
    await moves.settle_on(work, server, target)
    await moves.hold_only(work, server, work.flow_id, target)
    await moves.remove_there(work, server, source)


def _power(server: Row) -> Power:
    return "paused" if server.state_before == "paused" else "running"
