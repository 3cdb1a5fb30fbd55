"""Rounds through partitions: what cannot be done now holds up nobody, and is tried again."""

import pytest

from aerostat.services.object.cluster.errors import DeviceFull, NoQuorum
from aerostat.services.object.daemons.progress import read
from aerostat.services.object.daemons.sums import SumsTeller
from aerostat.services.object.daemons.walking import Walk

from .daemons_kit import world
from .faults import facts


async def fill(made):
    """Objects in several partitions."""
    for number in range(8):
        name = f"o{number}"
        await made.cluster.objects(0).put("a", "c", name, b"x", facts(b"x", made.at(), name))


@pytest.mark.parametrize("error", [NoQuorum("c", 1, 2), DeviceFull("c"), OSError("no such luck")])
async def test_a_step_that_fails_is_one_of_its_round(tmp_path, error):
    async with world(tmp_path, 1) as made:
        await fill(made)
        seen = []

        async def work(step):
            seen.append(step.part)
            if step.part == seen[0]:
                raise error

        walk = Walk(made.station, "walker", lambda store: store == "objects", work)
        assert await walk.pass_once()
        assert len(seen) > 2
        report = read(tmp_path / "d0/recon/walker.json")
        assert (report.last["failures"], report.last["partitions"]) == (1, len(seen))
        before = len(seen)
        assert await walk.pass_once()
        assert seen[before] == seen[0], "it is tried again"


async def test_a_mistake_of_ours_ends_the_pass(tmp_path):
    async with world(tmp_path, 3) as made:
        await fill(made)

        async def work(step):
            raise RuntimeError("a mistake")

        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await Walk(made.station, "walker", lambda store: store == "objects", work).pass_once()


async def test_sums_that_nobody_can_tell_are_told_in_the_next_round(tmp_path, monkeypatch):
    async with world(tmp_path, 1) as made:
        await made.cluster.accounts.make("a", made.at(), {})
        await made.cluster.containers.make("a", "c", made.at(), 0, {})
        teller = SumsTeller(made.station)

        async def in_vain(*_entries):
            raise NoQuorum("sums", 0, 1)

        with monkeypatch.context() as patch:
            patch.setattr(made.cluster.accounts, "hear_sums", in_vain)
            assert await teller.pass_once()
        assert read(tmp_path / "d0/recon/sums.json").last["failures"] == 1
        assert await teller.pass_once()
        assert read(tmp_path / "d0/recon/sums.json").last == {"containers": 1, "partitions": 1}
