"""The innermost handler: to the account, container or object that a path names."""

from typing import TYPE_CHECKING

from ..http.request import Handler, Request
from ..http.response import Refusal, Response
from ..pipeline import guarded
from . import account, container, object
from .cors import Origins

if TYPE_CHECKING:
    from ..room import ObjectStore


class Core:
    """See the module."""

    def __init__(self, room: "ObjectStore") -> None:
        self._accounts = guarded(account.Accounts(room))
        self._containers = guarded(container.Containers(room))
        self._objects = guarded(object.Objects(room))
        self._origins = Origins(room)

    async def __call__(self, request: Request) -> Response:
        if request.account is None or (request.container is None and request.name is not None):
            raise _no_such_path(request)
        handler: Handler
        methods: tuple[str, ...]
        if request.name is not None and request.container is not None and request.account is not None:
            handler, methods = self._objects, object.METHODS
        elif request.container is not None and request.account is not None and request.name is None:
            handler, methods = self._containers, container.METHODS
        else:
            handler, methods = self._accounts, account.METHODS
        if request.method == "OPTIONS":
            return await self._origins.preflight(request, methods)
        response = await handler(request)
        if "origin" in request.headers:
            await self._origins.mark(request, response)
        return response


def _no_such_path(request: Request) -> Refusal:
    """404 for a path with a gap, 412 for one that names no account, 400 for another version."""
    version, *names = request.path[1:].split("/", 3)
    while names and not names[-1]:
        names.pop()
    if "" in (version, *names):
        return Refusal(404)
    return Refusal(412, "Bad URL") if not names else Refusal(400)
