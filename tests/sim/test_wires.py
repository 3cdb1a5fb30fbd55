"""The simulated message queue: who gets what when processes die or are cut off."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.kernel.bus import Bus, BusGone, BusNobody, BusTimeout, Message
from aerostat.kernel.clock import clock
from aerostat.testing.sim.history import History
from aerostat.testing.sim.loop import Process, VirtualLoop
from aerostat.testing.sim.wires import Wires


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    yield
    clock.run()


@pytest.fixture
def wires() -> Wires:
    loop = VirtualLoop(random.Random(1))
    return Wires(loop, random.Random(2), History(loop))


def serve(wires: Wires, name: str, heard: list[str], *, slow_s: float = 0.0) -> tuple[Process, Bus]:
    process = Process(name, 1)
    bus = wires.bus_for(process)

    async def answer(message: Message) -> str:
        heard.append(name)
        await asyncio.sleep(slow_s)
        return name

    wires.loop.spawn(process, bus.serve("work", answer))
    return process, bus


def run(wires: Wires, work: Any) -> Any:
    return wires.loop.run_until_complete(work)


def test_what_the_dead_had_taken_goes_to_the_next(wires: Wires) -> None:
    heard: list[str] = []

    async def world() -> str:
        first, _ = serve(wires, "first", heard, slow_s=50)
        await asyncio.sleep(1)
        asker = wires.bus_for(Process("asker", 1))
        call = asyncio.ensure_future(asker.call("work", "do", timeout_s=100, into=str))
        await asyncio.sleep(1)
        first.alive = False
        wires.forget(first)
        await asyncio.sleep(1)
        serve(wires, "second", heard)
        return await call

    assert run(wires, world()) == "second"
    assert heard == ["first", "second"]


def test_a_repeated_message_is_handled_twice_and_answered_once(wires: Wires) -> None:
    heard: list[str] = []

    async def world() -> str:
        serve(wires, "server", heard)
        await asyncio.sleep(1)
        wires.temper.repeat_rate = 1.0
        asker = wires.bus_for(Process("asker", 1))
        answer: str = await asker.call("work", "do", timeout_s=100, into=str)
        await asyncio.sleep(60)
        return answer

    assert run(wires, world()) == "server"
    assert heard == ["server", "server"]


def test_who_is_cut_off_and_told_hears_it_and_who_is_not_waits(wires: Wires) -> None:
    async def world() -> None:
        serve(wires, "server", [], slow_s=5)
        await asyncio.sleep(1)
        process = Process("asker", 1)
        asker = wires.bus_for(process)
        for told, error in ((True, BusGone), (False, BusTimeout)):
            call = asyncio.ensure_future(asker.call("work", "do", timeout_s=20))
            await asyncio.sleep(1)
            wires.cut(process, 10, told=told)
            with pytest.raises(error):
                await call
            await asyncio.sleep(20)
        assert await asker.call("work", "do", timeout_s=20) == "server"

    run(wires, world())


def test_a_topic_that_nobody_ever_served_is_nobodys(wires: Wires) -> None:
    async def world() -> None:
        with pytest.raises(BusNobody):
            await wires.bus_for(Process("asker", 1)).call("work", "do", timeout_s=20)

    run(wires, world())
