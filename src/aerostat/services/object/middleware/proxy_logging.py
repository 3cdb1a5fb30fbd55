"""What was asked and answered: counted always, and in the log when the settings say so.

https://docs.openstack.org/swift/latest/logs.html#proxy-logs. It lies outside of everything, so that it sees what is
sent. Tokens and signatures never reach a line.
"""

import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Entity, Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS"})
REQUESTS = Counter("aerostat_object_requests_total", "Requests answered.", ["kind", "method", "status"])
TIMES = Histogram(
    "aerostat_object_request_seconds",
    "From the head of a request to the head of its answer.",
    ["kind", "method"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30),
)
RECEIVED = Counter("aerostat_object_received_bytes_total", "Bytes of bodies that clients sent.")
SENT = Counter("aerostat_object_sent_bytes_total", "Bytes of bodies that were sent.")

_SECRET = re.compile(
    r"((?:^|&)(?:temp_url_sig|swiftinfo_sig|signature|x-amz-signature)=)[^&]*", re.IGNORECASE
)

log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.proxy_logging]`"""

    access_log: bool = False
    """A line for every request."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "proxy_logging", Settings)
        self._next = next
        self._is_logging = settings.access_log
        self._counts: dict[tuple[str, str, int], Any] = {}
        self._times: dict[tuple[str, str], Any] = {}

    async def __call__(self, request: Request) -> Response:
        started_s = time.perf_counter()
        asked = request.path, request.query_string
        try:
            response = await self._next(request)
        except Refusal as refused:
            response = refused.response()
        except Exception:
            self._count(request, 500, time.perf_counter() - started_s, 0)
            if self._is_logging:
                self._write(request, asked, 500, 0, started_s)
            raise
        size = _size(request, response)
        self._count(request, response.status, time.perf_counter() - started_s, size)
        if self._is_logging:
            status = response.status

            def ended(sent: int) -> None:
                self._write(request, asked, status, sent, started_s)

            if request.method == "HEAD" or (response.entity is None and response.stream is None):
                ended(size)
            elif response.entity is not None:
                response.entity = Watched(response.entity, ended)
            else:
                response.stream = _watched(response.stream, ended)
        return response

    def _count(self, request: Request, status: int, took_s: float, sent: int) -> None:
        method = request.method if request.method in METHODS else "other"
        kind = _kind(request)
        count = self._counts.get((kind, method, status))
        if count is None:
            count = self._counts[kind, method, status] = REQUESTS.labels(kind, method, status)
            self._times.setdefault((kind, method), TIMES.labels(kind, method))
        count.inc()
        self._times[kind, method].observe(took_s)
        if request.body.received:
            RECEIVED.inc(request.body.received)
        if sent:
            SENT.inc(sent)

    def _write(
        self, request: Request, asked: tuple[str, str], status: int, sent: int, started_s: float
    ) -> None:
        path, query = asked
        log.info(
            "object request",
            method=request.method,
            path=quote(path, errors="surrogateescape"),
            query=_SECRET.sub(r"\1***", query) if query else None,
            status=status,
            bytes_in=request.body.received,
            bytes_out=sent,
            user=request.user.name if request.user is not None else None,
            trans_id=request.trans_id,
            client=request.client,
            agent=request.headers.get("user-agent"),
            took_ms=round((time.perf_counter() - started_s) * 1000, 2),
        )

    def info(self) -> Mapping[str, Any]:
        return {}


class Watched:
    """See `Entity`: one that tells how much of it was read when it is closed."""

    __slots__ = ("_ended", "_entity", "_sent", "data", "size")

    def __init__(self, entity: Entity, ended: Any) -> None:
        self._entity, self._ended = entity, ended
        self.size, self.data = entity.size, entity.data
        self._sent = entity.size if entity.data is not None else 0

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        async for piece in self._entity.stream(start, end):
            self._sent += len(piece)
            yield piece

    async def close(self) -> None:
        ended, self._ended = self._ended, None
        try:
            await self._entity.close()
        finally:
            if ended is not None:
                ended(self._sent)


async def _watched(stream: Any, ended: Any) -> AsyncIterator[bytes]:
    sent = 0
    try:
        async for piece in stream:
            sent += len(piece)
            yield piece
    finally:
        ended(sent)


def _kind(request: Request) -> str:
    if request.name is not None:
        return "object"
    if request.container is not None:
        return "container"
    return "account" if request.account is not None else "other"


def _size(request: Request, response: Response) -> int:
    if request.method == "HEAD":
        return 0
    return response.entity.size if response.entity is not None else len(response.body)
