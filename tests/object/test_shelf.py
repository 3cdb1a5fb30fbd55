"""Databases of a device: opened when needed, and written to in company."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from aerostat.services.object.stores import shelf as shelf_module
from aerostat.services.object.stores.container_db import ContainerDb, Entry
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.shelf import Shelf
from aerostat.services.object.stores.tree import Tree

HASH = "ab" * 16


@pytest.fixture
async def shelf(tmp_path):
    (tmp_path / "tmp").mkdir()
    with ThreadPoolExecutor(4) as executor:

        async def run(work):
            return await asyncio.get_running_loop().run_in_executor(executor, work)

        shelf = Shelf(Tree(tmp_path, "containers"), ContainerDb, run)
        yield shelf
        await shelf.close()


def put(name, at=5):
    return Entry(name=name, timestamp=at, size=1)


async def names(shelf, hashed=HASH):
    return await shelf.ask(3, hashed, lambda container: [entry.name for entry in container.list(Asked())])


async def test_what_is_not_there_is_told(shelf):
    assert await shelf.ask(3, HASH, lambda container: 1) is None
    assert await shelf.hear(3, HASH, [put("a")]) is False


async def test_words_are_there_when_it_returns(shelf):
    await shelf.make(3, HASH, name="/a/c", at=1)
    assert await shelf.hear(3, HASH, [put("a"), put("b")]) is True
    assert await names(shelf) == ["a", "b"]


async def test_many_at_once_are_few_transactions(shelf, monkeypatch):
    await shelf.make(3, HASH, name="/a/c", at=1)
    rounds = []
    hear = ContainerDb.hear
    monkeypatch.setattr(
        ContainerDb, "hear", lambda self, words: (rounds.append(len(words)), hear(self, words))
    )
    assert await asyncio.gather(*(shelf.hear(3, HASH, [put(f"{n:03}")]) for n in range(100))) == [True] * 100
    assert await names(shelf) == [f"{n:03}" for n in range(100)]
    assert sum(rounds) == 100
    assert len(rounds) <= 3


async def test_who_goes_away_takes_no_words_with_him(shelf):
    await shelf.make(3, HASH, name="/a/c", at=1)
    tasks = [asyncio.create_task(shelf.hear(3, HASH, [put(f"{n}")])) for n in range(4)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    assert await asyncio.gather(*tasks[2:]) == [True, True]
    await shelf.close()
    assert await names(shelf) == ["0", "1", "2", "3"]


async def test_a_round_that_fails_is_told_to_those_in_it_and_to_nobody_else(shelf, monkeypatch):
    await shelf.make(3, HASH, name="/a/c", at=1)
    hear = ContainerDb.hear

    def sometimes(self, words):
        if any(word.name == "bad" for word in words):
            raise sqlite3.OperationalError("disk is full")
        hear(self, words)

    monkeypatch.setattr(ContainerDb, "hear", sometimes)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        await shelf.hear(3, HASH, [put("bad")])
    assert await shelf.hear(3, HASH, [put("good")])
    assert await names(shelf) == ["good"]


async def test_only_so_many_stay_open(shelf, monkeypatch):
    monkeypatch.setattr(shelf_module, "MOST_OPEN", 3)
    hashes = [f"{n:032x}" for n in range(10)]
    for hashed in hashes:
        await shelf.make(3, hashed, name=f"/a/{hashed}", at=1)
    for _ in range(2):
        done = await asyncio.gather(*(shelf.hear(3, hashed, [put("a")]) for hashed in hashes))
        assert done == [True] * 10
        assert len(shelf._slots) <= 3
    assert [await names(shelf, hashed) for hashed in hashes] == [["a"]] * 10
