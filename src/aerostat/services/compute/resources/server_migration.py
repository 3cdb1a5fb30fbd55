"""The live migration that goes on with a server: how far it is, and hurrying it or breaking it off.

Wire: /servers/{server_id}/migrations, https://docs.openstack.org/api-ref/compute/#server-migrations-servers-migrations
What is asked of it is written into its row; its flow tells the host.
"""

from typing import Any

import msgspec

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro
from aerostat.kernel.work import wake

from .. import model, moves
from ..host.protocol import Progress
from .arguments import at_least
from .schemas import closed
from .server.lookup import check_state, check_unlocked, find_for
from .server.record import record_done
from .terms import ADMIN, rules

_RULE = "os_compute_api:servers:migrations:"
_FORCE = closed({"force_complete": {"type": "null"}}, "force_complete")


class ServerMigration(Resource):
    extra_rules = rules(*((_RULE + verb, ADMIN) for verb in ("index", "show", "force_complete", "delete")))

    @route("GET", "/servers/{server_id}/migrations", since="2.23")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "index")
        rows = await req.db.all(
            model.MIGRATIONS,
            {"server_id": server.id, "kind": moves.LIVE, "status": moves.IN_PROGRESS},
            order="created_at",
        )
        return {"migrations": [_view(req, row) for row in rows]}

    @route("GET", "/servers/{server_id}/migrations/{migration_id}", since="2.23")
    async def show_one(self, req: Request, server_id: str, migration_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "show")
        row = await _find(req, server, migration_id)
        if row is None:
            raise NotFound(f"In-progress live migration {migration_id} is not found for server {server_id}.")
        if row.kind != moves.LIVE:
            raise NotFound(f"Migration {migration_id} for server {server_id} is not live-migration.")
        if row.status not in moves.IN_PROGRESS:
            raise NotFound(f"Live migration {migration_id} for server {server_id} is not in progress.")
        return {"migration": _view(req, row)}

    @route(
        "POST", "/servers/{server_id}/migrations/{migration_id}/action", since="2.22", status=202, body=_FORCE
    )
    async def force_complete(self, req: Request, server_id: str, migration_id: str) -> None:
        server = await find_for(req, server_id, _RULE + "force_complete")
        check_unlocked(req, server)
        check_state(server, "force_complete", "migrating")
        row = await _find(req, server, migration_id)
        if row is None:
            raise BadRequest(f"Migration {migration_id} not found for instance {server_id}")
        _check_status(row, "force_complete", "running")
        await _wish(req, server, row, "hurry")

    @route("DELETE", "/servers/{server_id}/migrations/{migration_id}", since="2.24", status=202)
    async def abort(self, req: Request, server_id: str, migration_id: str) -> Response:
        server = await find_for(req, server_id, _RULE + "delete")
        check_unlocked(req, server)
        check_state(server, "abort live migration", "migrating")
        row = await _find(req, server, migration_id)
        if row is None:
            raise NotFound(f"Migration {migration_id} not found for instance {server_id}")
        if row.status in ("queued", "preparing") and not at_least(req, 65):
            raise Conflict(
                f"Aborting live migration {migration_id} with status {row.status} is not supported yet."
            )
        _check_status(row, "abort", "queued", "preparing", "running")
        await _wish(req, server, row, "abort")
        return Response(None, 202)


async def _find(req: Request, server: Row, migration_id: str) -> Row | None:
    """By the number that clients know it by."""
    if not migration_id.isdigit() or int(migration_id) >= 2**31:
        return None
    return await req.db.find(model.MIGRATIONS, number=int(migration_id), server_id=server.id)


def _check_status(row: Row, what: str, *statuses: str) -> None:
    if row.kind != moves.LIVE or row.status not in statuses:
        raise BadRequest(
            f"Migration {row.number} state of instance {row.server_id} is {row.status}. "
            f"Cannot {what} while the migration is in this state."
        )


async def _wish(req: Request, server: Row, row: Row, wish: str) -> None:
    async with req.db.transaction() as tx:
        await tx.update(model.MIGRATIONS, {"id": row.id}, wish=wish)
        await wake(tx, model.SERVERS, server.id)
        name = "server.live_migration_force_complete" if wish == "hurry" else "server.live_migration_abort"
        await record_done(tx, req, server, name)


def _view(req: Request, row: Row) -> dict[str, Any]:
    progress = msgspec.to_builtins(msgspec.convert(row.progress or {}, Progress))
    view = {
        "id": row.number,
        "server_uuid": row.server_id,
        "status": row.status,
        "source_compute": row.source_host,
        "source_node": row.source_host,
        "dest_compute": row.dest_host,
        "dest_node": row.dest_host,
        "dest_host": None,
        "created_at": iso_micro(row.created_at),
        "updated_at": iso_micro(row.updated_at) if row.updated_at else None,
        **progress,
    }
    if at_least(req, 59):
        view["uuid"] = row.id
    if at_least(req, 80):
        view |= {"user_id": row.user_id, "project_id": row.project_id}
    return view
