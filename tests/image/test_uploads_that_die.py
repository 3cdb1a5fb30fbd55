"""An upload's process dies before and after everything that it does to disk and database: the image is whole, or queued
without any bytes.

Death is the end: from there on nothing is done any more, not even what would clean up.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel.clock import now
from aerostat.services.image import model
from aerostat.services.image.copies import remove_due
from aerostat.services.image.drivers.file import store as file_store
from aerostat.services.image.passage import BLOCK_BYTES
from aerostat.services.image.sweepers.dead_uploads import sweep

from .conftest import BYTES, Api

DATA = bytes(range(256)) * (3 * BLOCK_BYTES // 256)
COUNTED = frozenset({"open", "write", "fsync", "replace", "close"})
Make = Callable[[Api], Any]


class Died(BaseException):
    """Nobody catches this."""


class Life:
    """Of a process, in steps. It ends before or after the one of this number."""

    def __init__(self, ends_at: int | None, *, after: bool) -> None:
        self._ends_at, self._after = ends_at, after
        self.steps: list[str] = []
        self._is_over = False

    def begin(self, name: str) -> None:
        if not self._is_over:
            self.steps.append(name)
            self._is_over = len(self.steps) == self._ends_at and not self._after
        if self._is_over:
            raise Died(name)

    def end(self) -> None:
        self._is_over |= len(self.steps) == self._ends_at
        if self._is_over:
            raise Died(self.steps[-1])

    def __getattr__(self, name: str) -> Any:
        """What `os` has, as long as there is life."""
        found = getattr(os, name)
        if name not in COUNTED:
            return found

        def lived(*given: Any) -> Any:
            self.begin(name)
            answer = found(*given)
            self.end()
            return answer

        return lived


async def live(api: Api, life: Life, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    backend: Any = api.house.store._backend
    writing = backend.writing

    @asynccontextmanager
    async def lived() -> AsyncIterator[Any]:
        life.begin("commit")
        async with writing() as connection:
            yield connection
        life.end()

    with monkeypatch.context() as patched:
        patched.setattr(file_store, "os", life)
        patched.setattr(backend, "writing", lived)
        return await act()


async def sweep_all(api: Api) -> None:
    """As the next process does, when the dead one has been silent for long."""
    long_ago = now() - timedelta(hours=1)
    for row in await api.house.store.all(model.IMAGES, {"status": ("saving", "uploading")}):
        await api.house.store.update(model.IMAGES, {"id": row.id}, upload_seen_at=long_ago)
    for row in await api.house.store.all(model.LOCATIONS, {"state": "writing"}):
        await api.house.store.update(model.LOCATIONS, {"id": row.id}, seen_at=long_ago)
    await sweep(api.house)
    await remove_due(api.house)


@pytest.mark.parametrize("path", ["file", "stage"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_anywhere(api: Api, after: bool, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def upload(id: str) -> int:
        headers = {"content-type": BYTES}
        return (await api.request("PUT", f"images/{id}/{path}", content=DATA, headers=headers)).status_code

    whole_status = {"file": "active", "stage": "uploading"}[path]
    image, whole = await api.make(), Life(None, after=after)
    assert await live(api, whole, lambda: upload(image["id"]), monkeypatch) == 204
    assert {"commit", "open", "write", "fsync", "replace"} <= set(whole.steps)
    kept = [image["id"]]
    for step in range(1, len(whole.steps) + 1):
        image = await api.make()
        life = Life(step, after=after)
        try:
            await live(api, life, lambda id=image["id"]: upload(id), monkeypatch)  # type: ignore[misc]
        except Died:
            await sweep_all(api)
        else:  # how bytes are cut into blocks is a matter of time: this life had fewer steps
            assert len(life.steps) < step
        status = (await api.get(f"images/{image['id']}"))["status"]
        at = f"{'after' if after else 'before'} {step} ({whole.steps[step - 1]})"
        assert status in ("queued", whole_status), at
        if status == whole_status:
            kept.append(image["id"])
        assert api.kept() == sorted(kept), at
        if status == "queued":
            assert await upload(image["id"]) == 204, at
            kept.append(image["id"])
        if path == "file":
            assert await api.content(image["id"]) == DATA, at
