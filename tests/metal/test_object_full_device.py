"""A store whose only device is full: nothing more goes in, and what is there can be read, and deleted to make room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object.kit import opened

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small device"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of a store with a device of 40 MiB, in memory."""
    device = tmp_path / "devices" / "d1"
    device.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs", str(device)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(device)], check=True)


@pytest.mark.parametrize("size", [20_000, 900_000], ids=["small", "large"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["told", "chunked"])
async def test_what_is_full_can_be_emptied(folder: Path, size: int, is_chunked: bool) -> None:
    data = b"x" * size
    async with opened(folder) as store:
        await store.put("/v1/a/c")
        count = 0
        while (
            answer := await store("PUT", f"/v1/a/c/o{count}", [data] if is_chunked else data)
        ).status == 201:
            count += 1
        assert answer.status == 507
        assert count > 30
        assert (await store("GET", "/v1/a/c/o0")).body == data
        assert (await store("POST", "/v1/a/c/o1", headers={"x-object-meta-a": "b"})).status == 202
        for number in range(count):
            answer = await store("DELETE", f"/v1/a/c/o{number}")
            assert answer.status == 204, number
        assert (await store("GET", "/v1/a/c")).lines == []
        await store.put("/v1/a/c/again", data)
        assert (await store("GET", "/v1/a/c/again")).body == data
