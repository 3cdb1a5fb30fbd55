"""How image lists are filtered: `in:a,b`, and moments with an operator before them.

https://docs.openstack.org/api-ref/image/v2/#list-images
"""

import csv
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.sql import ColumnElement

from aerostat.kernel.errors import BadRequest

_COMPARE = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__", "eq": "__eq__", "neq": "__ne__"}


def value_filter(column: Any, text: str) -> ColumnElement[bool]:
    """`active`, or `in:active,queued` (values may be quoted)."""
    if not text.startswith("in:"):
        return column == text  # type: ignore[no-any-return]
    if text.count('"') % 2:
        raise BadRequest(f"Invalid filter value {text}. The quote is not closed.")
    values = next(csv.reader([text.removeprefix("in:")], skipinitialspace=True), [])
    return column.in_(values)  # type: ignore[no-any-return]


def moment_filter(column: Any, name: str, text: str) -> ColumnElement[bool]:
    """`gt:2026-11-22T21:38:44Z`; without an operator: equal."""
    operator, mark, moment = text.partition(":")
    if operator not in _COMPARE or not mark:
        operator, moment = "eq", text
    try:
        parsed = datetime.fromisoformat(moment)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise BadRequest(f"Unable to filter by {name}: invalid time {text}") from None
    return getattr(column, _COMPARE[operator])(parsed)  # type: ignore[no-any-return]
