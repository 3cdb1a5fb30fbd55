"""Deleted accounts are emptied, and those that are made anew are let be."""

import time

from aerostat.services.object.daemons.reaper import Reaper
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.timestamp import now

from .daemons_kit import WEEK_S, world
from .faults import facts


async def test_a_deleted_account_is_emptied(tmp_path):
    settings = DaemonConfig(reap_per_s=0, reap_after_s=3600.0)
    async with world(tmp_path, 4, settings=settings) as made:
        at, accounts, containers = made.at(), made.cluster.accounts, made.cluster.containers
        await accounts.make("a", at, {})
        await accounts.make("b", at, {})
        for account in ("a", "b"):
            for number in range(3):
                await containers.make(account, f"c{number}", at, 0, {})
        for number in range(20):
            name, data = f"o{number}", b"x"
            await made.cluster.objects(0).put("a", "c1", name, data, facts(data, at, name))
            await containers.hear("a", "c1", [Entry(name=name, timestamp=at, size=1)])
        await accounts.delete("a", now())
        reaper = Reaper(made.station)
        await reaper.pass_once()
        assert (await containers.status("a", "c1"))[0].objects == 20, "not yet"
        made.clock_s = time.time() + 3601
        await reaper.pass_once()
        for number in range(3):
            assert await containers.status("a", f"c{number}") is None
            assert await containers.status("b", f"c{number}") is not None
        for number in range(20):
            found = await made.cluster.objects(0).find("a", "c1", f"o{number}")
            assert found.facts.is_gone
        made.clock_s += 2 * WEEK_S
        await made.converge()
        place = accounts.layout.place(made.cluster.hasher.hash("a"))
        assert [await device.database("accounts", place) for device in made.local.values()] == [None] * 4


async def test_an_account_made_anew_is_let_be(tmp_path):
    async with world(tmp_path, 3) as made:
        accounts, containers = made.cluster.accounts, made.cluster.containers
        await accounts.make("a", made.at(), {})
        await containers.make("a", "c", made.at(), 0, {})
        await accounts.delete("a", now())
        await accounts.make("a", now(), {})
        made.clock_s += 2 * 3600
        await Reaper(made.station).pass_once()
        assert await containers.status("a", "c") is not None
