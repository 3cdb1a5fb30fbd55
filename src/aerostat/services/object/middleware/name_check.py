"""Names that the operator does not want: forbidden characters, too long paths, patterns.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.name_check
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import options_of
from ..http.constraints import size_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.name_check]`"""

    forbidden_chars: str = "'\"`<>"
    maximum_length: int = 255
    """Of a whole path, in bytes."""
    forbidden_regexp: str = r"/\./|/\.\./|/\.$|/\.\.$"
    """Empty: none."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "name_check", Settings)
        self._next = next
        self._forbidden = settings.forbidden_chars
        self._longest = settings.maximum_length
        self._regexp = settings.forbidden_regexp
        self._pattern = re.compile(self._regexp) if self._regexp else None

    async def __call__(self, request: Request) -> Response:
        path = request.path
        if any(character in path for character in self._forbidden):
            raise Refusal(
                400, f"Object/Container/Account name contains forbidden chars from {self._forbidden}"
            )
        if size_of(path) > self._longest:
            raise Refusal(
                400, f"Object/Container/Account name longer than the allowed maximum {self._longest}"
            )
        if self._pattern is not None and self._pattern.search(path):
            raise Refusal(
                400,
                "Object/Container/Account name contains a forbidden substring "
                f"from regular expression {self._regexp}",
            )
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {
            "name_check": {
                "forbidden_chars": self._forbidden,
                "maximum_length": self._longest,
                "forbidden_regexp": self._regexp,
            }
        }
