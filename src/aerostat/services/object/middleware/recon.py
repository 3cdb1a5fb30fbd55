"""`GET /recon/…`: what an operator asks of a machine. https://docs.openstack.org/swift/latest/admin/objectstorage-monitoring.html

Nobody is asked who they are: it is only there when the settings say so, and only for stores that the world does not
reach. `aerostat object recon` tells the same without it.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..http.request import Handler, Request
from ..http.response import Refusal, Response
from ..recon import QUESTIONS, Machine

if TYPE_CHECKING:
    from ..room import ObjectStore

PATH = "/recon/"


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if not request.path.startswith(PATH):
            return await self._next(request)
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, None, {"allow": "GET, HEAD"})
        question = QUESTIONS.get(request.path[len(PATH) :].rstrip("/"))
        if question is None:
            raise Refusal(404, f"Invalid path: {request.path}")
        roots = {key: device.root for key, device in self._room.local.items()}
        machine = Machine(roots, self._room.places.rings)
        told = await asyncio.to_thread(question, machine)
        return Response(200, {"content-type": "application/json; charset=UTF-8"}, msgspec.json.encode(told))

    def info(self) -> Mapping[str, Any]:
        return {}
