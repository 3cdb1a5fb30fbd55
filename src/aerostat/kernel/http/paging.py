"""Lists in pages: filters, sort keys, markers, and the links each room puts beside a page.

Keyset paging: a marker is the id of the last row seen, and the next page starts after that row's sort values, so
rows that come and go between two pages neither repeat nor hide others.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Table, and_, false, or_, select
from sqlalchemy.sql import ColumnElement

from ..errors import BadRequest
from .request import Page, Request


class Order(msgspec.Struct, frozen=True):
    column: str
    descending: bool = False


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """How one room pages: names of its query arguments, limits, default order, the links it shows."""

    links: Callable[[Request, str, Page], dict[str, Any]]
    default_limit: int | None = 1000
    max_limit: int | None = 1000
    sort_key: str = "sort_key"
    sort_dir: str = "sort_dir"
    combined_sort: str | None = None  # "name:asc,created_at:desc"
    reverse: str | None = None
    default_order: tuple[Order, ...] = (Order("created_at", True), Order("id", True))
    reserved: frozenset[str] = frozenset()

    @property
    def arguments(self) -> frozenset[str]:
        """Query arguments that are not filters."""
        names = {"limit", "marker", self.sort_key, self.sort_dir, *self.reserved}
        return frozenset(names | {name for name in (self.combined_sort, self.reverse) if name})


async def read_page(
    req: Request,
    paging: Paging,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    *,
    sortable: dict[str, str],
    default_order: tuple[Order, ...] | None = None,
    marker_column: str = "id",
    marker_among: Sequence[ColumnElement[bool]] = (),
) -> Page:
    """The asked page of `table`. `sortable` maps wire names to columns. Raises `BadRequest`.

    `marker_among`: where `marker_column` tells rows apart, if not in the whole table.
    """
    limit = read_limit(req, paging)
    order = _read_order(req, paging, sortable) or list(default_order or paging.default_order)
    order = [part for part in order if part.column in table.c]
    if marker_column not in [part.column for part in order]:
        order.append(Order(marker_column, order[0].descending if order else False))
    backwards = paging.reverse is not None and req.flag(paging.reverse)
    if backwards:
        order = [Order(part.column, not part.descending) for part in order]
    clauses = list(conditions)
    marker = req.argument("marker")
    if marker:
        named = and_(table.c[marker_column] == marker, *marker_among)
        found = await req.db.fetch(select(table).where(named))
        if not found:
            raise BadRequest(f"marker [{marker}] not found")
        clauses.append(after(table, order, found[0]))
    statement = select(table).where(and_(True, *clauses)).order_by(*_ordering(table, order))
    if limit is not None:
        statement = statement.limit(limit + 1)
    rows = await req.db.fetch(statement)
    more = limit is not None and len(rows) > limit
    rows = rows[:limit] if more else rows
    if backwards:
        rows.reverse()
        return Page(
            rows,
            rows[-1][marker_column] if marker and rows else None,
            rows[0][marker_column] if more else None,
        )
    return Page(
        rows,
        rows[-1][marker_column] if more and rows else None,
        rows[0][marker_column] if marker and rows else None,
    )


def read_limit(req: Request, paging: Paging) -> int | None:
    text = req.argument("limit")
    if text is None:
        return paging.default_limit
    try:
        limit = int(text)
    except ValueError:
        raise BadRequest(f"limit param must be an integer, not '{text}'") from None
    if limit < 0:
        raise BadRequest("limit param must be positive")
    if limit == 0:
        return paging.max_limit
    return limit if paging.max_limit is None else min(limit, paging.max_limit)


def _read_order(req: Request, paging: Paging, sortable: dict[str, str]) -> list[Order]:
    asked: list[tuple[str, str]] = []
    if paging.combined_sort and (combined := req.argument(paging.combined_sort)):
        for part in combined.split(","):
            key, _, direction = part.strip().partition(":")
            asked.append((key, direction or "desc"))
    else:
        keys = [key for value in req.query.get(paging.sort_key, []) for key in value.split(",") if key]
        directions = [
            word for value in req.query.get(paging.sort_dir, []) for word in value.split(",") if word
        ]
        default = directions[0] if len(directions) == 1 else "asc" if directions else None
        for index, key in enumerate(keys):
            fallback = default or (
                "desc" if paging.default_order and paging.default_order[0].descending else "asc"
            )
            asked.append((key, directions[index] if index < len(directions) else fallback))
        if directions and not keys and paging.default_order:
            asked = [(part.column, directions[0]) for part in paging.default_order]
    order = []
    for key, direction in asked:
        if key not in sortable and key not in ("id", "created_at"):
            raise BadRequest(f"Invalid sort key: {key}. Valid keys: {', '.join(sorted(sortable))}")
        if direction.lower() not in ("asc", "desc"):
            raise BadRequest(f"Unknown sort direction: {direction}, must be one of: asc, desc")
        order.append(Order(sortable.get(key, key), direction.lower() == "desc"))
    return order


def _ordering(table: Table, order: Sequence[Order]) -> list[Any]:
    parts: list[Any] = []
    for part in order:
        column = table.c[part.column]
        if column.nullable:  # nulls last, on every database
            parts.append(column.is_(None))
        parts.append(column.desc() if part.descending else column)
    return parts


def after(table: Table, order: Sequence[Order], marker: Any) -> ColumnElement[bool]:
    """Rows that come after `marker` in `order`: strictly later in one key, equal in those before it.

    That none is earlier in the first key follows from it, and is said all the same: alternatives do not tell a
    database where in an index to begin.
    """
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for part in order:
        column, value = table.c[part.column], marker[part.column]
        if value is None:
            equal.append(column.is_(None))
            continue
        later = column < value if part.descending else column > value
        if column.nullable:
            later = or_(later, column.is_(None))
        alternatives.append(and_(*equal, later))
        equal.append(column == value)
    if not alternatives:
        return false()
    first, value = table.c[order[0].column], marker[order[0].column]
    if first.nullable or value is None:
        return or_(*alternatives)
    return and_(first <= value if order[0].descending else first >= value, or_(*alternatives))


def next_url(req: Request, page: Page, *, marker: str | None = None) -> str:
    """The request's own URL with the marker of the next page."""
    pairs = [(key, value) for key, values in req.query.items() if key != "marker" for value in values]
    pairs.append(("marker", marker or page.next_marker or ""))
    return f"{req.url}?{urlencode(pairs)}"


def no_links(req: Request, plural: str, page: Page) -> dict[str, Any]:
    return {}


def named_links(req: Request, plural: str, page: Page) -> dict[str, Any]:
    """`{"servers_links": [{"rel": "next", "href": …}]}`, left out on the last page."""
    links = []
    if page.next_marker:
        links.append({"rel": "next", "href": next_url(req, page)})
    if page.previous_marker and req.service.paging.reverse:
        back = next_url(req, page, marker=page.previous_marker)
        links.append({"rel": "previous", "href": f"{back}&{req.service.paging.reverse}=True"})
    return {f"{plural}_links": links} if links else {}


def plain_links(req: Request, plural: str, page: Page) -> dict[str, Any]:
    """`{"links": {"self": …, "next": …, "previous": null}}`, always there."""
    own = f"{req.url}?{req.query_string}" if req.query_string else req.url
    return {
        "links": {"next": next_url(req, page) if page.next_marker else None, "self": own, "previous": None}
    }


COMPUTE = Paging(links=named_links)
NETWORK = Paging(
    links=named_links,
    default_limit=None,
    max_limit=None,
    reverse="page_reverse",
    default_order=(Order("id"),),
    reserved=frozenset({"fields"}),
)
IDENTITY = Paging(links=plain_links, default_limit=None, max_limit=None, default_order=(Order("id"),))
ORCHESTRATION = Paging(links=no_links, default_limit=None, max_limit=1000, sort_key="sort_keys")
UNPAGED = Paging(links=no_links, default_limit=None, max_limit=None)
