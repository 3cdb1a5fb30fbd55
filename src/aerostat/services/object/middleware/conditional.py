"""Conditions and ranges of GET and HEAD, over whatever bytes the layers below have put together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..http import conditions
from ..http.request import Handler, Request
from ..http.response import Response

if TYPE_CHECKING:
    from ..room import ObjectStore


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next

    async def __call__(self, request: Request) -> Response:
        return await conditions.apply(request, await self._next(request))

    def info(self) -> Mapping[str, Any]:
        return {}
