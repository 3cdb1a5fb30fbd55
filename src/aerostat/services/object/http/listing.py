"""A page of names, before it has a format: handlers and middlewares work on rows, and the last one writes them down."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from ..timestamp import TICK_DIGITS, TICKS, Timestamp


class ObjectRow(msgspec.Struct, omit_defaults=True, gc=False):
    """One object in a listing, as clients see it. `hash` is the ETag. A page has ten thousand of them."""

    bytes: int
    hash: str
    name: str
    content_type: str
    last_modified: str
    slo_etag: str | None = None
    symlink_path: str | None = None
    symlink_etag: str | None = None
    symlink_bytes: int | None = None
    version_id: str | None = None
    is_latest: bool | None = None
    version_symlink: bool | None = None


class ContainerRow(msgspec.Struct, kw_only=True):
    name: str
    count: int
    bytes: int
    last_modified: str
    storage_policy: str


class SubdirRow(msgspec.Struct):
    subdir: str


Row = ObjectRow | ContainerRow | SubdirRow


def tell_etag(row: ObjectRow, etag: str, account: str) -> None:
    """The ETag that a container was told may carry what a middleware wants to be told with it: `hash; name=value`.

    `account` is the container's.
    """
    row.hash, *options = (part.strip() for part in etag.split(";"))
    told = dict(option.partition("=")[::2] for option in options)
    if "version_id" in told:
        row.version_id, row.bytes = told["version_id"], int(told.get("version_bytes", row.bytes))
    if "slo_etag" in told:
        row.slo_etag = f'"{told["slo_etag"]}"'
    if told.get("slo_bytes", "").isdigit():
        row.bytes = int(told["slo_bytes"])
    if "symlink_target" in told:
        row.symlink_path = f"/v1/{told.get('symlink_target_account', account)}/{told['symlink_target']}"
        row.symlink_etag = told.get("symlink_target_etag")
        if told.get("symlink_target_bytes", "").isdigit():
            row.symlink_bytes = int(told["symlink_target_bytes"])


class Listing:
    """`kind` and `name` are of the thing that lists. `told`: those of the rows whose ETag is more, or something else,
    than the MD5 of an object: only they are for middlewares that told the container something.
    """

    __slots__ = ("kind", "name", "rows", "told")

    def __init__(
        self,
        kind: Literal["account", "container"],
        name: str,
        rows: Sequence[Row],
        told: Sequence[ObjectRow] = (),
    ) -> None:
        self.kind: Literal["account", "container"] = kind
        self.name = name
        self.rows = rows
        self.told = told


_encode = msgspec.json.Encoder().encode


def as_json(listing: Listing) -> bytes:
    return _encode(listing.rows)


def as_text(listing: Listing) -> bytes:
    lines = [row.subdir if isinstance(row, SubdirRow) else row.name for row in listing.rows]
    return ("\n".join(lines) + "\n").encode() if lines else b""


def as_xml(listing: Listing) -> bytes:
    parts = ['<?xml version="1.0" encoding="UTF-8"?>', f"<{listing.kind} name={_quoted(listing.name)}>"]
    for row in listing.rows:
        if isinstance(row, SubdirRow):
            parts.append(f"<subdir name={_quoted(row.subdir)}><name>{_escaped(row.subdir)}</name></subdir>")
            continue
        tag = "object" if isinstance(row, ObjectRow) else "container"
        fields = msgspec.structs.asdict(row)
        inner = "".join(
            f"<{name}>{_escaped(str(fields[name]))}</{name}>"
            for name in _XML[tag]
            if fields[name] is not None
        )
        parts.append(f"<{tag}>{inner}</{tag}>")
    parts.append(f"</{listing.kind}>")
    return "\n".join((parts[0], "".join(parts[1:]))).encode()


_XML = {
    "object": (
        "name", "hash", "bytes", "content_type", "last_modified", "symlink_path", "symlink_bytes",
        "symlink_etag", "slo_etag", "version_id", "is_latest",
    ),
    "container": ("name", "count", "bytes", "last_modified", "storage_policy"),
}  # fmt: skip
_FORBIDDEN = {code: "\ufffd" for code in (*range(32), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)}


def _escaped(text: str) -> str:
    """XML has no way to write most control characters, and two that are none."""
    return escape(text.translate(_FORBIDDEN))


def _quoted(text: str) -> str:
    return quoteattr(text.translate(_FORBIDDEN))


def moment_of(moment: Timestamp) -> str:
    """`2026-11-23T08:19:28.123450`, as listings write times."""
    digits = f"{moment:06}" if moment < TICKS else str(moment)  # a second has a digit at least
    return f"{_seconds[digits[:-TICK_DIGITS]]}.{digits[-TICK_DIGITS:]}0"


class _Seconds(dict[str, str]):
    """As they are written. Rows of a page come in the order of names, and their times in none."""

    def __missing__(self, second: str) -> str:
        if len(self) >= MOST_SECONDS:
            self.clear()
        written = self[second] = (EPOCH + timedelta(seconds=int(second))).isoformat()
        return written


MOST_SECONDS = 20_000
EPOCH = datetime(1970, 1, 1)
_seconds = _Seconds()
