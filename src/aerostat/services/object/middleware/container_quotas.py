"""How much a container may hold: `X-Container-Meta-Quota-Bytes`, `X-Container-Meta-Quota-Count`.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.container_quotas. Bytes that come
without a length are counted as they come.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..http.request import Handler, Request, path_of
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

BYTES = "x-container-meta-quota-bytes"
COUNT = "x-container-meta-quota-count"
EXCEEDED = "Upload exceeds quota."


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.container is None:
            return await self._next(request)
        if request.name is not None:
            if request.method == "PUT":
                await self._check_upload(request)
        elif request.method in ("PUT", "POST"):
            for header, what in ((BYTES, "bytes"), (COUNT, "count")):
                value = request.headers.get(header)
                if value and number(value) is None:
                    raise Refusal(400, f"Invalid {what} quota.")
        return await self._next(request)

    async def _check_upload(self, request: Request) -> None:
        """Raises `Refusal` 413; 401, 403 to those who may not know that there is a quota."""
        assert request.account is not None
        info = await self._room.infos.container(request.account, request.container)
        if info is None:
            return
        most, count = number(info.headers.get(BYTES)), number(info.headers.get(COUNT))
        if most is None and count is None:
            return
        path = path_of(request.account, request.container)
        held = await self._next(request.sub("HEAD", path, is_allowed=True))
        if not held.is_ok:
            return
        objects = int(held.headers["x-container-object-count"])
        left = None if most is None else most - int(held.headers["x-container-bytes-used"])
        if (left is not None and left < (request.body.length or 0)) or (
            count is not None and count <= objects
        ):
            await request.check(info.write_acl)
            raise Refusal(413, EXCEEDED)
        if left is not None:
            request.body.limit(left, EXCEEDED)

    def info(self) -> Mapping[str, Any]:
        return {"container_quotas": {}}


def number(text: str | None) -> int | None:
    """Of a quota; None for none, and for what is no number."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
