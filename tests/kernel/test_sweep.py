"""Sweepers under the engine."""

import pytest

from aerostat.kernel.clock import clock, minutes
from aerostat.kernel.db import Store
from aerostat.kernel.model import leases
from aerostat.kernel.work import Engine, Sweeper


class Dust:
    def __init__(self) -> None:
        self.grains = 3
        self.sweeps = 0


async def sweep_dust(dust: Dust) -> int:
    dust.sweeps += 1
    if dust.grains < 0:
        raise RuntimeError("the broom broke")
    swept, dust.grains = dust.grains, 0
    return swept


DUST = Sweeper("dust", every=minutes(10), sweep=sweep_dust)


pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_answers_how_much_it_swept(store: Store) -> None:
    dust = Dust()
    engine = Engine(store, None, dust, sweepers=[DUST])
    assert await engine.run_one("dust") == 3
    assert await engine.run_one("dust") == 0


async def test_runs_when_due_and_in_one_process_only(store: Store) -> None:
    dust = Dust()
    engines = [Engine(store, None, dust, sweepers=[DUST], name=name) for name in ("a", "b")]
    for _ in range(3):
        for engine in engines:
            await engine.run_due()
        clock.step(minutes=10)
    assert dust.sweeps == 3


async def test_a_restart_does_not_forget_when_it_is_due(store: Store) -> None:
    dust = Dust()
    await Engine(store, None, dust, sweepers=[DUST]).run_due()
    clock.step(minutes=5)
    await Engine(store, None, dust, sweepers=[DUST]).run_due()
    assert dust.sweeps == 1
    clock.step(minutes=5)
    await Engine(store, None, dust, sweepers=[DUST]).run_due()
    assert dust.sweeps == 2


async def test_a_failing_sweep_comes_again_sooner_and_then_more_slowly(store: Store) -> None:
    dust = Dust()
    dust.grains = -1
    engine = Engine(store, None, dust, sweepers=[DUST])
    await engine.run_due()
    due = []
    for _ in range(3):
        row = await store.get(leases, name="dust")
        due.append((row.next_at - clock.now()).total_seconds())
        clock.step(seconds=due[-1])
        await engine.run_due()
    assert due == [2, 4, 8]
    assert dust.sweeps == 4
