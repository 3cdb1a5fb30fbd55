"""How the network API pages: `limit`, `marker` and `page_reverse`, with links beside a page that has a limit.

https://docs.openstack.org/api-ref/network/v2/#pagination
"""

from typing import Any
from urllib.parse import urlencode

import msgspec

from aerostat.kernel.http import Page, Request, paging


def _links(req: Request, plural: str, page: Page) -> dict[str, Any]:
    links = []
    for marker, rel, backwards in (
        (page.next_marker, "next", False),
        (page.previous_marker, "previous", True),
    ):
        if marker and "limit" in req.query:
            links.append({"rel": rel, "href": _url(req, marker, backwards)})
    return {f"{plural}_links": links} if links else {}


def _url(req: Request, marker: str, backwards: bool) -> str:
    kept = [
        (key, value)
        for key, values in req.query.items()
        if key not in ("marker", "page_reverse")
        for value in values
    ]
    kept.append(("marker", marker))
    if backwards:
        kept.append(("page_reverse", "True"))
    return f"{req.url}?{urlencode(kept)}"


PAGING = msgspec.structs.replace(paging.NETWORK, links=_links)
