"""Databases of a device: opened when needed, and written to in company."""

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from aerostat.services.object.stores import database
from aerostat.services.object.stores import shelf as shelf_module
from aerostat.services.object.stores.container_db import SHARDS, ContainerDb, Entry
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import Damaged
from aerostat.services.object.stores.protocol import Place
from aerostat.services.object.stores.shelf import Shelf
from aerostat.services.object.stores.tree import Tree

HASH = "ab" * 16


@pytest.fixture
def opened_at():
    """Shelves of one folder, as several processes have them."""
    with ThreadPoolExecutor(4) as executor:

        async def run(work):
            return await asyncio.get_running_loop().run_in_executor(executor, work)

        yield lambda folder: Shelf(Tree(folder, "containers"), ContainerDb, run)


@pytest.fixture
async def shelf(tmp_path, opened_at):
    (tmp_path / "tmp").mkdir()
    shelf = opened_at(tmp_path)
    yield shelf
    await shelf.close()


@pytest.fixture
async def other(tmp_path, opened_at):
    other = opened_at(tmp_path)
    yield other
    await other.close()


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


async def test_no_words_are_heard_at_once(shelf):
    assert await shelf.hear(3, HASH, []) is False
    await shelf.make(3, HASH, name="/a/c", at=1)
    async with asyncio.timeout(5):
        told = await asyncio.gather(shelf.hear(3, HASH, [put("a")]), shelf.hear(3, HASH, []))
    assert told == [True, True]


async def test_a_closed_container_refuses_words_in_company_too(shelf):
    await shelf.make(3, HASH, name="/a/c", at=1, said={SHARDS: ("moved", 2)})
    told = await asyncio.gather(*(shelf.hear(3, HASH, [put(name)]) for name in "abc"))
    assert told == [False] * 3
    assert await shelf.ask(3, HASH, lambda container: container.container().objects) == 0


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
        return hear(self, words)

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


async def test_a_database_that_is_slow_to_open_holds_up_no_other(shelf, monkeypatch):
    slow, quick = "aa" * 16, "bb" * 16
    for hashed in (slow, quick):
        await shelf.make(3, hashed, name=f"/a/{hashed}", at=1)
    opening, go_on = threading.Event(), threading.Event()
    connect = database._connect

    def slowly(path):
        if slow in str(path):
            opening.set()
            assert go_on.wait(5)
        return connect(path)

    monkeypatch.setattr(database, "_connect", slowly)
    waiting = asyncio.create_task(names(shelf, slow))
    await asyncio.to_thread(opening.wait, 5)
    assert await names(shelf, quick) == []
    go_on.set()
    assert await waiting == []


async def test_names_that_are_not_there_do_not_push_out_those_that_are(shelf, monkeypatch):
    monkeypatch.setattr(shelf_module, "MOST_OPEN", 3)
    await shelf.make(3, HASH, name="/a/c", at=1)
    assert await names(shelf) == []
    for n in range(10):
        assert await names(shelf, f"{n:032x}") is None
    assert list(shelf._slots) == [HASH]


async def test_a_new_container_never_is_without_what_was_said_of_it(shelf, monkeypatch):
    """Metadata may keep strangers out; a reader at any moment finds all of it, or no container."""
    said = {"x-container-read": ("nobody", 1)}
    seen = []
    rename = os.rename

    def look(source, target):
        seen.append(os.path.exists(target))
        with closing(ContainerDb(Path(source))) as whole:
            seen.append(whole.metadata())
        rename(source, target)

    monkeypatch.setattr(database.os, "rename", look)
    assert await shelf.make(3, HASH, name="/a/c", at=1, said=said)
    assert seen == [False, said]


async def test_a_file_that_was_removed_elsewhere_is_let_go_and_another_may_come(shelf, other):
    await shelf.make(3, HASH, name="/a/c", at=1)
    await shelf.hear(3, HASH, [put("a")])
    assert await names(other) == ["a"]
    state = await shelf.ask(3, HASH, lambda container: container.state())
    assert await shelf.remove(3, HASH, state.file_id, state.change)
    assert await other.hear(3, HASH, [put("lost?")]) is False, "it is told, and not written into nothing"
    assert await shelf.make(3, HASH, name="/a/c", at=2)
    assert await other.hear(3, HASH, [put("b")])
    assert await names(shelf) == await names(other) == ["b"]
    await other.close()
    assert await names(shelf) == ["b"], "what is closed late takes nothing with it"


async def test_who_dies_while_a_file_goes_leaves_one_that_counts_as_gone(shelf, other, monkeypatch):
    await shelf.make(3, HASH, name="/a/c", at=1)
    state = await shelf.ask(3, HASH, lambda container: container.state())
    assert await names(other) == []
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "_remove", lambda self, path, inode: None)
        await shelf.remove(3, HASH, state.file_id, state.change)
    assert shelf.path(3, HASH).exists()
    assert await other.hear(3, HASH, [put("a")]) is False
    assert await other.make(3, HASH, name="/a/c", at=5)
    assert await other.ask(3, HASH, lambda container: container.container().created_at) == 5


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: content[:100],
        lambda content: content[:4096],
        lambda content: content[: len(content) // 2],
        lambda content: bytes(len(content)),
        lambda content: b"x" * len(content),
        lambda content: content[:4096] + bytes(len(content) - 4096),
    ],
)
async def test_a_damaged_file_is_told_whatever_is_asked_and_never_listed_from(shelf, other, harm):
    await shelf.make(3, HASH, name="/a/c", at=1)
    await shelf.hear(3, HASH, [put(f"{n:05}") for n in range(3000)])
    await shelf.close()
    path = shelf.path(3, HASH)
    path.write_bytes(harm(path.read_bytes()))
    for work in (
        lambda found: found.state(),
        lambda found: found.list(Asked()),
        lambda found: found.delete(9),
    ):
        with pytest.raises(Damaged):
            await other.ask(3, HASH, work)
    with pytest.raises(Damaged):
        await other.hear(3, HASH, [put("x")])
    assert await other.states(3) == []
    assert not path.exists(), "put aside, so that a copy may take its place"
    assert await other.make(3, HASH, name="/a/c", at=2)
    assert await names(other) == []


@pytest.mark.parametrize("slow", ["a file", "a thread"])
async def test_a_device_that_takes_long_to_close_holds_up_nobody_else(tmp_path, monkeypatch, slow):
    """Neither a file that SQLite has still to write to, nor work that a disk has not done."""
    may_go_on, is_slow = threading.Event(), threading.Event()

    def wait(*_):
        is_slow.set()
        assert may_go_on.wait(30)

    device = LocalDevice(tmp_path)
    await device.make_container(Place(1, HASH), "/a/c", 5, 0, {})
    await device.container(Place(1, HASH))
    if slow == "a file":
        monkeypatch.setattr(ContainerDb, "close", wait)
    else:
        working = device._run_anyway(wait)
    closing_ = asyncio.create_task(device.close())
    try:
        assert await asyncio.to_thread(is_slow.wait, 30)
        for _ in range(20):
            await asyncio.sleep(0.001)  # others have their turns
        assert not closing_.done()
    finally:
        may_go_on.set()
    await closing_
    if slow == "a thread":
        await working
