"""How image lists are filtered: `in:a,b`, and moments with an operator before them.

https://docs.openstack.org/api-ref/image/v2/#list-images
"""

import csv
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.sql import ColumnElement

from aerostat.kernel.errors import BadRequest

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}


def value_filter(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """`active`, `eq:active`, or `in:active,queued` (values may be quoted)."""
    if not text.startswith("in:"):
        return column == text.removeprefix("eq:")
    if text.count('"') % 2:
        raise BadRequest(f"Invalid filter value {text}. The quote is not closed.")
    values = next(csv.reader([text.removeprefix("in:")], skipinitialspace=True), [])
    return column.in_(values)


def moment_filter(column: ColumnElement[Any], name: str, text: str) -> ColumnElement[bool]:
    """`gt:2026-11-22T21:38:44Z`; without an operator: equal."""
    word, mark, moment = text.partition(":")
    if word not in _COMPARE or not mark:
        word, moment = "eq", text
    try:
        parsed = datetime.fromisoformat(moment)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise BadRequest(f"Unable to filter by {name}: invalid time {text}") from None
    compared: ColumnElement[bool] = _COMPARE[word](column, parsed)
    return compared
