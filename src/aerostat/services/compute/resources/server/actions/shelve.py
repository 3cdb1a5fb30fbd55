"""Shelving: a server is put away as an image, without a host, and taken out again.

Wire: https://docs.openstack.org/api-ref/compute/#shelve-server-shelve-action
"""

from functools import cache
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request
from aerostat.kernel.http.versions import Version
from aerostat.kernel.resource import action

from ....flows.shelve_server import offload_server, shelve_server, unshelve_server
from ....room import room_of
from ...arguments import at_least
from ...schemas import HOST, NAME, NAME_OR_NONE, closed
from ...terms import ADMIN, MEMBER
from ..lookup import begin, check_state
from .image import begin_image

_RULE = "os_compute_api:os-shelve:"
_ANYTHING: dict[str, Any] = {}


@action("shelve", policy=_RULE + "shelve", default=MEMBER)
async def shelve(req: Request, server: Row, _: Any) -> None:
    await begin_image(
        req, server, "shelve", shelve_server, what="shelve", name=f"{server.name}-shelved", properties={}
    )


@action("shelveOffload", policy=_RULE + "shelve_offload", default=ADMIN)
async def shelve_offload(req: Request, server: Row, _: Any) -> None:
    """Give the host of a shelved server free, where that is not done at once."""
    await begin(req, server, "offload", offload_server, what="shelveOffload")


@action("unshelve", policy=_RULE + "unshelve", default=MEMBER, body=_ANYTHING)
async def unshelve(req: Request, server: Row, body: Any) -> None:
    _schema(req.version, req.service.invalid).check(body)
    check_state(server, "unshelve", "shelved", "shelved_offloaded")
    where = await _where(req, server, body or {})
    data = {"offloaded": server.state == "shelved_offloaded"}
    await begin(req, server, "unshelve", unshelve_server, what="unshelve", data=data, **where)


@cache
def _schema(version: Version, wording: str) -> BodySchema:
    """A zone since 2.77; since 2.91 a host too, and no zone (null) lets go of the one it was pinned to."""
    if version < (2, 77):
        return BodySchema(_ANYTHING, wording)
    if version < (2, 91):
        return BodySchema(
            {"oneOf": [closed({"availability_zone": NAME}, "availability_zone"), {"type": "null"}]}, wording
        )
    named = {**closed({"availability_zone": NAME_OR_NONE, "host": HOST}), "minProperties": 1}
    return BodySchema({"oneOf": [named, {"type": "null"}]}, wording)


async def _where(req: Request, server: Row, body: dict[str, Any]) -> dict[str, Any]:
    """The columns that a wish for a place changes. A server that is on a host cannot go elsewhere."""
    if not body or not at_least(req, 77):
        return {"requested_host": None} if server.state == "shelved_offloaded" else {}
    if server.state != "shelved_offloaded":
        raise Conflict(
            f"Cannot 'unshelve' instance {server.id} while it is in vm_state shelved: a place can be named only "
            "for servers that are offloaded."
        )
    zones = await room_of(req.house).zones()
    columns: dict[str, Any] = {"requested_host": None}
    if "availability_zone" in body:
        zone = body["availability_zone"]
        if zone is not None and zone not in zones.values():
            raise BadRequest("The requested availability zone is not available")
        columns["pinned_zone"] = zone
    if host := body.get("host"):
        req.check(_RULE + "unshelve_to_host", server)
        if host not in zones:
            raise BadRequest(f"Compute host {host} could not be found.")
        columns["requested_host"] = host
    return columns
