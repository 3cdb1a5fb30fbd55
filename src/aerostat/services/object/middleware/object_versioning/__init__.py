"""Versions of objects: all that was ever under a name stays, until somebody deletes that version.

    X-Versions-Enabled: true | false         of a container
    ?version-id=ID                           GET, HEAD, DELETE; PUT makes that version the current one
    ?versions                                listing of all versions; with `marker` and `version_marker`

https://docs.openstack.org/swift/latest/middleware.html#object-versioning. Versions live in a container of their own
(`names.py`), and the name of an object is a link to one of them (`link.py`). Because this stands below symlinks and
large objects, those see the current version as if it lay under its name.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...http.request import Handler, Request
from ...http.response import Refusal, Response
from .accounts import Accounts
from .containers import Containers
from .names import RESERVED
from .objects import Objects

if TYPE_CHECKING:
    from ...room import ObjectStore


class Middleware:
    """Nobody above this can name what is kept in the reserved names."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next
        self._accounts = Accounts(room, next)
        self._containers = Containers(room, next)
        self._objects = Objects(room, next)

    async def __call__(self, request: Request) -> Response:
        if request.account is None:
            return await self._next(request)
        if request.container is None:
            if request.method == "GET" and request.name is None:
                return await self._accounts.show(request)
            return await self._next(request)
        if request.container.startswith(RESERVED) or (request.name or "").startswith(RESERVED):
            raise Refusal(400, "Invalid reserved-namespace name")
        if request.name is None:
            return await self._containers(request)
        return await self._objects(request)

    def info(self) -> Mapping[str, Any]:
        return {"object_versioning": {}}
