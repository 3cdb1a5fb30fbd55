"""Listings of all versions: of each name the newest first, `null` before all others.

Two listings made into one: that of the container, which tells what is current, and that of the versions. Both are
asked for as many rows as the page has, so no row of the page can be missing.
"""

from typing import TYPE_CHECKING

import msgspec

from ... import timestamp
from ...http.constraints import listing_limit
from ...http.listing import ObjectRow, Row, SubdirRow, moment_of
from ...http.request import Handler, Request, is_true, path_of
from ...http.response import Refusal, Response
from .names import (
    MARKER_TYPE,
    NULL,
    RESERVED,
    container_of_versions,
    name_of_version,
    parse_name,
)

if TYPE_CHECKING:
    from ...room import ObjectStore

_OF_IDS = frozenset("0123456789." + RESERVED)
_BEHIND_IDS = ":"
"""Sorts behind all digits."""
_encode = msgspec.json.Encoder().encode

Entry = tuple[str, str, Row]
"""The name, what sorts rows of one name (`null` first), and the row."""


def check_acceptable(request: Request) -> None:
    """Raises `Refusal` 406 when the client does not take JSON, the only format of these listings."""
    asked = request.query.get("format")
    if asked is not None:
        if asked.lower() != "json":
            raise Refusal(406)
        return
    accept = request.headers.get("accept")
    kinds = {part.partition(";")[0].strip().lower() for part in (accept or "*/*").split(",")}
    if not kinds & {"application/json", "application/*", "*/*"}:
        raise Refusal(406)


class KeptVersions:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next

    async def show(self, request: Request, response: Response) -> None:
        """Make the container's listing one of its versions. Raises `Refusal` 400."""
        assert response.listing is not None
        query = request.query
        name, after = query.get("marker") or None, query.get("version_marker") or None
        if after is not None and name is None:
            raise Refusal(400, "version_marker param requires marker")
        if set(query.get("delimiter", "")) & _OF_IDS:
            raise Refusal(400, "invalid delimiter param")
        is_reverse = is_true(query.get("reverse", ""))
        limit = listing_limit(request, self._room.settings.limits.container_listing_limit)
        marker = _marker(name, after, is_reverse) if name is not None else ""

        current: dict[str, ObjectRow] = {}
        entries: list[Entry] = []
        subdirs: set[str] = set()
        for row in response.listing.rows:
            if isinstance(row, SubdirRow):
                subdirs.add(row.subdir)
            elif isinstance(row, ObjectRow):
                current[row.name] = row
        unfinished = name if after is not None else None
        if unfinished is not None and after != NULL:
            there = await self._row_of(request, unfinished)
            if there is not None:
                current[unfinished] = there

        kept: list[ObjectRow] = []
        if limit:
            for row in await self._list(request, _asked_of_versions(request.query, marker, limit)):
                if isinstance(row, SubdirRow):
                    subdirs.add(row.subdir.removeprefix(RESERVED))
                elif isinstance(row, ObjectRow):
                    kept.append(row)
        parsed = [(*parse_name(row.name), row) for row in kept]
        newest = self._newest(parsed, is_reverse, unfinished)
        if is_reverse and len(kept) == limit and parsed:
            last_name = parsed[-1][0]
            newest[last_name] = await self._newest_of(request, last_name)
        seen: set[str] = set()
        for object_name, version, row in parsed:
            now = current.get(object_name)
            if now is not None and now.version_id is None and _is_copy(now, version):
                continue
            if now is not None:
                is_latest = now.version_id == version
            else:
                is_latest = row.content_type == MARKER_TYPE and newest.get(object_name) == row.name
            if is_latest:
                seen.add(object_name)
            entries.append((object_name, row.name, _shown(row, object_name, version, is_latest)))
        for object_name, row in current.items():
            if object_name in seen or (object_name == unfinished and not is_reverse):
                continue
            if row.version_id is None:
                entries.append((object_name, "", _shown(row, object_name, NULL, True)))
            elif object_name != unfinished:
                place = name_of_version(object_name, timestamp.parse(row.version_id))
                entries.append((object_name, place, _shown(row, object_name, row.version_id, True)))
        entries += [(subdir, "", SubdirRow(subdir)) for subdir in subdirs]
        entries.sort(key=lambda entry: entry[:2], reverse=is_reverse)
        response.body = _encode([row for _, _, row in entries[:limit]])
        response.headers["content-type"] = "application/json; charset=utf-8"
        response.listing = None

    def _newest(
        self, parsed: list[tuple[str, str, ObjectRow]], is_reverse: bool, unfinished: str | None
    ) -> dict[str, str]:
        """By name, its newest version as it is kept. Of a name whose first versions were on the page before, nothing
        here is the newest.
        """
        newest: dict[str, str] = {}
        for name, _, row in parsed:
            if is_reverse:
                newest[name] = row.name
            elif name != unfinished:
                newest.setdefault(name, row.name)
        return newest

    async def _newest_of(self, request: Request, name: str) -> str:
        """As it is kept; empty when there is none."""
        for row in await self._list(request, {"prefix": f"{RESERVED}{name}{RESERVED}", "limit": "1"}):
            if isinstance(row, ObjectRow):
                return row.name
        return ""

    async def _list(self, request: Request, query: dict[str, str]) -> list[Row]:
        """Rows of the container of versions; none when it is not there."""
        assert request.account is not None
        assert request.container is not None
        hidden = container_of_versions(request.container)
        if await self._room.infos.container(request.account, hidden) is None:
            return []
        made = request.sub("GET", path_of(request.account, hidden), is_allowed=True)
        made.query = query
        found = await self._next(made)
        if found.status == 404:
            return []
        if found.listing is None:
            raise Refusal(503)
        return list(found.listing.rows)

    async def _row_of(self, request: Request, name: str) -> ObjectRow | None:
        """What is current under a name, as the container's listing has it."""
        made = request.sub("GET", request.path, is_allowed=True)
        made.query = {"prefix": name, "limit": "1"}
        found = await self._next(made)
        for row in found.listing.rows if found.listing is not None else ():
            if isinstance(row, ObjectRow) and row.name == name:
                return row
        return None


def _asked_of_versions(query: dict[str, str], marker: str, limit: int) -> dict[str, str]:
    """The client's page, in the names of versions."""
    is_reverse = is_true(query.get("reverse", ""))
    made = {
        "limit": str(limit),
        "marker": marker,
        "prefix": RESERVED + query.get("prefix", ""),
        "delimiter": query.get("delimiter", ""),
        "reverse": query.get("reverse", ""),
    }
    if end := query.get("end_marker"):
        made["end_marker"] = f"{RESERVED}{end}{RESERVED}{_BEHIND_IDS if is_reverse else ''}"
    return made


def _marker(name: str, after: str | None, is_reverse: bool) -> str:
    """Where the page begins among the versions. Raises `Refusal` 400."""
    if after is None:
        return f"{RESERVED}{name}{RESERVED}" + ("" if is_reverse else _BEHIND_IDS)
    if after == NULL:
        return f"{RESERVED}{name}{RESERVED}"
    try:
        return name_of_version(name, timestamp.parse(after))
    except ValueError:
        raise Refusal(400, "invalid version_marker param") from None


def _is_copy(null: ObjectRow, version: str) -> bool:
    """Whether that version is a copy of what is current, made by somebody who died before the write it was made for."""
    return moment_of(timestamp.parse(version)) == null.last_modified


def _shown(row: ObjectRow, name: str, version: str, is_latest: bool) -> ObjectRow:
    return msgspec.structs.replace(row, name=name, version_id=version, is_latest=is_latest)
