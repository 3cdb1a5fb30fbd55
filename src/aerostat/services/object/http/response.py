"""Answers of the object store. Bytes that are many are an entity: the outermost layer asks it for the ranges wanted.

So a middleware that gives an object other bytes (large objects, encryption) gives the answer another entity, and
ranges and conditions are worked out once, at the end, whatever it was made of.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from .listing import Listing
from .reasons import REASONS

HTML = "text/html; charset=UTF-8"


class Entity(Protocol):
    """The bytes of an object; close it."""

    @property
    def size(self) -> int: ...

    @property
    def data(self) -> bytes | None:
        """All bytes, when they are few and at hand."""

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to before `end`, in pieces."""

    async def close(self) -> None: ...


class Whole:
    """See `Entity`: bytes that are at hand."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        yield self.data[start:end]

    async def close(self) -> None:
        """There is nothing to close."""


class Response:
    """`body` is sent as it is, unless there is an `entity` (of an object), a `listing`, or a `stream` (of unknown
    length). Names of headers are lower case.
    """

    __slots__ = ("body", "entity", "headers", "listing", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        entity: Entity | None = None,
        listing: Listing | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = dict(headers) if headers is not None else {}
        self.body = body
        self.entity = entity
        self.listing = listing
        self.stream = stream

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    async def read(self, limit: int) -> bytes:
        """All bytes of the body or the entity, which is closed. Raises ValueError when there are more than `limit`."""
        if self.entity is None:
            return self.body
        try:
            if self.entity.size > limit:
                raise ValueError(f"{self.entity.size} bytes are more than {limit}")
            if self.entity.data is not None:
                return self.entity.data
            return b"".join([piece async for piece in self.entity.stream(0, self.entity.size)])
        finally:
            await self.close()

    async def close(self) -> None:
        """Nobody will read it."""
        entity, self.entity = self.entity, None
        if entity is not None:
            await entity.close()


class Refusal(Exception):
    """The end of a request: a status and a sentence for the client, or the page that a status has."""

    def __init__(
        self, status: int, text: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})

    def response(self) -> Response:
        return refusal(self.status, self.text, self.headers)


def refusal(status: int, text: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says no. Sentences are plain text; without one a page is made from the status."""
    if text is not None:
        sent = {"content-type": "text/plain; charset=UTF-8", **(headers or {})}
        return Response(status, sent, text.encode("utf-8", "surrogateescape"))
    return Response(status, {"content-type": HTML, **(headers or {})}, page_of(status).encode())


def page_of(status: int) -> str:
    """What a status says, for people; empty where it says all by itself."""
    title, sentence = REASONS.get(status, ("", ""))
    return f"<html><h1>{title}</h1><p>{sentence}</p></html>" if sentence else ""
