"""HTTP to the pipeline and back: an ASGI application.

Every answer carries the transaction's id, under which the log tells what happened. What the pipeline raises ends here:
refusals as they are, anything else as a 500 that is logged once. So does a client's silence: nobody below waits for
ever for a body, and nothing is read for somebody who has gone.
"""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import structlog

from aerostat.kernel.http.connection import IS_GONE

from ..cluster.errors import NoQuorum
from ..config import Limits
from ..stores.object_file import Damaged
from ..stores.protocol import DeviceAway
from .request import Body, Handler, Request, decoded_path
from .response import Refusal, Response, refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

EXTRA, MOST_EXTRA = b"x-trans-id-extra", 32
UNSENT = (204, 304)
"""Answers without a body, and without a length."""
FRAMING = ("content-length", "transfer-encoding", "connection")
"""What the server below looks at."""
SILENCE_LIMIT_S = 60.0
"""A client that sends nothing of its body for so long is given up."""
MOST_WHOLE = 64 << 20
"""Bytes of an answer without a length that are put together in memory."""
OTHER_HEADERS = 36
"""So many may come beside metadata, as upstream has it."""
LONGEST_NUMBER = 20
BROKEN = (Damaged, DeviceAway, NoQuorum, EOFError)
"""What may come in the middle of an object, when nobody else has the rest of it."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

log = structlog.get_logger(__name__)


class Front:
    """`handler` is the whole pipeline."""

    def __init__(self, handler: Handler, limits: Limits, slowest: int = 0) -> None:
        """`slowest`: see `ObjectConfig.slowest_upload_bytes_per_s`."""
        self._handler = handler
        self._slowest = slowest
        self._most_headers = limits.max_meta_count + OTHER_HEADERS + limits.extra_header_count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request; nothing else is spoken here."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        trans_id = f"tx{secrets.token_hex(11)[:21]}-{int(time.time()):010x}{_extra(scope)}"
        try:
            request = _request(scope, receive, trans_id, self._most_headers, self._slowest)
        except Refusal as refused:
            response = refused.response()
            response.headers["connection"] = "close"
            await self._send(scope, send, None, _stamped(response, trans_id))
            return
        try:
            response = await self._handler(request)
        except Refusal as refused:
            response = refused.response()
        except Exception:
            log.exception("unexpected error", method=request.method, path=request.path, trans_id=trans_id)
            response = refusal(500)
        if response.stream is not None and scope.get("http_version") == "1.0" and request.method != "HEAD":
            response = await _whole(response, response.stream)
        if request.headers.get("connection", "").lower() == "keep-alive":
            response.headers["connection"] = "keep-alive"
        if response.status == 411:
            response.headers["connection"] = "close"  # a body may follow of which nobody knows the end
        if "expect" in request.headers and request.body.length != 0 and not request.body.received:
            response.headers["connection"] = "close"  # whether the body comes now is for the client to choose
        try:
            await self._send(scope, send, request, _stamped(response, trans_id))
        except (Refusal, *BROKEN) as error:  # the answer has begun: that it is not ended tells the client
            log.warning("the answer broke off", path=request.path, why=str(error), trans_id=trans_id)
        finally:
            await response.close()

    async def _send(self, scope: Scope, send: Send, request: Request | None, response: Response) -> None:
        entity, headers = response.entity, response.headers
        is_head = request is not None and request.method == "HEAD"
        if entity is not None:
            headers["content-length"] = str(entity.size)
        elif response.stream is not None or response.status == 304:
            headers.pop("content-length", None)
        elif response.status == 204:
            headers["content-length"] = "0"
        elif not is_head or "content-length" not in headers:
            headers["content-length"] = str(len(response.body))
        raw = [(_name(name), _field(value)) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        if is_head:
            await send({"type": "http.response.body", "body": b""})
        elif entity is not None and entity.data is not None:
            await send({"type": "http.response.body", "body": entity.data})
        elif entity is not None or response.stream is not None:
            pieces = entity.stream(0, entity.size) if entity is not None else response.stream
            assert pieces is not None
            await _send_pieces(scope, send, pieces)
        else:
            body = b"" if response.status in UNSENT else response.body
            await send({"type": "http.response.body", "body": body})


async def _whole(response: Response, stream: AsyncIterator[bytes]) -> Response:
    """For a client that knows no chunks: in one piece, or 505 where that would be too large."""
    body = bytearray()
    try:
        async for piece in stream:
            body += piece
            if len(body) > MOST_WHOLE:
                return refusal(505)
    except Refusal as refused:
        return refused.response()
    except BROKEN:
        return refusal(503)
    finally:
        await _end(stream)
    response.stream, response.body = None, bytes(body)
    return response


async def _send_pieces(scope: Scope, send: Send, pieces: AsyncIterator[bytes]) -> None:
    is_gone = (scope.get("extensions") or {}).get(IS_GONE)
    try:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if is_gone is not None and is_gone():
                return
        await send({"type": "http.response.body", "body": b""})
    finally:
        await _end(pieces)


async def _end(pieces: AsyncIterator[bytes]) -> None:
    if (close := getattr(pieces, "aclose", None)) is not None:
        await close()


class _Capitals(bytes):
    """A name that stays as it is, where uvicorn would write all names in lower case."""

    __slots__ = ()

    def lower(self) -> bytes:
        return self


@lru_cache(4096)
def _name(name: str) -> bytes:
    """In capitals as upstream has them: there are clients that look for them so."""
    return _field(name) if name in FRAMING else _Capitals(_field(name.title()))


def _field(text: str) -> bytes:
    """A name or a value on the wire: whatever it holds, it begins no other header."""
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return text.encode("utf-8", "surrogateescape")


def _extra(scope: Scope) -> str:
    """What the client wants to find its transaction by, at the end of the id."""
    for name, value in scope["headers"]:
        if name == EXTRA and value:
            return "-" + quote(value[:MOST_EXTRA])
    return ""


def _stamped(response: Response, trans_id: str) -> Response:
    response.headers["x-trans-id"] = trans_id
    response.headers["x-openstack-request-id"] = trans_id
    return response


def _request(scope: Scope, receive: Receive, trans_id: str, most_headers: int, slowest: int) -> Request:
    """Raises `Refusal` when the head of the request makes no sense."""
    if len(scope["headers"]) > most_headers:
        raise Refusal(400, "Too many headers")
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("utf-8", "surrogateescape").lower()
        value = raw_value.decode("utf-8", "surrogateescape")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= LONGEST_NUMBER):
        raise Refusal(400, "Invalid Content-Length")
    coding = headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise Refusal(501, f"Unsupported transfer encoding: {coding[:100]}")
    raw = scope.get("raw_path") or scope["path"].encode()
    client = scope.get("client")
    body = Body(b"")
    if length is not None or coding is not None or scope["method"] == "PUT":  # of a PUT it must be said
        chunks = _chunks(receive, slowest) if length is not None or coding is not None else _nothing()
        body = Body(chunks, int(length) if length is not None and coding is None else None)
    return Request(
        scope["method"],
        decoded_path(raw.partition(b"?")[0]),
        query_string=scope["query_string"].decode("utf-8", "surrogateescape"),
        headers=headers,
        body=body,
        trans_id=trans_id,
        scheme=scope.get("scheme", "http"),
        host=headers.get("host", ""),
        client=client[0] if client else "",
    )


async def _nothing() -> AsyncIterator[bytes]:
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk


async def _chunks(receive: Receive, slowest: int) -> AsyncIterator[bytes]:
    """Raises `Refusal` 408 when nothing comes, or for long too little; only what is spent on waiting counts."""
    clock = time.monotonic
    waited_s, size = 0.0, 0
    while True:
        began_s = clock()
        try:
            async with asyncio.timeout(SILENCE_LIMIT_S):
                message = await receive()
        except TimeoutError:
            raise Refusal(408) from None
        if message["type"] == "http.disconnect":
            raise Refusal(499)
        if body := message.get("body"):
            waited_s += clock() - began_s
            size += len(body)
            if waited_s > SILENCE_LIMIT_S and size < slowest * waited_s:
                raise Refusal(408)
            yield body
        if not message.get("more_body"):
            return
