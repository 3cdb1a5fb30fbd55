"""What an operator asks."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from aerostat.services.object.daemons.progress import Progress
from aerostat.services.object.recon import QUESTIONS

from .kit import opened

ON = {"recon": {}}


@pytest.mark.parametrize("question", sorted(QUESTIONS))
async def test_every_question_has_an_answer(tmp_path: Path, question: str) -> None:
    async with opened(tmp_path, devices=2, middleware=ON) as store:
        answer = await store("GET", f"/recon/{question}")
        assert answer.status == 200
        assert answer.json is not None


def digest_of(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


async def test_answers(tmp_path: Path) -> None:
    async with opened(tmp_path, devices=2, middleware=ON) as store:

        async def told(question: str) -> Any:
            return (await store("GET", f"/recon/{question}")).json

        assert int((await told("mem"))["MemTotal"].split()[0]) > 0
        assert set(await told("load")) == {"1m", "5m", "15m", "tasks", "processes"}
        disk = await told("diskusage")
        assert [one["device"] for one in disk] == ["local/d1", "local/d2"]
        assert all(one["used"] + one["avail"] <= one["size"] for one in disk)
        rings = await told("ringmd5")
        assert len(rings) == 3
        for path, digest in rings.items():
            assert digest_of(path) == digest
        assert await told("async") == {"async_pending": 0, "devices": {"local/d1": 0, "local/d2": 0}}
        assert await told("unmounted") == []


async def test_what_was_put_aside_and_how_far_daemons_are(tmp_path: Path) -> None:
    async with opened(tmp_path, devices=2, middleware=ON) as store:
        for name in ("d1", "d2"):
            progress = Progress(tmp_path / "devices" / name, "auditor", f"local/{name}")
            progress.begin(1000.0, 0)
            progress.count("files", 7)
            progress.end(1060.0)
            await progress.save(now=True)
        found = (await store("GET", "/recon/auditor/object")).json
        assert found["auditor_stats"] == {"files": 14}
        assert found["auditor_last"] == 1060.0
        assert [one["device"] for one in found["reports"]] == ["local/d1", "local/d2"]
        for store_name, count in (("objects", 2), ("fragments-1", 3), ("containers", 1)):
            for index in range(count):
                (tmp_path / "devices/d1/quarantined" / store_name / f"{index:032}").mkdir(parents=True)
        assert (await store("GET", "/recon/quarantined")).json == {
            "objects": 5,
            "containers": 1,
            "accounts": 0,
            "policies": {"0": {"objects": 2}, "1": {"objects": 3}},
        }


async def test_what_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        assert (await store("GET", "/recon/nothing")).status == 404
        assert (await store("PUT", "/recon/mem")).status == 405
    async with opened(tmp_path) as store:
        assert (await store("GET", "/recon/mem")).status == 400
