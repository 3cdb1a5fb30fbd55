"""Where something lies."""

from pathlib import Path

import pytest

from .kit import opened

ON = {"list_endpoints": {}}


async def test_devices_of_things(tmp_path: Path) -> None:
    async with opened(tmp_path, devices=4, replicas=3, middleware=ON) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o ä/x", b"bytes")
        for path, end in (("A", "/A"), ("A/c", "/A/c"), ("A/c/o ä/x", "/A/c/o%20%C3%A4/x")):
            found = (await store("GET", f"/endpoints/{path}")).json
            assert len(set(found)) == 3
            assert all(one.startswith("http://local/d") and one.endswith(end) for one in found)
            assert (await store("GET", f"/endpoints/v1/{path}")).json == found
            second = (await store("GET", f"/endpoints/v2/{path}")).json
            assert second["endpoints"] == found
        assert second["headers"] == {"X-Backend-Storage-Policy-Index": "0"}
        for one in found:
            _, _, _, device, part, *_ = one.split("/")
            assert list((tmp_path / "devices" / device / "objects" / part).rglob("*"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "", 400), ("GET", "v3/A", 400), ("GET", "v1", 400), ("GET", "v1//c", 400), ("PUT", "A", 405)],
)
async def test_what_is_refused(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        assert (await store(method, f"/endpoints/{path}")).status == status


async def test_off_by_default(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert (await store("GET", "/endpoints/A")).status == 400
