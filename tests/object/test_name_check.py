"""Names that the operator does not want."""

from pathlib import Path

import pytest

from .kit import opened

ON = {"name_check": {"enabled": True, "maximum_length": 40}}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/A/c/fine", 201),
        ("/v1/A/c/o'clock", 400),
        ("/v1/A/c/<tag>", 400),
        ("/v1/A/c/./o", 400),
        ("/v1/A/c/o/..", 400),
        ("/v1/A/c/..o", 201),
        ("/v1/A/c/" + "x" * 32, 201),
        ("/v1/A/c/" + "x" * 33, 400),
        ("/v1/A/c/" + "ä" * 17, 400),
    ],
)
async def test_names(tmp_path: Path, path: str, status: int) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        await store.put("/v1/A/c")
        assert (await store("PUT", path, b"")).status == status
        assert "name_check" in (await store("GET", "/info")).json


async def test_off_by_default(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/<tag>", b"")
        assert "name_check" not in (await store("GET", "/info")).json
