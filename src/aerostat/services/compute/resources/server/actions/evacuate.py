"""Evacuation: a server whose host is dead is made anew on another.

Wire: https://docs.openstack.org/api-ref/compute/#evacuate-server-evacuate-action
"""

import secrets
from functools import cache
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request
from aerostat.kernel.http.versions import Version
from aerostat.kernel.resource import action

from .... import model, moves
from ....flows.evacuate_server import evacuate_server
from ....room import room_of
from ...arguments import at_least
from ...schemas import BOOLEAN, HOST, PASSWORD, closed, read_boolean
from ...terms import ADMIN
from ..create import PASSWORD_LETTERS
from ..lookup import begin, check_has_host, check_state, check_unlocked

_ANYTHING: dict[str, Any] = {}


@cache
def _schema(version: Version, wording: str) -> BodySchema:
    body: dict[str, Any] = {"host": HOST, "adminPass": PASSWORD}
    if version < (2, 14):
        body["onSharedStorage"] = BOOLEAN
        return BodySchema(closed(body, "onSharedStorage"), wording)
    if (2, 29) <= version < (2, 68):
        body["force"] = BOOLEAN
    return BodySchema(closed(body), wording)


@action("evacuate", policy="os_compute_api:os-evacuate", default=ADMIN, status=200, body=_ANYTHING)
async def evacuate(req: Request, server: Row, body: Any) -> dict[str, Any] | None:
    _schema(req.version, req.service.invalid).check(body)
    shared = read_boolean(body["onSharedStorage"]) if "onSharedStorage" in body else None
    if shared and "adminPass" in body:
        raise BadRequest("admin password can't be changed on existing disk")
    asked, forced = body.get("host"), read_boolean(body.get("force", False))
    if forced and not asked:
        raise BadRequest("Can't force to a non-provided destination")
    check_unlocked(req, server)
    check_has_host(server)
    check_state(server, "evacuate", "active", "stopped", "error")
    await _check_hosts(req, server, asked)
    password = body.get("adminPass")
    if password is None and not shared:
        password = "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))
    await begin(
        req,
        server,
        "evacuate",
        evacuate_server,
        what="evacuate",
        data={
            "asked": asked,
            # Before 2.29 a host that was named was not looked at.
            "forced": forced or bool(asked and not at_least(req, 29)),
            "on_shared_storage": shared,
            "runs": server.state != "stopped" and not at_least(req, 95),
            "admin_password": password if server.config_drive else None,
        },
        also=moves.recorded(server, moves.EVACUATION, asked),
    )
    return None if at_least(req, 14) else {"adminPass": password}


async def _check_hosts(req: Request, server: Row, asked: str | None) -> None:
    if asked is not None and await req.db.find(model.HOSTS, name=asked) is None:
        raise BadRequest(f"Compute host {asked} not found.")
    if asked == server.host:
        raise BadRequest("The target host can't be the same one.")
    host = await req.db.find(model.HOSTS, name=server.host)
    if host is not None and room_of(req.house).is_up(host):
        raise BadRequest(f"Compute service of {server.host} is still in use.")
