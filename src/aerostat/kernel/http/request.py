"""One request and its answer, as handlers see them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from ..context import Context
from ..errors import BadRequest, Forbidden, TooLarge
from .versions import Version

if TYPE_CHECKING:
    from ..db import Row, Store
    from ..house import House
    from ..service import Service

_decode = msgspec.json.Decoder().decode
_NO_BODY = object()


class Request:
    """What came in.

    `params` are the path's, `query` keeps every value of a repeated key, header names are lower case.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "base_url",
        "context",
        "headers",
        "house",
        "method",
        "params",
        "path",
        "query",
        "query_string",
        "request_id",
        "resource_id",
        "scope",
        "service",
        "state",
        "version",
    )

    def __init__(
        self,
        house: "House",
        service: "Service",
        *,
        method: str,
        path: str,
        query_string: str,
        headers: Mapping[str, str],
        request_id: str,
        base_url: str,
        chunks: AsyncIterator[bytes] | None = None,
        body: Any = _NO_BODY,
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        self.house = house
        self.service = service
        self.method = method
        self.path = path
        self.query_string = query_string
        self.query: dict[str, list[str]] = {}
        if query_string:
            for key, value in parse_qsl(query_string, keep_blank_values=True):
                self.query.setdefault(key, []).append(value)
        self.headers = headers
        self.request_id = request_id
        self.base_url = base_url  # as the client knows us, without the room's prefix, no slash at the end
        self.params: dict[str, str] = {}
        self.version: Version = service.versions.default
        self.context = Context(request_id=request_id)
        self.state: dict[str, Any] = {}  # for one request only: things a handler worked out and needs again
        self.resource_id: str | None = None  # what the request was about, for the operation record
        self.scope = scope or {}
        self._chunks = chunks
        self._body = body

    @property
    def db(self) -> "Store":
        return self.house.store

    @property
    def url(self) -> str:
        """The request's own URL, without the query."""
        return self.base_url + self.service.prefix + self.path

    def argument(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query argument."""
        values = self.query.get(name)
        return values[-1] if values else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A query argument read as upstream reads booleans. Raises `BadRequest`."""
        value = self.argument(name)
        if value is None:
            return default
        word = value.strip().lower()
        if word in ("1", "true", "t", "yes", "y", "on", ""):
            return True
        if word in ("0", "false", "f", "no", "n", "off"):
            return False
        raise BadRequest(f"Invalid value for boolean query argument {name}: {value}")

    async def read(self, limit_bytes: int | None = None) -> bytes:
        """The whole body. Raises `TooLarge` as soon as the limit is passed."""
        limit = self.service.max_body_bytes if limit_bytes is None else limit_bytes
        length = self.headers.get("content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            raise TooLarge(f"Request is too large: at most {limit} bytes are accepted.")
        parts, total = [], 0
        async for chunk in self.stream():
            total += len(chunk)
            if total > limit:
                raise TooLarge(f"Request is too large: at most {limit} bytes are accepted.")
            parts.append(chunk)
        return b"".join(parts)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        if self._chunks is not None:
            chunks, self._chunks = self._chunks, None
            async for chunk in chunks:
                yield chunk

    async def json(self, limit_bytes: int | None = None) -> Any:
        """The decoded body; None when there is none. Raises `BadRequest`, `TooLarge`."""
        if self._body is _NO_BODY:
            raw = await self.read(limit_bytes)
            if not raw:
                self._body = None
            else:
                try:
                    self._body = _decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise BadRequest(f"Malformed request body: not valid JSON ({error})") from error
        return self._body

    @property
    def body(self) -> Any:
        """The decoded body, once the kernel has read and checked it."""
        return None if self._body is _NO_BODY else self._body

    def client(self, room: str) -> Any:
        """Another room, asked in the name of this request's user."""
        return self.house.client(room, self.context)

    def allows(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Whether policy rule `rule` lets this user touch `target`."""
        return bool(
            self.house.rules.check(rule, self.context, target if target is not None else self.own_target)
        )

    def check(self, rule: str, target: Mapping[str, Any] | None = None) -> None:
        """Raises `Forbidden` in the room's own words, with the failing clause as detail."""
        verdict = self.house.rules.check(
            rule, self.context, target if target is not None else self.own_target
        )
        if not verdict:
            error = Forbidden(self.service.forbidden % {"rule": rule}, detail=verdict.reason())
            error.code = "PolicyNotAuthorized"
            raise error

    @property
    def own_target(self) -> dict[str, Any]:
        """The target of rules about things that do not exist yet: the caller's own project and user."""
        context = self.context
        own = {
            "project_id": context.project_id,
            "tenant_id": context.project_id,
            "user_id": context.user_id,
            "domain_id": context.domain_id,
        }
        return {name: value for name, value in own.items() if value is not None}


class Response:
    """An answer. `data` is encoded as JSON unless it is bytes, None (empty) or an async iterator (streamed)."""

    __slots__ = ("content_type", "data", "headers", "resource_id", "status")

    def __init__(
        self,
        data: Any = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        resource_id: str | None = None,
    ) -> None:
        self.data = data
        self.status = status
        self.headers: dict[str, str] = dict(headers or {})
        self.content_type = content_type
        self.resource_id = resource_id


class Page:
    """Rows of a list, and the marker of the next page if there is one."""

    __slots__ = ("next_marker", "previous_marker", "rows")

    def __init__(
        self, rows: "Sequence[Row]", next_marker: str | None = None, previous_marker: str | None = None
    ) -> None:
        self.rows = list(rows)
        self.next_marker = next_marker
        self.previous_marker = previous_marker
