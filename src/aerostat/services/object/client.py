"""The object store, as other rooms use it: containers and objects of the project that asks.

Calls go through the whole pipeline, as requests from outside do, and whoever asks may do what the same user may there.
Every refusal is a `RoomError`.
"""

import hmac
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from aerostat.kernel.client import Caller, RoomError
from aerostat.kernel.context import SERVICE_ROLE
from aerostat.kernel.errors import BadRequest

Headers = Mapping[str, str]
TEMP_URL_KEY = "x-account-meta-temp-url-key"
LISTING_LIMIT = 10_000


class ObjectClient:
    """Names of headers are lower case."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def account(self) -> str:
        """Of the project that asks. Raises `BadRequest` where none does."""
        if self._caller.context.project_id is None:
            raise BadRequest("Objects belong to a project, and the request is of none.")
        return f"AUTH_{self._caller.context.project_id}"

    def url(self, container: str | None = None, name: str | None = None) -> str:
        """As users reach it."""
        return f"{self._caller.house.base_url(self._caller.service)}{quote(self._path(container, name))}"

    # Accounts

    async def get_account(self) -> Headers:
        return await self._head()

    async def update_account(self, headers: Headers) -> None:
        await self._ask("POST", headers=headers)

    # Containers

    async def ensure_container(self, container: str, headers: Headers | None = None) -> None:
        """Made, or given these headers."""
        await self._ask("PUT", container, headers=headers)

    async def find_container(self, container: str) -> Headers | None:
        return await self._find(container)

    async def remove_container(self, container: str) -> None:
        """One that is not there is no error; one with objects is, 409."""
        await self._remove(container)

    async def list_objects(
        self, container: str, *, marker: str = "", limit: int = LISTING_LIMIT, **query: str
    ) -> list[dict[str, Any]]:
        """A page of `{"name", "bytes", "hash", "content_type", "last_modified"}`, or `{"subdir"}` with a delimiter."""
        asked = {"format": "json", "limit": str(limit), "marker": marker, **query}
        response = await self._ask("GET", container, query=asked)
        return list(msgspec.json.decode(response.body)) if response.body else []

    # Objects

    async def upload(
        self,
        container: str,
        name: str,
        data: bytes | AsyncIterator[bytes],
        headers: Headers | None = None,
        query: Headers | None = None,
    ) -> str:
        """The ETag of what is stored."""
        response = await self._ask("PUT", container, name, headers=headers, query=query, data=data)
        return str(response.headers["etag"])

    async def download(
        self, container: str, name: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """The object's bytes from `start` on, piece by piece."""
        if length == 0:
            return _nothing()
        end = "" if length is None else start + length - 1
        headers = {"range": f"bytes={start}-{end}"} if start or length is not None else None
        return _pieces(await self._ask("GET", container, name, headers=headers))

    async def read(self, container: str, name: str, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; empty at the end."""
        asked = {"range": f"bytes={offset}-{offset + size - 1}"}
        try:
            response = await self._ask("GET", container, name, headers=asked)
        except RoomError as error:
            if error.status == 416:
                return b""
            raise
        return b"".join([piece async for piece in _pieces(response)])

    async def find_object(self, container: str, name: str) -> Headers | None:
        return await self._find(container, name)

    async def remove_object(self, container: str, name: str) -> None:
        """One that is not there is no error."""
        await self._remove(container, name)

    async def temp_url(self, container: str, name: str, *, method: str = "GET", lifetime_s: int) -> str:
        """A URL by which anybody may do this until then. The account gets a key for such URLs if it has none."""
        key = (await self.get_account()).get(TEMP_URL_KEY)
        if key is None:
            key = secrets.token_hex(20)
            await self.update_account({TEMP_URL_KEY: key})
        until_s = int(time.time()) + lifetime_s
        text = f"{method}\n{until_s}\n{self._path(container, name)}"
        signature = hmac.digest(key.encode(), text.encode(), "sha256").hex()
        signed = urlencode({"temp_url_sig": signature, "temp_url_expires": until_s})
        return f"{self.url(container, name)}?{signed}"

    # All of them

    def _path(self, container: str | None, name: str | None) -> str:
        return "/".join(part for part in ("/v1", self.account, container, name) if part is not None)

    async def _head(self, container: str | None = None, name: str | None = None) -> Headers:
        response = await self._ask("HEAD", container, name)
        await response.close()
        return dict(response.headers)

    async def _find(self, container: str, name: str | None = None) -> Headers | None:
        try:
            return await self._head(container, name)
        except RoomError as error:
            if error.status == 404:
                return None
            raise

    async def _remove(self, container: str, name: str | None = None) -> None:
        try:
            await self._ask("DELETE", container, name)
        except RoomError as error:
            if error.status != 404:
                raise

    async def _ask(
        self,
        method: str,
        container: str | None = None,
        name: str | None = None,
        *,
        query: Headers | None = None,
        headers: Headers | None = None,
        data: bytes | AsyncIterator[bytes] = b"",
    ) -> Any:
        """The `Response`. Raises `RoomError`, `Unavailable`."""
        from .http.request import Body, Request

        store = await self._caller.house.state["object"].store()
        context = self._caller.context
        request = Request(
            method,
            self._path(container, name),
            query_string=urlencode(query or {}),
            headers=dict(headers or {}),
            body=Body(data),
            trans_id=context.request_id,
        )
        if isinstance(data, bytes):
            request.headers["content-length"] = str(len(data))
        else:
            request.headers["transfer-encoding"] = "chunked"
        asks = msgspec.structs.replace(context, service_roles=(SERVICE_ROLE,))
        store.layers["keystone"].sign_in(request, asks)
        response = await store.handler(request)
        if response.status >= 400:
            await response.close()
            text = response.body.decode(errors="replace") or f"The object store answered {response.status}."
            raise RoomError(response.status, text, "ObjectStoreError", "object")
        return response


async def _pieces(response: Any) -> AsyncIterator[bytes]:
    try:
        if response.entity is None:
            yield response.body
        elif response.entity.data is not None:
            yield response.entity.data
        else:
            async for piece in response.entity.stream(0, response.entity.size):
                yield piece
    finally:
        await response.close()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""  # an empty stream, not None
