"""No writes: in the whole store, or in single accounts.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.read_only

An operator's `X-Account-Sysmeta-Read-Only` (true or false) is stronger than what the settings say of all accounts.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import options_of
from ..http.request import Handler, Request, is_true
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

MARK = "x-account-sysmeta-read-only"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.read_only]`"""

    read_only: bool = False
    """All accounts that an operator has not said otherwise of."""
    allow_deletes: bool = False


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "read_only", Settings)
        self._room = room
        self._next = next
        self._is_default = settings.read_only
        self._writes = frozenset(("PUT", "POST", "COPY", *(() if settings.allow_deletes else ("DELETE",))))

    async def __call__(self, request: Request) -> Response:
        if request.method in self._writes and request.account is not None:
            account = request.account
            if request.method == "COPY":
                account = request.headers.get("destination-account", account)
            info = await self._room.infos.account(account)
            mark = info.headers.get(MARK, "") if info is not None else ""
            if is_true(mark) if mark else self._is_default:
                raise Refusal(405, "Writes are disabled for this account.")
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {"read_only": {}} if self._is_default else {}
