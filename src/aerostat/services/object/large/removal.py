"""The end of a static large object with all its segments: those below first, so that whoever dies on the way leaves a
manifest from which the rest can be deleted.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

from msgspec import UNSET

from ..http.report import Errors, status_line
from ..http.response import Refusal, Response
from .manifest import Manifest
from .tree import is_manifest, load

AT_ONCE = 8
MOST_FAILED = 1000
MOST_MANIFESTS = 10_000
"""In one tree."""

Ask = Callable[[str], Awaitable[Response]]
"""A request for `container/object`."""


async def manifest_at(path: str, get: Ask) -> Manifest:
    """Raises `Refusal` 404 when nothing is there, 400 when it is no manifest, 401, 500."""
    response = await get(path)
    if response.status == 200 and is_manifest(response):
        return await load(response)
    await response.close()
    if response.status == 200:
        raise Refusal(400, "Not an SLO manifest")
    if response.status == 404:
        raise Refusal(404, "SLO manifest not found")
    if response.status == 401:
        raise Refusal(401, status_line(401))
    raise Refusal(500, "Unable to load SLO manifest or segment.")


class Removal:
    """One deletion. `get` and `delete` ask for the object as it is; `path` is the manifest's `container/object`."""

    def __init__(self, path: str, get: Ask, delete: Ask) -> None:
        self._path = path
        self._get = get
        self._delete = delete
        self._manifests: set[str] = set()
        self._errors: list[tuple[str, str]] = []
        self._worst = 400
        self.deleted = self.missing = 0

    async def run(self) -> tuple[int, str, Errors]:
        """The status, a sentence, and what could not be deleted."""
        try:
            waiting: list[str] = []
            async for path in self._paths(self._path):
                waiting.append(path)
                if len(waiting) >= AT_ONCE or path in self._manifests:
                    await self._delete_all(waiting)
                    waiting = []
            await self._delete_all(waiting)
        except Refusal as refused:
            return refused.status, refused.text or "", self._errors
        if self._errors:
            return self._worst, "", self._errors
        if not self.deleted and not self.missing:
            return 400, "Invalid bulk delete.", self._errors
        return 200, "", self._errors

    async def _paths(self, path: str) -> AsyncIterator[str]:
        """Everything below a manifest, and then itself."""
        if path in self._manifests:
            return
        if len(self._manifests) >= MOST_MANIFESTS:
            raise Refusal(400, "Too many manifests below this one to delete.")
        self._manifests.add(path)
        try:
            found = await manifest_at(path, self._get)
        except Refusal as refused:
            if refused.status == 404:
                self.missing += 1
            else:
                self._failed(path, refused.text or status_line(refused.status))
            return
        for one in found.segments:
            if one.sub_slo is True:
                async for below in self._paths(one.path):
                    yield below
            elif one.name is not UNSET:
                yield one.path
        yield path

    async def _delete_all(self, paths: list[str]) -> None:
        """The last one, which may be their manifest, after the others."""
        if not paths:
            return
        answers = [*await asyncio.gather(*(self._delete(path) for path in paths[:-1]))]
        answers.append(await self._delete(paths[-1]))
        for path, response in zip(paths, answers, strict=True):
            await response.close()
            if response.is_ok:
                self.deleted += 1
            elif response.status == 404:
                self.missing += 1
            else:
                if response.status >= 500:
                    self._worst = 502
                elif response.status == 401:
                    self._worst = 401
                self._failed(path, status_line(response.status))

    def _failed(self, path: str, what: str) -> None:
        self._errors.append((quote("/" + path, errors="surrogateescape"), what))
        if len(self._errors) >= MOST_FAILED:
            raise Refusal(400, "Max delete failures exceeded")
