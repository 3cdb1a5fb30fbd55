"""Moving a server to another host, while it runs or with a pause.

Wire: https://docs.openstack.org/api-ref/compute/#migrate-server-migrate-action and
#live-migrate-server-os-migratelive-action
"""

from functools import cache
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request
from aerostat.kernel.http.versions import Version
from aerostat.kernel.resource import action

from .... import model, moves
from ....errors import NoValidHost
from ....flows.live_migrate_server import live_migrate_server
from ....flows.migrate_server import migrate_server
from ....placing import resources_of
from ....room import room_of
from ....scheduling import Move, decide
from ...arguments import at_least
from ...schemas import BOOLEAN, HOST, closed, read_boolean
from ...terms import ADMIN
from ..lookup import begin, check_has_host, check_state, check_unlocked

_ANYTHING: dict[str, Any] = {}
_RULE = "os_compute_api:os-migrate-server:"
_HOST_OR_NONE = {"oneOf": [HOST, {"type": "null"}]}


@cache
def _cold_schema(version: Version, wording: str) -> BodySchema:
    """Before 2.56 whatever stands there means nothing."""
    nothing = {"type": "null"}
    asked = closed({"host": _HOST_OR_NONE})
    return BodySchema({"oneOf": [nothing, asked]} if version >= (2, 56) else {}, wording)


@cache
def _live_schema(version: Version, wording: str) -> BodySchema:
    body: dict[str, Any] = {"host": _HOST_OR_NONE, "block_migration": BOOLEAN}
    if version < (2, 25):
        body["disk_over_commit"] = BOOLEAN
    else:
        body["block_migration"] = {"oneOf": [BOOLEAN, {"enum": ["auto"]}]}
    required = tuple(body)
    if (2, 30) <= version < (2, 68):
        body["force"] = BOOLEAN
    return BodySchema(closed(body, *required), wording)


@action("migrate", policy=_RULE + "migrate", default=ADMIN, body=_ANYTHING)
async def migrate(req: Request, server: Row, body: Any) -> None:
    _cold_schema(req.version, req.service.invalid).check(body)
    asked = (body or {}).get("host") if at_least(req, 56) else None
    check_unlocked(req, server)
    check_has_host(server)
    check_state(server, "migrate", "active", "stopped")
    await check_target(req, server, asked)
    # What cannot be is said at once.
    await _check_room(req, server, asked)
    await begin(
        req,
        server,
        "resize",
        migrate_server,
        what="migrate",
        data={"asked": asked},
        also=moves.recorded(server, moves.COLD, asked),
    )


@action("os-migrateLive", policy=_RULE + "migrate_live", default=ADMIN, body=_ANYTHING)
async def migrate_live(req: Request, server: Row, body: Any) -> None:
    _live_schema(req.version, req.service.invalid).check(body)
    asked = body["host"]
    forced = read_boolean(body.get("force", False))
    if forced and not asked:
        raise BadRequest("Can't force to a non-provided destination")
    block = None if body["block_migration"] == "auto" else read_boolean(body["block_migration"])
    check_unlocked(req, server)
    check_has_host(server)
    check_state(server, "os-migrateLive", "active", "paused")
    await check_target(req, server, asked)
    # Before 2.30 a host that was named was not looked at.
    forced = forced or bool(asked and not at_least(req, 30))
    if not at_least(req, 34):
        await _check_up(req, server.host)
        if not forced:
            await _check_room(req, server, asked)
    await begin(
        req,
        server,
        "migrate_live",
        live_migrate_server,
        what="os-migrateLive",
        data={"asked": asked, "forced": forced, "block_migration": block},
        also=moves.recorded(server, moves.LIVE, asked),
    )


async def check_target(req: Request, server: Row, name: str | None) -> None:
    """Raises `BadRequest` for a host that there is not, or that the server is on."""
    if name is None:
        return
    if await req.db.find(model.HOSTS, name=name) is None:
        raise BadRequest(f"Compute host {name} could not be found.")
    if name == server.host:
        raise BadRequest(f"Unable to migrate instance ({server.id}) to current host ({name}).")


async def _check_up(req: Request, name: str) -> None:
    host = await req.db.find(model.HOSTS, name=name)
    if host is None or not room_of(req.house).is_up(host):
        raise BadRequest(f"Compute service of {name} is unavailable at this time.")


async def _check_room(req: Request, server: Row, asked: str | None) -> None:
    resources = resources_of(server.flavor)
    decision = await decide(
        req.house, req.db, server, resources, req.request_id, move=Move(server.host, asked)
    )
    if not decision.ranked:
        raise BadRequest(NoValidHost(reason=decision.reason).text)
