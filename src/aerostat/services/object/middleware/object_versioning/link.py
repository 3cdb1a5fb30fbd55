"""The link that says which version an object's name stands for: an object without bytes, written in one go.

So what is current changes at one moment, whatever dies around it. In listings the link stands for its version: its
row carries what the version's would.
"""

from collections.abc import Mapping
from typing import Self

import msgspec

from ... import timestamp
from ...http.response import Response
from ...stores.told import OVERRIDE
from ...timestamp import Timestamp

LINK = "x-object-sysmeta-version-link"
"""With the id of the version."""


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """What is under a name. `link`: the id of its version. `at`: when that was written, or deleted; 0: never."""

    is_there: bool
    link: str | None = None
    at: Timestamp = 0

    @property
    def is_null(self) -> bool:
        """Something that has no version."""
        return self.is_there and self.link is None


def current(response: Response) -> Current:
    """From the answer to HEAD of the name itself."""
    headers = response.headers
    written = headers.get("x-timestamp") or headers.get("x-backend-timestamp")
    at = timestamp.parse(written) if written else 0
    return Current(is_there=response.is_ok, link=headers.get(LINK), at=at)


class Shown(msgspec.Struct, kw_only=True):
    """What listings show of a version."""

    size: int
    etag: str
    content_type: str

    @classmethod
    def of(cls, headers: Mapping[str, str], size: int, md5: str) -> Self:
        """From the headers with which it is kept."""
        return cls(
            size=int(headers.get(OVERRIDE + "size", size)),
            etag=headers.get(OVERRIDE + "etag", md5),
            content_type=headers.get(OVERRIDE + "content-type", headers.get("content-type", "")),
        )


def link_headers(version: str, shown: Shown) -> dict[str, str]:
    """What a link is written with."""
    return {
        "content-type": shown.content_type,
        LINK: version,
        OVERRIDE + "etag": f"{shown.etag}; version_id={version}; version_bytes={shown.size}",
    }
