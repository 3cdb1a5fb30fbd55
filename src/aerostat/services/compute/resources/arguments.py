"""Small readers of queries and paths that several resources of this room share."""

import ipaddress
from collections.abc import Collection
from datetime import UTC, datetime

from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request
from aerostat.kernel.http.versions import Version

STRICT = Version(2, 75)
PAGING = frozenset({"limit", "marker"})
SORTING = frozenset({"sort_key", "sort_dir"})


def at_least(req: Request, minor: int) -> bool:
    """Whether the request asks for microversion 2.`minor` or a later one."""
    return req.version >= (2, minor)


def check_query(req: Request, known: Collection[str]) -> None:
    """From 2.75 on an argument that means nothing is refused."""
    if req.version < STRICT:
        return
    for name in req.query:
        if name not in known:
            raise BadRequest(f"Additional properties are not allowed ('{name}' was unexpected)")


def read_time(text: str, name: str) -> datetime:
    """An ISO 8601 time as naive UTC. Raises `BadRequest`."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise BadRequest(
            f"Invalid input for query parameters {name}. Value: {text}. '{text}' is not a 'date-time'"
        ) from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def read_address(text: str | None) -> str | None:
    """An IP address in its canonical form; None for an empty one."""
    return str(ipaddress.ip_address(text)) if text else None


def links(req: Request, kind: str, id: str) -> list[dict[str, str]]:
    """`self` and `bookmark` of a thing, under the address by which the client knows us."""
    base = req.base_url + req.service.prefix
    return [
        {"rel": "self", "href": f"{base}/v2.1/{kind}/{id}"},
        {"rel": "bookmark", "href": f"{base}/{kind}/{id}"},
    ]


def bookmark(req: Request, kind: str, id: str) -> list[dict[str, str]]:
    return [{"rel": "bookmark", "href": f"{req.base_url}{req.service.prefix}/{kind}/{id}"}]
