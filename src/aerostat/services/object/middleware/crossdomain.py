"""`GET /crossdomain.xml`: which sites' plug-ins may talk to this store.

https://docs.openstack.org/swift/latest/crossdomain.html
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Response

if TYPE_CHECKING:
    from ..room import ObjectStore

EVERYONE = '<allow-access-from domain="*" secure="false" />'
PAGE = """<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
{}
</cross-domain-policy>"""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.crossdomain]`"""

    cross_domain_policy: str = EVERYONE
    """Elements of XML."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "crossdomain", Settings)
        self._next = next
        self._page = PAGE.format(settings.cross_domain_policy).encode()

    async def __call__(self, request: Request) -> Response:
        if request.path == "/crossdomain.xml" and request.method == "GET":
            return Response(200, {"content-type": "application/xml; charset=UTF-8"}, self._page)
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {"crossdomain": {}}
