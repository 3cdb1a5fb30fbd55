"""Paths that stand in headers: `X-Copy-From`, `Destination`, `X-Symlink-Target`, quoted as in a URL."""

from urllib.parse import quote, unquote

from .response import Refusal


def quoted(path: str) -> str:
    return quote(path, errors="surrogateescape")


def container_and_object(header: str, value: str) -> tuple[str, str]:
    """`[/]container/object`. Raises `Refusal` 412."""
    path = unquote(value, errors="surrogateescape").removeprefix("/")
    container, _, name = path.partition("/")
    if not container or not name or "\0" in path:
        raise Refusal(412, f"{header} header must be of the form <container name>/<object name>")
    return container, name


def account(value: str) -> str:
    """The name of an account. Raises `Refusal` 412."""
    name = unquote(value, errors="surrogateescape")
    if not name:
        raise Refusal(412, "Account name cannot be empty")
    if "/" in name or "\0" in name:
        raise Refusal(412, "Account name cannot contain slashes")
    return name
