"""A request to the object store, on its way through the pipeline.

Names and header values are text: UTF-8, with bytes that are none kept as lone surrogates until somebody refuses them.
A middleware that asks something of its own makes a `sub` request; it goes to what lies below that middleware, or to
the whole pipeline.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from .. import timestamp
from ..timestamp import Timestamp
from .response import Refusal, Response

if TYPE_CHECKING:
    from .user import User

Authorize = Callable[["Request", str | None], Awaitable[None]]
"""Raises `Refusal` unless the request may go on, given the ACL of what it touches."""

Handler = Callable[["Request"], Awaitable[Response]]
"""What answers a request: a middleware, or those of accounts, containers and objects at the end."""

VERSIONS = ("v1", "v1.0")
OPEN_EXPIRED = "x-open-expired"
ALONG = ("referer", OPEN_EXPIRED)
"""Headers of a client that its request's parts have, too."""


class Body:
    """What the client sends. `length`: what it said it will be; None when it comes in chunks."""

    __slots__ = ("_chunks", "_most", "_sentence", "length", "received")

    def __init__(self, chunks: AsyncIterator[bytes] | bytes = b"", length: int | None = None) -> None:
        self._chunks: AsyncIterator[bytes] | bytes = chunks
        self.length = len(chunks) if isinstance(chunks, bytes) else length
        self.received = 0
        self._most: int | None = None
        self._sentence: str | None = None

    def limit(self, most: int, sentence: str) -> None:
        """When more comes than `most` bytes, that is refused, with 413 and the sentence."""
        if self._most is None or most < self._most:
            self._most, self._sentence = most, sentence

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Once. Raises `Refusal` 499 when the client goes away, or sends less than it said."""
        chunks, self._chunks = self._chunks, b""
        if isinstance(chunks, bytes):
            if chunks:
                self.received += len(chunks)
                yield chunks
            return
        async for chunk in chunks:
            self.received += len(chunk)
            if self._most is not None and self.received > self._most:
                raise Refusal(413, self._sentence)
            yield chunk
        if self.length is not None and self.received != self.length:
            raise Refusal(499)

    async def read(self, limit: int) -> bytes:
        """All of it. Raises `Refusal` 413 when it is more than `limit` bytes."""
        if self.length is not None and self.length > limit:
            raise Refusal(413)
        if isinstance(self._chunks, bytes):
            whole, self._chunks = self._chunks, b""
            return whole
        parts, size = [], 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise Refusal(413)
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Request:
    """`account`, `container`, `name` are None where the path does not reach. Names of headers are lower case."""

    __slots__ = (
        "_moment",
        "account",
        "at",
        "authorize",
        "body",
        "client",
        "container",
        "headers",
        "host",
        "is_inner",
        "is_owner",
        "method",
        "name",
        "path",
        "query",
        "query_string",
        "scheme",
        "state",
        "trans_id",
        "user",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query_string: str = "",
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        trans_id: str = "",
        scheme: str = "http",
        host: str = "",
        client: str = "",
    ) -> None:
        self.method = method
        self.headers = headers if headers is not None else {}
        self.body = body or Body()
        self.trans_id = trans_id
        self.scheme, self.host, self.client = scheme, host, client
        self.user: User | None = None
        self.authorize: Authorize | None = None
        """None: nothing is asked; what the store itself asks for, and what a signature lets in."""
        self.is_owner = False
        """Set by `authorize`: who asks may see and change what only the account's owner may."""
        self.is_inner = False
        """It was made by the store: it may say and see what clients may not (`x-…-sysmeta-…`)."""
        self.at: Timestamp | None = None
        """The time of what is written, when it is to be another than now."""
        self._moment: Timestamp | None = None
        self.state: dict[str, Any] = {}
        """What middlewares tell each other about this request."""
        self.set_path(path)
        self.set_query(query_string)

    def set_path(self, path: str) -> None:
        self.path = path
        parts = path[1:].split("/", 3)
        self.version = parts[0]
        self.account = self.container = self.name = None
        if self.version in VERSIONS:
            self.account = (parts[1] if len(parts) > 1 else "") or None
            self.container = (parts[2] if len(parts) > 2 else "") or None
            self.name = (parts[3] if len(parts) > 3 else "") or None

    def set_query(self, query_string: str) -> None:
        self.query_string = query_string
        self.query: dict[str, str] = (
            dict(parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape"))
            if query_string
            else {}
        )

    @property
    def url(self) -> str:
        """As the client knows it, less the query."""
        return f"{self.scheme}://{self.host}{quote(self.path, errors='surrogateescape')}"

    @property
    def is_reading(self) -> bool:
        return self.method in ("GET", "HEAD")

    def moment(self) -> Timestamp:
        """The time of what this request writes, the same however often it is asked for."""
        if self.at is not None:
            return self.at
        if self._moment is None:
            self._moment = timestamp.now()
        return self._moment

    def move_behind(self, moment: Timestamp) -> bool:
        """Write later than what is there, which may be of a time to come when a clock was set back. Answers whether the
        time of this request may be moved.
        """
        if self.at is not None:
            return False
        self._moment = max(moment + 1, timestamp.now())
        return True

    def come_after(self, moment: Timestamp) -> None:
        """Write later than what is there, if the time of this request may be moved."""
        if moment >= self.moment():
            self.move_behind(moment)

    def is_true(self, name: str) -> bool:
        """A header that says yes, as upstream's configuration does."""
        return is_true(self.headers.get(name, ""))

    async def check(self, acl: str | None) -> None:
        """Raises `Refusal` 401 or 403 unless who asks may do this to something with that ACL."""
        if self.authorize is not None:
            await self.authorize(self, acl)

    def sub(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        is_allowed: bool = False,
    ) -> "Request":
        """A request of the store's own in the course of this one. `is_allowed`: it is not asked who asks."""
        made = Request(
            method,
            path,
            query_string=query,
            headers=dict(headers or {}),
            body=Body(body) if isinstance(body, bytes) else body,
            trans_id=self.trans_id,
            scheme=self.scheme,
            host=self.host,
            client=self.client,
        )
        for name in ALONG:
            if (value := self.headers.get(name)) is not None:
                made.headers.setdefault(name, value)
        made.user, made.is_inner = self.user, True
        made.authorize = None if is_allowed else self.authorize
        made.is_owner = is_allowed
        return made


def path_of(account: str, container: str | None = None, name: str | None = None) -> str:
    """`/v1/ACCOUNT[/CONTAINER[/NAME]]`, not quoted."""
    return "/".join(part for part in ("/v1", account, container, name) if part is not None)


def decoded_path(raw: bytes) -> str:
    """From the request line. Raises `Refusal` 412: a name must be UTF-8 without NUL."""
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Refusal(412, "Invalid UTF8 or contains NULL") from None
    if "\0" in path:
        raise Refusal(412, "Invalid UTF8 or contains NULL")
    return path


def is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes", "on", "t", "y")
