"""Whether the segments of a manifest are there, and are what the client thinks they are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from msgspec import UNSET

from ..http import ranges
from ..http.report import status_line
from ..http.request import is_true
from ..http.response import Response
from .manifest import Segment, Wanted, of_data

AT_ONCE = 8
MOMENT = "%Y-%m-%dT%H:%M:%S.%f"
TOO_SMALL = "Too small; each segment must be at least 1 byte."

Head = Callable[[str], Awaitable[Response]]
"""HEAD of `container/object`, large objects as the large objects that they are."""
Problems = list[tuple[str, str]]


async def check(wanted: Sequence[Wanted], head: Head) -> tuple[list[Segment], Problems]:
    """The segments as they are to be kept, and what is wrong with them; each object is asked for once."""
    paths = list(dict.fromkeys(one.path for one in wanted if one.data is None))
    found: dict[str, Response] = {}
    for start in range(0, len(paths), AT_ONCE):
        some = paths[start : start + AT_ONCE]
        found.update(zip(some, await asyncio.gather(*(_headed(head, path) for path in some)), strict=True))
    segments: list[Segment] = []
    problems: Problems = []
    for index, one in enumerate(wanted):
        if one.data is not None:
            segments.append(of_data(one.data))
        else:
            segments.append(_checked(one, found[one.path], problems, is_last=index == len(wanted) - 1))
    return segments, problems


async def _headed(head: Head, path: str) -> Response:
    """The answer without its bytes; `content-length` tells how many they are."""
    response = await head(path)
    if response.entity is not None:
        response.headers["content-length"] = str(response.entity.size)
    await response.close()
    return response


def _checked(wanted: Wanted, found: Response, problems: Problems, *, is_last: bool) -> Segment:
    name = quote(wanted.sent, errors="surrogateescape")
    if not found.is_ok:
        problems.append((name, status_line(found.status)))
        return Segment()
    headers = found.headers
    size = length = int(headers["content-length"])
    taken = None
    if wanted.range is not None:
        spans = ranges.within([wanted.range], size)
        if not spans:
            problems.append((name, "Unsatisfiable Range"))
        elif spans != [(0, size)]:
            ((start, end),) = spans
            taken, length = f"{start}-{end - 1}", end - start
    if length < 1 and not is_last:
        problems.append((name, TOO_SMALL))
    if wanted.size_bytes is not None and wanted.size_bytes != size:
        problems.append((name, "Size Mismatch"))
    etag = headers.get("etag", "").strip('"')
    if wanted.etag is not None and wanted.etag != etag:
        problems.append((name, "Etag Mismatch"))
    return Segment(
        name="/" + wanted.path,
        size=size,
        etag=etag,
        content_type=headers.get("content-type", "application/octet-stream"),
        last_modified=parsedate_to_datetime(headers["last-modified"]).strftime(MOMENT),
        taken=taken if taken is not None else UNSET,
        sub_slo=True if is_true(headers.get("x-static-large-object", "")) else UNSET,
    )
