"""The threads of a device: work in, answers out, whoever goes away meanwhile."""

import asyncio
import threading

import pytest

from aerostat.services.object.stores.threads import Threads

MOST = 3


@pytest.fixture
def threads():
    threads = Threads("mine", MOST)
    yield threads
    threads.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mine-")]


async def test_answers_and_errors_come_back(threads):
    assert await threads.run(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)
    assert await threads.run(lambda: None) is None, "a thread outlives what it raised"


async def test_no_more_than_so_many_work_and_the_others_wait_their_turn(threads):
    at_work, most, lock, order = 0, 0, threading.Lock(), []
    go_on = threading.Event()

    def work(number):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
            order.append(number)
        assert go_on.wait(30)
        with lock:
            at_work -= 1
        return number

    running = [threads.run(lambda number=number: work(number)) for number in range(20)]
    go_on.set()
    assert await asyncio.gather(*running) == list(range(20))
    assert most <= MOST
    assert sorted(order) == list(range(20))


async def test_who_was_busy_last_works_next(threads):
    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(20)}
    assert names == {"mine-0"}


async def test_what_waits_is_not_begun_for_somebody_who_went_away(threads):
    go_on, begun = threading.Event(), []
    busy = [threads.run(lambda: go_on.wait(30)) for _ in range(MOST)]
    waiting = threads.run(lambda: begun.append(1))
    waiting.cancel()
    go_on.set()
    await asyncio.gather(*busy)
    assert await threads.run(lambda: 1) == 1
    assert begun == []


async def test_what_nobody_waits_for_any_more_is_disposed_of(threads):
    go_on, disposed = threading.Event(), []

    def open_something():
        assert go_on.wait(30)
        return "opened"

    opening = threads.run(open_something, disposed.append)
    await asyncio.sleep(0.01)
    opening.cancel()
    go_on.set()
    for _ in range(1000):
        if disposed:
            break
        await asyncio.sleep(0.01)
    assert disposed == ["opened"]


def test_what_was_given_is_done_before_it_closes():
    threads = Threads("mine", 1)
    done = []

    async def give():
        go_on = threading.Event()
        running = [
            threads.run(lambda: go_on.wait(30)),
            *(threads.run(lambda: done.append(1)) for _ in range(5)),
        ]
        go_on.set()
        threads.close()
        with pytest.raises(RuntimeError, match="closed"):
            threads.run(lambda: None)
        return await asyncio.gather(*running)

    asyncio.run(give())
    assert len(done) == 5


def test_a_loop_that_is_gone_gets_no_answer_and_leaks_nothing():
    threads, go_on, disposed = Threads("mine", 1), threading.Event(), []

    def open_something():
        assert go_on.wait(30)
        return "opened"

    async def ask():
        threads.run(open_something, disposed.append)
        await asyncio.sleep(0.01)

    asyncio.run(ask())
    go_on.set()
    threads.close()
    assert disposed == ["opened"]
