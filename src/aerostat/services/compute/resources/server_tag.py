"""Tags of a server.

Wire: /servers/{id}/tags since 2.26, https://docs.openstack.org/api-ref/compute/#server-tags-servers-tags
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import TagNotFound
from .schemas import TAG, closed
from .server.create import MOST_TAGS
from .server.lookup import check_unlocked, find_for
from .terms import MEMBER, READER, rules

_RULE = "os_compute_api:os-server-tags:"
_WHOLE = closed({"tags": {"type": "array", "items": TAG, "maxItems": MOST_TAGS}}, "tags")
_TAG = BodySchema(TAG, "Invalid input for field/attribute %(path)s. Value: %(value)s. %(reason)s")


class ServerTags(Resource):
    extra_rules = rules(
        (_RULE + "index", READER),
        (_RULE + "show", READER),
        (_RULE + "update", MEMBER),
        (_RULE + "update_all", MEMBER),
        (_RULE + "delete", MEMBER),
        (_RULE + "delete_all", MEMBER),
    )

    @route("GET", "/servers/{server_id}/tags", since="2.26")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        return {"tags": (await find_for(req, server_id, _RULE + "index")).tags}

    @route("GET", "/servers/{server_id}/tags/{tag}", since="2.26")
    async def has(self, req: Request, server_id: str, tag: str) -> Response:
        server = await find_for(req, server_id, _RULE + "show")
        _check_there(server, tag)
        return Response(None, 204)

    @route("PUT", "/servers/{server_id}/tags", since="2.26", body=_WHOLE)
    async def replace(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "update_all")
        tags = sorted(set(req.body["tags"]))
        await _store(req, server, tags)
        return {"tags": tags}

    @route("PUT", "/servers/{server_id}/tags/{tag}", since="2.26")
    async def add(self, req: Request, server_id: str, tag: str) -> Response:
        server = await find_for(req, server_id, _RULE + "update")
        if req.body is not None:
            raise BadRequest("A tag is added without a body.")
        _TAG.check(tag)
        if tag in server.tags:
            return Response(None, 204)
        if len(server.tags) >= MOST_TAGS:
            raise BadRequest(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
        await _store(req, server, [*server.tags, tag])
        return Response(None, 201, headers={"Location": f"{req.url}"})

    @route("DELETE", "/servers/{server_id}/tags", since="2.26")
    async def clear(self, req: Request, server_id: str) -> Response:
        server = await find_for(req, server_id, _RULE + "delete_all")
        await _store(req, server, [])
        return Response(None, 204)

    @route("DELETE", "/servers/{server_id}/tags/{tag}", since="2.26")
    async def remove(self, req: Request, server_id: str, tag: str) -> Response:
        server = await find_for(req, server_id, _RULE + "delete")
        _check_there(server, tag)
        await _store(req, server, [one for one in server.tags if one != tag])
        return Response(None, 204)


def _check_there(server: Row, tag: str) -> None:
    if tag not in server.tags:
        raise TagNotFound(server_id=server.id, tag=tag)


async def _store(req: Request, server: Row, tags: list[str]) -> None:
    check_unlocked(req, server)
    await req.db.update(model.SERVERS, {"id": server.id}, tags=tags)
