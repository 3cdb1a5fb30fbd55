"""Answers that take long: 202 or 200 at once, blanks while the work goes on, and at the end a report of how it went.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.bulk and the manifests of static
large objects speak so, as text, JSON or XML.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from .reasons import REASONS
from .response import Response

KINDS = ("text/plain", "application/json", "application/xml", "text/xml")
SEPARATOR = b"\r\n\r\n"
"""Between the blanks and the report."""
INTERVAL_S = 10.0

Errors = Sequence[tuple[str, str]]
"""What went wrong: the quoted name of a thing, and a status or a sentence."""


def status_line(status: int) -> str:
    """`404 Not Found`"""
    title, _ = REASONS.get(status, ("", ""))
    return f"{status} {title}".rstrip()


def sentence(response: Response) -> str:
    """What an answer says, as a line of a report: nothing when it went well."""
    if response.is_ok:
        return ""
    if response.body and "html" not in response.headers.get("content-type", ""):
        return response.body.decode("utf-8", "surrogateescape").rstrip()
    return "\n".join(part for part in REASONS.get(response.status, ("", "")) if part)


def best_kind(accept: str | None, kinds: Sequence[str] = KINDS) -> str | None:
    """The one of `kinds` that the client likes best; None when it takes none of them. No wish takes the first."""
    if not accept or not accept.strip():
        return kinds[0]
    best, best_weight = None, 0.0
    for part in accept.split(","):
        pattern, *options = (one.strip().lower() for one in part.split(";"))
        weight = _weight(options)
        for kind in kinds:
            if weight > best_weight and _fits(kind, pattern):
                best, best_weight = kind, weight
    return best


def _weight(options: Sequence[str]) -> float:
    for option in options:
        name, _, value = option.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _fits(kind: str, pattern: str) -> bool:
    return pattern in ("*/*", kind) or (pattern.endswith("/*") and kind.startswith(pattern[:-1]))


def write(kind: str, facts: Mapping[str, object], errors: Errors, root: str) -> bytes:
    """A report. `root`: what is reported, which XML has as its outermost tag."""
    if kind == "application/json":
        return msgspec.json.encode({**facts, "Errors": [list(error) for error in errors]})
    if kind.endswith("/xml"):
        lines = [f"<{root}>"]
        for name in sorted(facts):
            tag = name.replace(" ", "_").lower()
            lines.append(f"<{tag}>{escape(str(facts[name]))}</{tag}>")
        lines.append("<errors>")
        for name, what in errors:
            lines.append(f"<object><name>{escape(name)}</name><status>{escape(what)}</status></object>")
        lines += ["</errors>", f"</{root}>", ""]
        return "\n".join(lines).encode("utf-8", "surrogateescape")
    lines = [f"{name}: {facts[name]}" for name in sorted(facts)]
    lines += ["Errors:", *(f"{name}, {what}" for name, what in errors), ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


async def answer(
    work: Coroutine[Any, Any, bytes], kind: str, status: int, *, at_once: bool, interval_s: float = INTERVAL_S
) -> Response:
    """The report that `work` makes, with a status that says nothing of it. The answer begins `at_once`, or when the
    work is done or has taken a while. A reader that goes away ends the work.
    """
    task = asyncio.create_task(work)
    headers = {"content-type": kind}
    if not at_once:
        try:
            await asyncio.wait([task], timeout=interval_s)
        except BaseException:
            await _end(task)
            raise
        if task.done():
            return Response(status, headers, task.result())
    return Response(status, headers, stream=_beats(task, interval_s))


async def _beats(task: asyncio.Task[bytes], interval_s: float) -> AsyncIterator[bytes]:
    try:
        yield b" "
        while not (await asyncio.wait([task], timeout=interval_s))[0]:
            yield b" "
        yield SEPARATOR + task.result()
    finally:
        await _end(task)


async def _end(task: asyncio.Task[bytes]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
