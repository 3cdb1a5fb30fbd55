"""One after the other for each id, and nothing kept of ids that nobody is about."""

import asyncio
import gc

from aerostat.kernel.turns import Turns


async def test_one_after_the_other_for_each_id_and_side_by_side_for_different_ones() -> None:
    turns = Turns()
    told: list[str] = []
    go_on = asyncio.Event()

    async def work(id: str, name: str) -> None:
        async with turns.of(id):
            told.append(f"{name} begins")
            if name == "first":
                await go_on.wait()
            told.append(f"{name} ends")

    tasks = [
        asyncio.create_task(work(id, name)) for id, name in (("a", "first"), ("a", "second"), ("b", "other"))
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["first begins", "other begins", "other ends"]
    assert len(turns) == 1
    go_on.set()
    await asyncio.gather(*tasks)
    assert told[3:] == ["first ends", "second begins", "second ends"]


async def test_nothing_is_kept_when_all_is_done_or_broken_off() -> None:
    turns = Turns()

    async def wait_for_ever(id: str) -> None:
        async with turns.of(id):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(wait_for_ever(id)) for id in ("a", "a", "b")]
    await asyncio.sleep(0)
    assert len(turns) == 2
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    del task, tasks
    gc.collect()  # what broke off holds its frames
    assert len(turns) == 0
