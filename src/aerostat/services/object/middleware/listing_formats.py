"""Listings as text, JSON or XML, as `format=` or `Accept:` asks.

https://docs.openstack.org/api-ref/object-store/#show-account-details-and-list-containers
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..http import listing
from ..http.listing import Listing
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

FORMATS: dict[str, tuple[str, Callable[[Listing], bytes]]] = {
    "json": ("application/json; charset=utf-8", listing.as_json),
    "plain": ("text/plain; charset=utf-8", listing.as_text),
    "xml": ("application/xml; charset=utf-8", listing.as_xml),
}
ACCEPTED = {
    "application/json": "json",
    "text/plain": "plain",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/*": "plain",
    "application/*": "json",
    "*/*": "plain",
}


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.name is not None or request.account is None or not request.is_reading:
            return await self._next(request)
        kind = asked_format(request)
        response = await self._next(request)
        if response.listing is not None:
            content_type, write = FORMATS[kind]
            if (
                kind == "xml"
                and "text/xml" in request.headers.get("accept", "")
                and "format" not in request.query
            ):
                content_type = "text/xml; charset=utf-8"
            response.headers["content-type"] = content_type
            response.body = write(response.listing)
            response.headers["vary"] = "Accept"
            if not response.body and kind == "plain":
                response.status = 204
            response.listing = None
        elif request.method == "HEAD" and response.is_ok:
            response.headers["content-type"] = FORMATS[kind][0]
        return response

    def info(self) -> Mapping[str, Any]:
        return {}


def asked_format(request: Request) -> str:
    """`json`, `plain` or `xml`. Raises `Refusal` 406 when the client takes none of them."""
    asked = request.query.get("format")
    if asked is not None:
        return asked.lower() if asked.lower() in FORMATS else "plain"
    accept = request.headers.get("accept")
    if not accept:
        return "plain"
    best, best_weight = None, 0.0
    for part in accept.split(","):
        kind, _, options = part.strip().partition(";")
        weight = 1.0
        for option in options.split(";"):
            name, _, value = option.strip().partition("=")
            if name.strip().lower() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    raise Refusal(400, "Invalid Accept header") from None
        known = ACCEPTED.get(kind.strip().lower())
        if known is not None and weight > best_weight:
            best, best_weight = known, weight
    if best is None:
        raise Refusal(406)
    return best
