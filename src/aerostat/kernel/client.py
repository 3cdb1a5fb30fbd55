"""One room calling another, in the name of whoever asked.

A room's `client.py` is a small typed class over `Caller`; policy, versions and errors are those of the public API,
because it is the public API: the call goes through the same dispatcher as one from outside, less the socket.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from .context import Context
from .errors import ApiError, Unavailable

if TYPE_CHECKING:
    from .house import House
    from .service import Service

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class RoomError(ApiError):
    """Another room refused. Carries its status, its message and its error type, so that it can be passed on."""

    def __init__(self, status: int, text: str, code: str, room: str, *, away: bool = False) -> None:
        super().__init__(text)
        self.away = away
        self.status = status
        if status == Unavailable.status:
            self.headers = Unavailable.headers  # whoever asked us comes again as well
        self.code = code
        self.room = room


class Caller:
    """Requests to one room as one user. `version` is the microversion asked for, None for the room's oldest."""

    def __init__(
        self, house: "House", service: "Service", context: Context, version: str | None = None
    ) -> None:
        self.house = house
        self.service = service
        self.context = context
        self.version = version

    async def get(self, path: str, **query: Any) -> Any:
        return await self.request("GET", path, query=query)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Any:
        return await self.request("PUT", path, body)

    async def patch(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return await self.request("PATCH", path, body, headers=headers)

    async def delete(self, path: str) -> Any:
        return await self.request("DELETE", path)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        chunks: AsyncIterator[bytes] | None = None,
    ) -> Any:
        """The decoded answer; None when it is empty, an async iterator when it is streamed.

        `chunks` is a streamed body. Raises `RoomError` for every status of 400 and more.
        """
        sent = {"content-type": "application/json", **(headers or {})}
        if self.version is not None and self.service.versions.service_type:
            sent["openstack-api-version"] = f"{self.service.versions.service_type} {self.version}"
        response = await self.house.dispatch.call_room(
            self.service,
            method,
            path,
            query=urlencode(
                {key: value for key, value in (query or {}).items() if value is not None}, doseq=True
            ),
            headers=sent,
            body=None if body is None else _decode(_encode(body)),
            context=self.context,
            chunks=chunks,
        )
        if response.status >= 400:
            error = response.error
            raise RoomError(response.status, error.text, error.error_code, self.service.name, away=error.away)
        return response.data
