"""Resize on the same host: claim, stop, change, start; then the owner confirms or reverts.

While the owner decides, the claim holds the larger of both flavors in everything, so that both ways stay open.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import Fault, Flow, Work

from .. import model, moves
from ..errors import NoValidHost
from ..guest import guest_of
from ..hosts import look_for_orphans
from ..placing import resources_of
from ..room import room_of
from ..states import RUNNING, SERVER, SHUTDOWN, was_stopped
from .migrate_server import confirm_move, revert_move
from .power_server import back_to_rest

LIMIT = timedelta(minutes=30)


async def _give_up(work: Work, server: Row, fault: Fault) -> None:
    _note(work, server, "error")
    await back_to_rest(work, server, fault)


def _flow(name: str) -> Flow:
    return Flow(f"server.{name}", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=_give_up)


resize_server = _flow("resize")
confirm_resize = _flow("confirmResize")
revert_resize = _flow("revertResize")


@resize_server.step
async def claim_both(work: Work, server: Row) -> None:
    """Room for the larger of both flavors on the server's own host."""
    new = work.data["flavor"]
    wanted = _larger(resources_of(server.flavor_before or server.flavor), resources_of(new))
    await _claim(work, server, wanted)
    _note(work, server, "migrating")


@claim_both.undo
async def claim_old_again(work: Work, server: Row) -> None:
    await _claim(work, server, resources_of(server.flavor_before or server.flavor))


@resize_server.step
async def change(work: Work, server: Row) -> None:
    """A guest takes on a new shape only while it is off, and stays off if it was."""
    if server.flavor_before is None:
        server.flavor_before = {**server.flavor, "was": server.state_before}
        server.flavor = work.data["flavor"]
        server.flavor_id = work.data["flavor"]["id"]
        await work.save()
    stopped = was_stopped(server.flavor_before)
    await _reshape(work, server, run=not stopped)
    _note(work, server, "finished")
    work.move("resized", power_state=SHUTDOWN if stopped else RUNNING)


@change.undo
async def change_back(work: Work, server: Row) -> None:
    if server.flavor_before is not None:
        stopped = was_stopped(server.flavor_before)
        _take_back(server)
        await _reshape(work, server, run=not stopped)


@confirm_resize.step
async def claim_new(work: Work, server: Row) -> None:
    stopped = was_stopped(server.flavor_before)
    if (move := await moves.find_finished(work.db, server)) is not None:
        await confirm_move(work, server, move)
    await _claim(work, server, resources_of(server.flavor))
    if stopped:
        await room_of(work.house).host(server.host, work.request_id).set_power(server.id, "shutoff")
    server.flavor_before = None
    _note(work, server, "confirmed")
    _move_to_rest(work, stopped)


@revert_resize.step
async def restore(work: Work, server: Row) -> None:
    if server.flavor_before is not None:
        work.data["stopped"] = was_stopped(server.flavor_before)
        _take_back(server)
        await work.save()
    if (move := await moves.find_finished(work.db, server)) is not None:
        await revert_move(work, server, move, run=not work.data["stopped"])
    else:
        await _reshape(work, server, run=not work.data["stopped"])
    await _claim(work, server, resources_of(server.flavor))
    _note(work, server, "reverted")
    _move_to_rest(work, work.data["stopped"])


def _note(work: Work, server: Row, status: str) -> None:
    """Keep the migration that upstream shows for a resize, here from a host to itself."""

    async def write(tx: Transaction) -> None:
        if work.flow is not resize_server:
            last = await tx.all(model.MIGRATIONS, {"server_id": server.id}, order="-created_at", limit=1)
            for row in last:
                await tx.update(model.MIGRATIONS, {"id": row.id}, status=status)
        elif not await tx.update(model.MIGRATIONS, {"id": work.flow_id}, status=status):
            await tx.insert(
                model.MIGRATIONS,
                id=work.flow_id,
                number=secrets.randbelow(2**31 - 1) + 1,
                server_id=server.id,
                project_id=server.project_id,
                user_id=server.user_id,
                kind=moves.RESIZE,
                status=status,
                source_host=server.host,
                dest_host=server.host,
            )

    work.also(write)


def _move_to_rest(work: Work, stopped: bool) -> None:
    work.also(look_for_orphans)  # what it left on other hosts had to wait until it was known where it stays
    work.move(
        "halted" if stopped else "running",
        power_state=SHUTDOWN if stopped else RUNNING,
        state_before=None,
        fault=None,
    )


def _take_back(server: Row) -> None:
    old = dict(server.flavor_before)
    old.pop("was", None)
    server.flavor, server.flavor_id, server.flavor_before = old, old["id"], None


async def _reshape(work: Work, server: Row, *, run: bool) -> None:
    host = room_of(work.house).host(server.host, work.request_id)
    await host.set_power(server.id, "shutoff")
    spec = await guest_of(work.house, server, work.request_id)
    await host.ensure_guest(spec, "running" if run else "shutoff")


async def _claim(work: Work, server: Row, resources: Mapping[str, int]) -> None:
    host = await work.db.get(model.HOSTS, name=server.host)
    if not await room_of(work.house).placing(work.request_id).claim(server, host.id, resources):
        wanted = ", ".join(f"{kind} {amount}" for kind, amount in resources.items())
        raise NoValidHost(reason=f"{server.host} has no room for {wanted}.")


def _larger(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, Any]:
    return {kind: max(one.get(kind, 0), other.get(kind, 0)) for kind in {**one, **other}}
