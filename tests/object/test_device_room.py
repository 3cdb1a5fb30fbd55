"""A device that is full can be emptied: what deletions take is kept for them."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .kit import opened

BLOCKS, BLOCK = 1_000_000, 4096


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say how much of every file system is free, from 0 to 1."""
    left = 1.0

    def say(share: float) -> None:
        nonlocal left
        left = share

    def statvfs(_: Any) -> Any:
        return SimpleNamespace(f_blocks=BLOCKS, f_bavail=int(BLOCKS * left), f_frsize=BLOCK)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return say


async def test_who_is_full_takes_no_objects_but_deletions(
    tmp_path: Path, free: Callable[[float], None]
) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        for name in ("small", "large"):
            await store.put(f"/v1/A/c/{name}", b"x")
        free(0.009)
        assert (await store("PUT", "/v1/A/c/new", b"x")).status == 507
        assert (await store("PUT", "/v1/A/c/new", [b"x"])).status == 507
        assert (await store("PUT", "/v1/A/c/small", b"other")).status == 507
        assert (await store("POST", "/v1/A/c/small", headers={"x-object-meta-a": "b"})).status == 202
        assert (await store("GET", "/v1/A/c/small")).body == b"x"
        assert (await store("DELETE", "/v1/A/c/small")).status == 204
        assert (await store("GET", "/v1/A/c")).lines == ["large"]
        free(0.011)
        assert (await store("PUT", "/v1/A/c/new", b"x")).status == 201


async def test_who_would_be_full_is_not_begun_with(tmp_path: Path, free: Callable[[float], None]) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        free(0.011)
        size = int(BLOCKS * BLOCK * 0.002)
        announced = await store("PUT", "/v1/A/c/o", [b"x"], {"content-length": str(size)})
        assert announced.status == 507
        assert (await store("GET", "/v1/A/c")).status == 204
