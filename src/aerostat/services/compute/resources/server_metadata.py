"""A server's own metadata: keys and values its owner hangs on it, which its guest can read.

Wire: /servers/{id}/metadata, https://docs.openstack.org/api-ref/compute/#server-metadata-servers-metadata
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import MetadataItemNotFound
from ..quotas import QUOTAS
from .schemas import METADATA, closed
from .server.create import check_metadata_limit
from .server.lookup import check_unlocked, find_for
from .terms import MEMBER, READER, rules

_RULE = "os_compute_api:server-metadata:"
_MANY = closed({"metadata": METADATA}, "metadata")
_ONE = closed({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}, "meta")


class ServerMetadata(Resource):
    extra_rules = rules(
        (_RULE + "index", READER),
        (_RULE + "show", READER),
        (_RULE + "create", MEMBER),
        (_RULE + "update_all", MEMBER),
        (_RULE + "update", MEMBER),
        (_RULE + "delete", MEMBER),
    )

    @route("GET", "/servers/{server_id}/metadata")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "index")
        return {"metadata": server.metadata}

    @route("POST", "/servers/{server_id}/metadata", body=_MANY)
    async def merge(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "create")
        return {"metadata": await _store(req, server, add=req.body["metadata"])}

    @route("PUT", "/servers/{server_id}/metadata", body=_MANY)
    async def replace(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "update_all")
        return {"metadata": await _store(req, server, whole=req.body["metadata"])}

    @route("GET", "/servers/{server_id}/metadata/{key}")
    async def show_item(self, req: Request, server_id: str, key: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "show")
        if key not in server.metadata:
            raise MetadataItemNotFound
        return {"meta": {key: server.metadata[key]}}

    @route("PUT", "/servers/{server_id}/metadata/{key}", body=_ONE)
    async def set_item(self, req: Request, server_id: str, key: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "update")
        if key not in req.body["meta"]:
            raise BadRequest("Request body and URI mismatch")
        await _store(req, server, add=req.body["meta"])
        return {"meta": req.body["meta"]}

    @route("DELETE", "/servers/{server_id}/metadata/{key}", status=204)
    async def delete_item(self, req: Request, server_id: str, key: str) -> Response:
        server = await find_for(req, server_id, _RULE + "delete")
        if key not in server.metadata:
            raise MetadataItemNotFound
        await _store(req, server, without=key)
        return Response(None, 204)


async def _store(
    req: Request,
    server: Row,
    *,
    whole: dict[str, str] | None = None,
    add: dict[str, str] | None = None,
    without: str | None = None,
) -> dict[str, str]:
    """Change the metadata from what they are now, in one transaction. Answers what they became."""
    check_unlocked(req, server)
    async with req.db.transaction() as tx:
        now = (await tx.get(model.SERVERS, id=server.id)).metadata if whole is None else {}
        changed = {**now, **(whole or add or {})}
        if without is not None:
            changed.pop(without, None)
        check_metadata_limit(await QUOTAS.limits(tx, server.project_id), len(changed))
        await tx.update(model.SERVERS, {"id": server.id}, metadata=changed)
    return changed
