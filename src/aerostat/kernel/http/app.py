"""The ASGI application: every room on one port, told apart by path prefix.

For each request: find the room, the version and the endpoint; learn who asks; let the handler answer; turn whatever
went wrong into the room's own envelope; leave a record of what changed something.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

import msgspec
import structlog

from .. import ids
from ..context import SERVICE_ROLE, Context
from ..db import BadValue, Duplicate, RowNotFound, StillReferenced, StoreUnavailable
from ..errors import ApiError, Away, BadRequest, Conflict, DriverError, NotFound, Unavailable
from ..house import House
from ..service import Service
from .envelopes import plain
from .journal import Journal
from .request import Request, Response
from .sign_in import sign_in

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Answer:
    """What a call from one room to another gets back."""

    __slots__ = ("data", "error", "headers", "status")

    def __init__(self, response: Response, error: ApiError | None) -> None:
        self.data = response.data
        self.status = response.status
        self.headers = response.headers
        self.error = error


class Application:
    """`house.services` behind their prefixes, plus `/healthcheck`, `/metrics` and the list of rooms at `/`."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.dispatch = self
        self._prefixes = {service.prefix: service for service in house.services.values()}
        self._own = {path: service for service in house.services.values() for path in service.own_paths}
        self._own_hosts = [
            (host.lower(), service)
            for service in house.services.values()
            for host in (service.own_hosts(house.config) if service.own_hosts is not None else ())
        ]
        self.journal = Journal(house.store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    def own_room(self, scope: Scope) -> Service | None:
        """The room that answers this request by an application of its own."""
        path: str = scope["path"]
        end = path.find("/", 1)
        owner = self._own.get(path if end < 0 else path[:end])
        return owner if owner is not None or not self._own_hosts else self._room_of_host(scope, path)

    def _room_of_host(self, scope: Scope, path: str) -> Service | None:
        asked = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), ""
        ).lower()
        for host, service in self._own_hosts:
            if host.startswith("."):
                if asked.partition(":")[0].endswith(host):
                    return service
            elif asked == host and self._room(path)[0] is None:
                return service
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (owner := self.own_room(scope)) is not None and owner.own_app is not None:
            await owner.own_app(self.house, scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        raw = scope.get("raw_path")
        path = unquote(raw.split(b"?")[0].decode("latin-1")) if raw else scope["path"]
        service, rest = self._room(path)
        request_id = "req-" + ids.new_id()
        if service is None:
            await _send(
                send, *self._outside(scope["method"], path, headers, request_id), scope["method"] == "HEAD"
            )
            return
        request = Request(
            self.house,
            service,
            method=scope["method"],
            path=rest,
            query_string=scope["query_string"].decode("latin-1"),
            headers=headers,
            request_id=request_id,
            base_url=self._base_url(scope, headers),
            chunks=_chunks(receive),
            scope=scope,
        )
        response, _ = await self.answer(request)
        await _send(send, *_encoded(request, response), request.method == "HEAD")

    async def call_room(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        query: str,
        headers: Mapping[str, str],
        body: Any,
        context: Context,
        chunks: AsyncIterator[bytes] | None = None,
    ) -> Answer:
        """A request from inside the process: the same path, less bytes and tokens.

        What a token of the room would prove beside the user's is known here: a service of the cloud asks.
        """
        request = Request(
            self.house,
            service,
            method=method,
            path=path,
            query_string=query,
            headers=headers,
            request_id=context.request_id,
            base_url=self.house.public_url,
            chunks=chunks,
            **({} if chunks is not None else {"body": body}),
        )
        request.context = msgspec.structs.replace(context, service_roles=(SERVICE_ROLE,))
        return Answer(*await self.answer(request, trusted=True))

    async def answer(self, request: Request, trusted: bool = False) -> tuple[Response, ApiError | None]:
        """The response to a request, whatever happens, and the error that made it if there was one."""
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        name = request.path
        error: ApiError | None = None
        try:
            service = request.service
            request.version = service.versions.asked(request.headers)
            endpoint, request.params = service.router.find(request.method, request.path, request.version)
            name = endpoint.name
            if not trusted:
                await sign_in(request, public=endpoint.public)
            service.check_project(request.params, request.context)
            response: Response = await endpoint.handler(request)
        except Exception as problem:
            error = self._understood(problem, request)
            response = Response(
                request.service.envelope(error, request.request_id), error.status, error.headers
            )
        response.headers.update(request.service.versions.answered(request.version))
        took_ms = (time.perf_counter() - started) * 1000
        self.journal.note(request, name, response, error, took_ms)
        return response, error

    def _understood(self, problem: Exception, request: Request) -> ApiError:
        """Any exception as an error for the user. What nobody foresaw is logged here, once."""
        if isinstance(problem, ApiError):
            return problem
        if isinstance(problem, StoreUnavailable):
            return Away(detail=str(problem))
        if isinstance(problem, RowNotFound):
            return NotFound("The resource could not be found.", detail=str(problem))
        if isinstance(problem, Duplicate | StillReferenced):
            return Conflict("The resource conflicts with another that is there.", detail=str(problem))
        if isinstance(problem, BadValue):
            return BadRequest("A value of the request is out of range.", detail=str(problem))
        if isinstance(problem, DriverError):
            status = Away if problem.away else Unavailable if problem.retry else ApiError
            return status(problem.message, detail=problem.detail)
        log.exception("unexpected error", method=request.method, path=request.path)
        return ApiError(
            "Unexpected API Error. Please report this with the request id and the log. "
            f"{type(problem).__name__} ({request.request_id})",
            detail=f"{type(problem).__name__}: {problem}",
        )

    def _room(self, path: str) -> tuple[Service | None, str]:
        head, slash, rest = path[1:].partition("/")
        service = self._prefixes.get("/" + head)
        return (service, slash + rest) if service is not None else (None, path)

    def _base_url(self, scope: Scope, headers: Mapping[str, str]) -> str:
        host = headers.get("host")
        return f"{scope.get('scheme', 'http')}://{host}" if host else self.house.public_url

    def _outside(
        self, method: str, path: str, headers: Mapping[str, str], request_id: str
    ) -> tuple[int, dict[str, str], Any]:
        """Paths that belong to no room."""
        sent = {"content-type": "application/json", "x-openstack-request-id": request_id}
        if path == "/healthcheck":
            return 200, {**sent, "content-type": "text/plain"}, b"OK"
        if path == "/metrics":
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            return 200, {**sent, "content-type": CONTENT_TYPE_LATEST}, generate_latest()
        if path == "/":
            rooms = [
                {
                    "type": service.type,
                    "name": service.name,
                    "href": self.house.url(service.name) + "/",
                }
                for service in self.house.services.values()
                if service.catalog is not None
            ]
            return 200, sent, _encode({"services": rooms})
        error = NotFound(f"There is no service at {path}")
        return 404, sent, _encode(plain(error, request_id))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, rest = self._room(scope["path"])
        handler = service.websockets.get(rest) if service is not None else None
        if handler is None:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await handler(self.house, scope, receive, send)


def _encoded(request: Request, response: Response) -> tuple[int, dict[str, str], Any]:
    headers = {"x-openstack-request-id": request.request_id, **response.headers}
    if request.service.request_id_header is not None:
        headers[request.service.request_id_header] = request.request_id
    data = response.data
    if data is None:
        return response.status, headers, b""
    if not isinstance(data, bytes) and not hasattr(data, "__aiter__"):
        data = _encode(data)
    headers.setdefault("content-type", response.content_type)
    return response.status, headers, data


async def _send(send: Send, status: int, headers: Mapping[str, str], data: Any, head: bool) -> None:
    raw = [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()]
    if isinstance(data, bytes):
        if status != 204 and not any(name == b"content-length" for name, _ in raw):
            raw.append((b"content-length", str(len(data)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if head or status == 204 else data})
        return
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if not head:
        async for chunk in data:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


class ClientGone(ApiError):
    """The client hung up before its body was whole; nobody will read this answer."""

    status = 400
    message = "The client closed the connection before the request was complete."


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
