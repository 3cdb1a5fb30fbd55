"""`GET /endpoints/[v1|v2/]ACCOUNT[/CONTAINER[/OBJECT]]`: on which devices something lies, or would lie.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.list_endpoints

For programs that run beside the data. Nobody is asked who they are: it is only there when the settings say so, and only
for stores that the world does not reach.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.list_endpoints]`"""

    list_endpoints_path: str = "/endpoints/"


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "list_endpoints", Settings)
        self._room = room
        self._next = next
        self._path = settings.list_endpoints_path.rstrip("/") + "/"

    async def __call__(self, request: Request) -> Response:
        if not request.path.startswith(self._path):
            return await self._next(request)
        if request.method != "GET":
            raise Refusal(405, None, {"allow": "GET"})
        version, names = _parsed(request.path[len(self._path) :])
        policy = await self._policy(names) if len(names) == 3 else None
        found: Any = self._endpoints(names, policy)
        if version == 2:
            headers = {} if policy is None else {"X-Backend-Storage-Policy-Index": str(policy)}
            found = {"endpoints": found, "headers": headers}
        return Response(200, {"content-type": "application/json; charset=UTF-8"}, msgspec.json.encode(found))

    async def _policy(self, names: list[str]) -> int:
        info = await self._room.infos.container(names[0], names[1])
        return info.policy if info is not None else self._room.policies.default.index

    def _endpoints(self, names: list[str], policy: int | None) -> list[str]:
        cluster = self._room.cluster
        if policy is not None:
            layout = cluster.objects(policy).layout
        else:
            layout = cluster.containers.layout if len(names) == 2 else cluster.accounts.layout
        part = layout.ring.partition(cluster.hasher.hash(*names))
        path = "/".join(quote(name) for name in names)
        return [f"http://{device.node}/{device.name}/{part}/{path}" for device in layout.ring.holders(part)]

    def info(self) -> Mapping[str, Any]:
        return {}


def _parsed(path: str) -> tuple[int, list[str]]:
    """The version of the answer and one to three names. Raises `Refusal` 400."""
    first, _, rest = path.partition("/")
    version = 1
    number = first.removeprefix("v")
    if number in ("1", "1.0", "2", "2.0"):
        version, path = int(number[0]), rest
    elif first.startswith("v") and "_" not in first:
        raise Refusal(400, f"Unsupported version '{first[:40]}'")
    names = path.split("/", 2)
    if names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise Refusal(400, "No account specified")
    return version, names
