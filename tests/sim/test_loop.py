"""The virtual loop: time that jumps, an order that the seed gives, processes that die where they stand."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.testing.sim.loop import PROCESS, Process, VirtualLoop


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    yield
    clock.run()


def lived(work: Any, seed: int = 1) -> Any:
    return VirtualLoop(random.Random(seed)).run_until_complete(work)


def test_a_day_passes_at_once() -> None:
    async def sleep() -> float:
        before = clock.now()
        await asyncio.sleep(86_400)
        return (clock.now() - before).total_seconds()

    assert lived(sleep()) == 86_400


def test_timeouts_and_threads_need_no_time_of_ours() -> None:
    async def work() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return await asyncio.to_thread(lambda: 7)

    assert lived(work()) == 7


def test_the_seed_gives_the_order() -> None:
    async def race() -> list[int]:
        order: list[int] = []

        async def run(number: int) -> None:
            await asyncio.sleep(0)
            order.append(number)

        await asyncio.gather(*(run(number) for number in range(6)))
        return order

    orders = {tuple(lived(race(), seed)) for seed in range(20)}
    assert len(orders) > 10
    assert lived(race(), 5) == lived(race(), 5)


def test_who_is_killed_tidies_nothing_up() -> None:
    said: list[str] = []

    async def victim() -> None:
        try:
            said.append("begun")
            await asyncio.sleep(10)
            said.append("went on")
        finally:
            said.append("tidied up")

    async def world() -> None:
        process = Process("victim", 1)
        asyncio.get_running_loop().spawn(process, victim())  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        process.alive = False
        await asyncio.sleep(100)

    loop = VirtualLoop(random.Random(1))
    loop.run_until_complete(world())
    assert said == ["begun"]


def test_tasks_of_a_process_are_its_own_in_an_empty_context_too() -> None:
    import contextvars

    async def whose() -> Process | None:
        return PROCESS.get()

    async def parent() -> Process | None:
        return await asyncio.get_running_loop().create_task(whose(), context=contextvars.Context())

    async def world() -> bool:
        process = Process("one", 1)
        found = await asyncio.get_running_loop().spawn(process, parent())  # type: ignore[attr-defined]
        return found is process and PROCESS.get() is None

    assert lived(world())


def test_who_is_stopped_goes_on_later() -> None:
    async def ticks(at: list[float]) -> None:
        while True:
            at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)

    async def world() -> list[float]:
        process, at = Process("one", 1), []
        asyncio.get_running_loop().spawn(process, ticks(at))  # type: ignore[attr-defined]
        await asyncio.sleep(2.5)
        process.stopped_until_s = 10.0
        await asyncio.sleep(9)
        return at

    assert lived(world()) == [0.0, 1.0, 2.0, 10.0, 11.0]


def test_a_process_dies_after_so_many_steps() -> None:
    died: list[int] = []

    async def walk() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def world() -> None:
        process = Process("one", 1)
        process.dies_after = 7
        asyncio.get_running_loop().spawn(process, walk())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    def kill(process: Process) -> None:
        process.alive = False
        died.append(process.steps)

    loop = VirtualLoop(random.Random(1))
    loop.on_death = kill
    loop.run_until_complete(world())
    assert died == [7]


def test_nobody_left_to_wait_for_is_said() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        lived(wait())
