"""Paths to endpoints: one tree per room, literal segments before parameters, version spans on the leaves."""

from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import MethodNotAllowed, NotFound
from .request import Request
from .versions import Span, Version

Handler = Callable[[Request], Awaitable[Any]]


class Endpoint:
    """One method of one path, for a span of versions."""

    __slots__ = ("handler", "method", "name", "path", "public", "raw_body", "span")

    def __init__(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        name: str = "",
        versions: Span = Span(),
        public: bool = False,
        raw_body: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.handler = handler
        self.name = name
        self.span = versions
        self.public = public  # answers without a token
        self.raw_body = raw_body  # the handler streams the body itself


class _Node:
    __slots__ = ("endpoints", "literal", "parameter", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.rest: tuple[str, _Node] | None = None
        self.endpoints: dict[str, list[Endpoint]] = {}


class Router:
    """`{name}` matches one segment, `{name...}` the rest of the path (slashes included)."""

    def __init__(self) -> None:
        self._root = _Node()
        self.endpoints: list[Endpoint] = []

    def add(self, endpoint: Endpoint) -> None:
        self.endpoints.append(endpoint)
        node = self._root
        for segment in _segments(endpoint.path):
            if segment.startswith("{") and segment.endswith("...}"):
                name = segment[1:-4]
                node.rest = node.rest or (name, _Node())
                node = node.rest[1]
            elif segment.startswith("{"):
                name = segment[1:-1]
                # Two paths may call the same position differently; the name is kept per endpoint.
                node.parameter = node.parameter or (name, _Node())
                node = node.parameter[1]
            else:
                node = node.literal.setdefault(segment, _Node())
        node.endpoints.setdefault(endpoint.method, []).append(endpoint)

    def find(self, method: str, path: str, version: Version) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint and its path parameters. Raises `NotFound`, `MethodNotAllowed`."""
        segments = _segments(path)
        allowed: set[str] = set()
        for node, values in _walk(self._root, segments, 0, []):
            for endpoint in node.endpoints.get(method, ()):
                if version in endpoint.span:
                    return endpoint, _named(endpoint.path, values)
            if method == "HEAD":
                for endpoint in node.endpoints.get("GET", ()):
                    if version in endpoint.span:
                        return endpoint, _named(endpoint.path, values)
            for other, endpoints in node.endpoints.items():
                if any(version in endpoint.span for endpoint in endpoints):
                    allowed.add(other)
        if allowed:
            error = MethodNotAllowed(f"The method {method} is not allowed for this resource.")
            error.headers = {"Allow": ", ".join(sorted(allowed))}
            raise error
        raise NotFound("The resource could not be found.")


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> Any:
    if at == len(segments):
        yield node, values
        return
    following = node.literal.get(segments[at])
    if following is not None:
        yield from _walk(following, segments, at + 1, values)
    if node.parameter is not None and segments[at]:
        yield from _walk(node.parameter[1], segments, at + 1, [*values, segments[at]])
    if node.rest is not None:
        yield node.rest[1], [*values, "/".join(segments[at:])]


def _named(path: str, values: list[str]) -> dict[str, str]:
    names = [part.strip("{}.") for part in path.split("/") if part.startswith("{")]
    return dict(zip(names, values, strict=True))
