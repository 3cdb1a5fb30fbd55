"""Consumers: programs that may ask users for a part of their rights by OAuth 1.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-oauth1-api
"""

import secrets
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import ConsumerNotFound
from ..rules import ADMIN, CLOUD_SCOPES, SYSTEM_READER, rules
from .shape import changed

_BODY = {
    "type": "object",
    "properties": {
        "consumer": {"type": "object", "properties": {"description": {"type": ["string", "null"]}}}
    },
    "required": ["consumer"],
}
_CHANGE = {
    "type": "object",
    "properties": {
        "consumer": {
            "type": "object",
            "properties": {"description": {"type": ["string", "null"]}, "secret": False},
            "minProperties": 1,
        }
    },
    "required": ["consumer"],
}
_PATH = "/v3/OS-OAUTH1/consumers"
_OWN = ("id", "links", "secret", "description")


class Consumer(Resource):
    extra_rules = rules(
        {
            "get_consumer": SYSTEM_READER,
            "list_consumers": SYSTEM_READER,
            "create_consumer": ADMIN,
            "update_consumer": ADMIN,
            "delete_consumer": ADMIN,
        },
        CLOUD_SCOPES,
    )

    @route("POST", _PATH, body=_BODY, policy="identity:create_consumer")
    async def create_consumer(self, req: Request) -> Response:
        """The answer is the only time that the secret is shown."""
        new = req.body["consumer"]
        row = await req.db.insert(
            model.CONSUMERS,
            description=new.get("description"),
            secret=secrets.token_hex(16),
            extra=_extra(new),
        )
        return Response({"consumer": {**_view(req, row), "secret": row.secret}}, 201, resource_id=row.id)

    @route("GET", _PATH, policy="identity:list_consumers")
    async def list_consumers(self, req: Request) -> dict[str, Any]:
        rows = await req.db.all(model.CONSUMERS, order="id")
        links = {"self": req.url, "previous": None, "next": None}
        return {"consumers": [_view(req, row) for row in rows], "links": links}

    @route("GET", _PATH + "/{id}", policy="identity:get_consumer")
    async def show_consumer(self, req: Request, id: str) -> dict[str, Any]:
        return {"consumer": _view(req, await _get(req, id))}

    @route("PATCH", _PATH + "/{id}", body=_CHANGE, policy="identity:update_consumer")
    async def update_consumer(self, req: Request, id: str) -> dict[str, Any]:
        row, asked = await _get(req, id), req.body["consumer"]
        changes: dict[str, Any] = {"extra": {**row.extra, **_extra(asked)}}
        if "description" in asked:
            changes["description"] = asked["description"]
        await req.db.update(model.CONSUMERS, {"id": id}, **changes)
        return {"consumer": _view(req, await _get(req, id))}

    @route("DELETE", _PATH + "/{id}", status=204, policy="identity:delete_consumer")
    async def delete_consumer(self, req: Request, id: str) -> None:
        """What users gave it goes with it, and so do the tokens made with that."""
        await _get(req, id)
        await req.db.delete(model.CONSUMERS, id=id)
        changed(req)


async def _get(req: Request, id: str) -> Row:
    row = await req.db.find(model.CONSUMERS, id=id)
    if row is None:
        raise ConsumerNotFound(id=id)
    return row


def _extra(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in _OWN}


def _view(req: Request, row: Row) -> dict[str, Any]:
    own = f"{req.base_url}{req.service.prefix}{_PATH}/{row.id}"
    return {**row.extra, "id": row.id, "description": row.description, "links": {"self": own}}
