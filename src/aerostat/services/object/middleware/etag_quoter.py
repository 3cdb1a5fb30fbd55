"""ETags of objects in double quotes, as RFC 9110 has them; upstream answers them bare unless it is asked not to.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.etag_quoter

`X-Container-Rfc-Compliant-Etags: true` for a container, `X-Account-…` for all of an account that do not say otherwise.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import options_of
from ..http.request import Handler, Request, is_true
from ..http.response import Response

if TYPE_CHECKING:
    from ..room import ObjectStore

WORD = "rfc-compliant-etags"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.etag_quoter]`"""

    enable_by_default: bool = False
    """Where neither container nor account says otherwise."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next
        settings = options_of(room.settings, "etag_quoter", Settings)
        self._is_default = settings.enable_by_default

    async def __call__(self, request: Request) -> Response:
        if request.account is None:
            return await self._next(request)
        if request.name is None:
            return await self._of_place(request, "account" if request.container is None else "container")
        response = await self._next(request)
        etag = response.headers.get("etag")
        if (
            etag is None
            or request.container is None
            or (etag.startswith(('"', 'W/"')) and etag.endswith('"'))
        ):
            return response
        if await self._is_wanted(request.account, request.container):
            response.headers["etag"] = f'"{etag}"'
        return response

    async def _of_place(self, request: Request, kind: str) -> Response:
        """The clients' name of the header is not the one under which it is kept."""
        said, kept, headers = f"x-{kind}-{WORD}", f"x-{kind}-sysmeta-{WORD}", request.headers
        if (value := headers.pop(said, None)) is not None:
            headers[kept] = ("true" if is_true(value) else "false") if value else ""
        if headers.pop(f"x-remove-{kind}-{WORD}", None):
            headers[kept] = ""
        response = await self._next(request)
        if (value := response.headers.pop(kept, None)) is not None:
            response.headers[said] = value
        return response

    async def _is_wanted(self, account: str, container: str) -> bool:
        info = await self._room.infos.container(account, container)
        if info is None:
            return self._is_default
        flag = info.headers.get(f"x-container-sysmeta-{WORD}")
        if flag is None and (owner := await self._room.infos.account(account)) is not None:
            flag = owner.headers.get(f"x-account-sysmeta-{WORD}")
        return self._is_default if flag is None else is_true(flag)

    def info(self) -> Mapping[str, Any]:
        return {"etag_quoter": {"enable_by_default": self._is_default}}
