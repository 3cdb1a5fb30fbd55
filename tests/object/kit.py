"""A store of its own for a test, asked without sockets: the whole pipeline from the ASGI front to files on disk."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.places import Places
from aerostat.services.object.room import ObjectStore


class Answer:
    """What came back. Names of headers are lower case."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def lines(self) -> list[str]:
        return self.body.decode().splitlines()

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:200]!r}"


class Store:
    """`headers` go with every request: a token, say."""

    def __init__(self, room: ObjectStore, headers: Mapping[str, str] | None = None) -> None:
        self.room = room
        self.headers = dict(headers or {})

    def as_(self, **headers: str) -> "Store":
        """The same store, asked with these headers beside the others; `_` stands for a dash."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Store(self.room, {**self.headers, **named})

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
        raw_path: bytes | None = None,
        breaks_off: bool = False,
    ) -> Answer:
        """`path` is not quoted. `body` in pieces comes chunked. `breaks_off`: the client goes away after the body."""
        sent = {"host": "127.0.0.1:8080", **self.headers, **(headers or {})}
        if body is None:
            pieces: list[bytes] = []
            if method in ("PUT", "POST") and not any(name.lower() == "content-length" for name in sent):
                sent["content-length"] = "0"
        elif isinstance(body, bytes):
            pieces = [body]
            sent.setdefault("content-length", str(len(body)))
        else:
            pieces = list(body)
            if not any(name.lower() == "content-length" for name in sent):
                sent.setdefault("transfer-encoding", "chunked")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": raw_path if raw_path is not None else quote(path).encode(),
            "query_string": query.encode(),
            "headers": [
                (name.lower().encode(), value.encode("utf-8", "surrogateescape"))
                for name, value in sent.items()
            ],
            "scheme": "http",
            "client": ("127.0.0.1", 4711),
        }
        return await ask(self.room.app, scope, pieces, breaks_off)

    async def put(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        """A PUT that must succeed."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self("PUT", path, body, named)
        assert answer.status in (201, 202), answer
        return answer


async def ask(app: Any, scope: Mapping[str, Any], pieces: list[bytes], breaks_off: bool = False) -> Answer:
    """One request to an ASGI application."""
    waiting = list(pieces)
    messages: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if waiting:
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(waiting) or breaks_off}
        if breaks_off:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *rest = messages
    headers: dict[str, str] = {}
    for name, value in start["headers"]:
        headers[name.decode().lower()] = value.decode("utf-8", "surrogateescape")
    return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in rest))


@contextlib.asynccontextmanager
async def opened(
    folder: Path, *, devices: int = 1, replicas: float = 1, authenticate: Any = None, **settings: Any
) -> AsyncIterator[Store]:
    """A store in `folder`, made if it is not there; `settings` as in `[object]`. `authenticate`: see `House`."""
    config = msgspec.convert({"replicas": replicas, "part_power": 4, **settings}, ObjectConfig)
    places = Places(folder)
    places.found(config, [f"d{index + 1}" for index in range(devices)])
    room = ObjectStore(config, places, authenticate)
    try:
        yield Store(room)
    finally:
        await room.close()
