"""How the network API pages: `limit`, `marker` and `page_reverse`, with links beside a page that has a limit.

https://docs.openstack.org/api-ref/network/v2/#pagination
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from aerostat.kernel.db import Row
from aerostat.kernel.http import Page, Request, paging


def _links(req: Request, plural: str, page: Page) -> dict[str, Any]:
    """A full page has a next one, though that may be empty: clients walk until a page is not full."""
    limit = req.argument("limit")
    if not limit or limit == "0":
        return {}
    full, backwards = len(page.rows) >= int(limit), req.flag("page_reverse")
    links = []
    if full or backwards:
        links.append({"rel": "next", "href": _url(req, page.rows[-1:], False)})
    if full or not backwards:
        links.append({"rel": "previous", "href": _url(req, page.rows[:1], True)})
    return {f"{plural}_links": links}


def _url(req: Request, edge: Sequence[Row], backwards: bool) -> str:
    """The page beyond this edge; an empty page has none, so that back from the end is the last page."""
    kept = [
        (key, value)
        for key, values in req.query.items()
        if key not in ("marker", "page_reverse")
        for value in values
    ]
    kept += [("marker", row["id"]) for row in edge]
    if backwards:
        kept.append(("page_reverse", "True"))
    return f"{req.url}?{urlencode(kept)}"


PAGING = msgspec.structs.replace(paging.NETWORK, links=_links)
