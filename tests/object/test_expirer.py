"""Objects whose time has come go, and so do the notes of it."""

import time

import pytest

from aerostat.services.object import expiry
from aerostat.services.object.cluster.errors import NoQuorum
from aerostat.services.object.daemons.expirer import Expirer
from aerostat.services.object.daemons.progress import read
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.proxy.core import Core
from aerostat.services.object.stores.listing import Asked

from .daemons_kit import DAY_S, UNHURRIED, WEEK_S
from .kit import opened


async def test_expired_objects_go_with_their_notes(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/keep", b"1")
        await store.put("/v1/a/c/dies", b"1", x_delete_at=str(soon))
        await store.put("/v1/a/c/spared", b"1", x_delete_at=str(soon))
        await store("POST", "/v1/a/c/spared", headers={"x-delete-at": str(soon + 10 * DAY_S).split(".")[0]})
        await store.put("/v1/a/c/replaced", b"1", x_delete_at=str(soon))
        await store.put("/v1/a/c/replaced", b"2")
        room, clock = store.room, [time.time()]
        expirer = Expirer(station(room, clock=lambda: clock[0]))
        await expirer.pass_once()
        assert (await store("GET", "/v1/a/c")).lines == ["dies", "keep", "replaced", "spared"]
        clock[0] = soon + 1
        await expirer.pass_once()
        assert (await store("GET", "/v1/a/c")).lines == ["keep", "replaced", "spared"]
        slot = expiry.slot_of(soon)
        assert await room.cluster.containers.list(expiry.ACCOUNT, slot, Asked()) == []
        report = read(room.local["local/d1"].root / "recon" / "expirer.json")
        assert report.last == {"objects": 1, "stale": 2}
        clock[0] = soon + 6 * 3600
        await expirer.pass_once()
        assert await room.cluster.containers.list(expiry.ACCOUNT, slot, Asked()) is None


async def test_a_note_is_kept_until_its_object_could_be_deleted(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/dies", b"1", x_delete_at=str(soon))
        room, core = store.room, Core(store.room)
        answers = []

        async def busy(request):
            response = await core(request)
            if not answers:
                response.status = 503
            answers.append(response.status)
            return response

        expirer = Expirer(station(room, clock=lambda: soon + 5.0, core=busy))
        await expirer.pass_once()
        assert len(await room.cluster.containers.list(expiry.ACCOUNT, expiry.slot_of(soon), Asked())) == 1
        await expirer.pass_once()
        assert await room.cluster.containers.list(expiry.ACCOUNT, expiry.slot_of(soon), Asked()) == []
        assert len(answers) == 2


@pytest.mark.parametrize("unread", ["accounts", "containers"])
async def test_notes_that_cannot_be_read_now_are_read_in_the_next_round(tmp_path, monkeypatch, unread):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/dies", b"1", x_delete_at=str(soon))
        expirer = Expirer(station(store.room, clock=lambda: soon + 5.0))
        with monkeypatch.context() as patch:

            async def in_vain(*_asked):
                raise NoQuorum("notes", 1, 2)

            patch.setattr(getattr(store.room.cluster, unread), "list", in_vain)
            assert await expirer.pass_once()
        report = read(store.room.local["local/d1"].root / "recon" / "expirer.json")
        assert (report.rounds, report.last) == (1, {"failures": 1})
        assert report.error.startswith("NoQuorum: notes")
        await expirer.pass_once()
        assert (await store("GET", "/v1/a/c")).lines == []


def station(room, *, clock, core=None):
    return Station(
        lambda: room.cluster,
        room.local,
        UNHURRIED,
        reclaim_age_s=WEEK_S,
        core=core or Core(room),
        clock=clock,
    )
