"""What clients may neither send nor see: metadata that the store keeps for itself, and its own words to itself.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.gatekeeper
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..http.request import Handler, Request
from ..http.response import Response
from ..realms import SENT_AT

if TYPE_CHECKING:
    from ..room import ObjectStore

KINDS = ("account", "container", "object")
HIDDEN = (
    "x-backend-",
    "x-conditional-",
    *(f"x-{kind}-sysmeta-" for kind in KINDS),
    "x-object-transient-sysmeta-",
)
FORWARDED = "x-timestamp"


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next

    async def __call__(self, request: Request) -> Response:
        headers = request.headers
        if hidden := [name for name in headers if name.startswith("x-") and name.startswith(HIDDEN)]:
            for name in hidden:
                del headers[name]
        if (moment := headers.pop(FORWARDED, None)) is not None:
            headers[SENT_AT] = moment
        response = await self._next(request)
        headers = response.headers
        if hidden := [name for name in headers if name.startswith("x-") and name.startswith(HIDDEN)]:
            for name in hidden:
                del headers[name]
        return response

    def info(self) -> Mapping[str, Any]:
        return {}
