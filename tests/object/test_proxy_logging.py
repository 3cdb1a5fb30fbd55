"""A line for every request, and what is counted."""

from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from .kit import opened

ON = {"proxy_logging": {"access_log": True}}


def lines(written: list[Any]) -> list[Any]:
    return [line for line in written if line["event"] == "object request"]


async def test_a_line_tells_what_was_asked_and_answered(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        await store.put("/v1/A/c")
        with capture_logs() as written:
            await store.put("/v1/A/c/ä b", b"x" * 1000)
            got = await store("GET", "/v1/A/c/ä b", headers={"range": "bytes=0-9"})
            await store("GET", "/v1/A/c/none", query="temp_url_sig=s3cret&temp_url_expires=1")
            await store("HEAD", "/v1/A/c/ä b")
        put, ranged, missing, head = lines(written)
        assert (put["method"], put["path"], put["status"]) == ("PUT", "/v1/A/c/%C3%A4%20b", 201)
        assert put["bytes_in"] == 1000
        assert (ranged["status"], ranged["bytes_out"]) == (206, 10)
        assert ranged["trans_id"] == got.headers["x-trans-id"]
        assert ranged["client"] == "127.0.0.1"
        assert missing["status"] == 401
        assert "s3cret" not in str(missing)
        assert missing["query"] == "temp_url_sig=***&temp_url_expires=1"
        assert (head["status"], head["bytes_out"]) == (200, 0)


async def test_large_objects_are_told_when_they_are_through(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", b"x" * 300_000)
        with capture_logs() as written:
            assert len((await store("GET", "/v1/A/c/o")).body) == 300_000
        (line,) = lines(written)
        assert line["bytes_out"] == 300_000


async def test_no_lines_by_default_and_counts_all_the_same(tmp_path: Path) -> None:
    def count() -> float:
        labels = {"kind": "container", "method": "PUT", "status": "201"}
        return REGISTRY.get_sample_value("aerostat_object_requests_total", labels) or 0

    before = count()
    async with opened(tmp_path) as store:
        with capture_logs() as written:
            await store.put("/v1/A/c")
            await store("FROB" * 10, "/v1/A/c")
        assert lines(written) == []
    assert count() == before + 1


async def test_a_clients_word_stands_at_the_end_of_the_transactions_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        extra = "mine/" + "x" * 40
        answer = await store("GET", "/healthcheck", headers={"x-trans-id-extra": extra})
        assert answer.headers["x-trans-id"].endswith("-mine/" + "x" * 27)
        assert answer.headers["x-openstack-request-id"] == answer.headers["x-trans-id"]
