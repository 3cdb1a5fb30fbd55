"""`GET /healthcheck`: this process answers. https://docs.openstack.org/swift/latest/middleware.html#healthcheck"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..http.request import Handler, Request
from ..http.response import Response

if TYPE_CHECKING:
    from ..room import ObjectStore


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.path == "/healthcheck":
            return Response(200, {"content-type": "text/plain; charset=UTF-8"}, b"OK")
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {}
