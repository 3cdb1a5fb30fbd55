"""A list of names, deleted: first the objects, some at a time, then the containers."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from ...config import Limits
from ...http.request import Handler, Request, path_of
from ...http.response import Refusal
from .outcome import Outcome, as_client, is_nameable

if TYPE_CHECKING:
    from . import Settings

DELETED, MISSING = "Number Deleted", "Number Not Found"


class Deletion:
    """See the module."""

    def __init__(self, next: Handler, request: Request, limits: Limits, settings: "Settings") -> None:
        self.outcome = Outcome(200, DELETED, MISSING)
        self._next = next
        self._request = request
        self._settings = settings
        self._longest = limits.max_object_name_length + limits.max_container_name_length + 2
        self._names: list[str] = []

    async def run(self) -> None:
        """Raises `Refusal`: of `_read`, and 400 when too much fails."""
        await self._read()
        objects = [name for name in self._names if "/" in name.strip("/")]
        containers = [name for name in self._names if name.strip("/") and "/" not in name.strip("/")]
        for names in (objects, containers):
            waiting = iter(names)
            workers = max(1, min(self._settings.delete_concurrency, len(names)))
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(waiting))
            if self._has_failed:
                raise Refusal(400, "Max delete failures exceeded")
        self.outcome.end("Invalid bulk delete.")

    async def _read(self) -> None:
        """The names. Raises `Refusal` 400, 406, 411, 413."""
        headers = self._request.headers
        kind = headers.get("content-type")
        if kind and not kind.startswith("text/plain"):
            raise Refusal(406)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            raise Refusal(411)
        rest = b""
        async for chunk in self._request.body:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._add(line)
            if len(rest) > 2 * self._longest:
                raise Refusal(400, "Invalid File Name")
        self._add(rest)

    def _add(self, line: bytes) -> None:
        if name := unquote_to_bytes(line.strip()).decode("utf-8", "surrogateescape"):
            self._names.append(name)
        most = self._settings.max_deletes_per_request
        if len(self._names) > most:
            raise Refusal(413, f"Maximum Bulk Deletes: {most} per request")

    @property
    def _has_failed(self) -> bool:
        return len(self.outcome.errors) >= self._settings.max_failed_deletes

    async def _work(self, waiting: Iterator[str]) -> None:
        for name in waiting:
            await self._delete(name)
            if self._has_failed:
                return

    async def _delete(self, name: str) -> None:
        outcome = self.outcome
        path = path_of(self._request.account or "", name.lstrip("/"))
        if not is_nameable(path):
            outcome.fail(name, 412)
            return
        asked = as_client(self._request, self._request.sub("DELETE", path))
        response = await self._next(asked)
        await response.close()
        if response.is_ok:
            outcome.counts[DELETED] += 1
        elif response.status == 404:
            outcome.counts[MISSING] += 1
        else:
            outcome.fail(name, response.status)
