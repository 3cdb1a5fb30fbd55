"""The store on SQLite and PostgreSQL: the same answers, the same errors."""

import asyncio
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from aerostat.kernel import clock
from aerostat.kernel import model as kernel_model
from aerostat.kernel.db import (
    BadValue,
    Duplicate,
    Json,
    RowNotFound,
    SchemaDiffers,
    StillReferenced,
    Store,
    StoreUnavailable,
    UtcTime,
    create_schema,
    created_at,
    new_table,
    open_store,
    updated_at,
    uuid_id,
)
from aerostat.kernel.errors import is_away
from aerostat.kernel.model import leases as kernel_leases
from aerostat.kernel.model import marks as kernel_marks
from aerostat.kernel.model import metadata as kernel_metadata

metadata = MetaData()
books = new_table(
    metadata,
    "toy_books",
    uuid_id(),
    Column("title", String(40), nullable=False),
    Column("pages", Integer, nullable=False, default=100),
    Column("bytes", BigInteger),
    Column("weight_kg", Float),
    Column("is_lent", Boolean, nullable=False, default=False),
    Column("due_at", UtcTime),
    Column("notes", Json),
    created_at(),
    updated_at(),
    UniqueConstraint("title"),
    Index("toy_books_pages", "pages"),
)
loans = new_table(
    metadata,
    "toy_loans",
    uuid_id(),
    Column("book_id", String(36), ForeignKey("toy_books.id"), nullable=False),
)


@pytest.fixture
async def shelf(store: Store) -> Store:
    await create_schema(store, [metadata])
    return store


async def fill(store: Store, count: int = 5) -> list[Any]:
    async with store.transaction() as tx:
        return await tx.insert_many(books, [{"title": f"book {n}", "pages": n} for n in range(count)])


async def test_values_come_back_as_they_went_in(shelf: Store) -> None:
    due_at = datetime(2031, 5, 17, 23, 59, 59, 123456)
    notes = {"tags": ["ä", "日本"], "nested": {"deep": [1, 2.5, None, True]}}
    written = await shelf.insert(
        books, title="ünï", bytes=2**40, weight_kg=0.25, is_lent=True, due_at=due_at, notes=notes
    )
    read = await shelf.get(books, id=written.id)
    assert read == written
    assert (read.title, read.bytes, read.weight_kg, read.due_at, read.notes) == (
        "ünï",
        2**40,
        0.25,
        due_at,
        notes,
    )
    assert read.is_lent is True
    assert read.pages == 100
    assert read.updated_at is None
    assert abs(read.created_at - clock.now()) < timedelta(minutes=1)
    assert read["title"] == read.title
    with pytest.raises(AttributeError):
        _ = read.nothing


async def test_nulls_and_json_null(shelf: Store) -> None:
    row = await shelf.insert(books, title="empty")
    read = await shelf.get(books, id=row.id)
    assert (read.bytes, read.weight_kg, read.due_at, read.notes) == (None, None, None, None)
    assert read.is_lent is False


async def test_get_find_count(shelf: Store) -> None:
    await fill(shelf)
    assert (await shelf.get(books, title="book 3")).pages == 3
    assert await shelf.find(books, title="none") is None
    with pytest.raises(RowNotFound) as caught:
        await shelf.get(books, title="none", pages=4)
    assert caught.value.where == {"title": "none", "pages": 4}
    assert await shelf.count(books) == 5
    assert await shelf.count(books, pages=[1, 2, 77]) == 2


async def test_where_takes_lists_and_none(shelf: Store) -> None:
    await fill(shelf, 9)
    await shelf.update(books, {"pages": 1}, bytes=7)
    assert {row.pages for row in await shelf.all(books, {"pages": {1, 2, 3}})} == {1, 2, 3}
    assert await shelf.all(books, {"pages": []}) == []
    assert len(await shelf.all(books, {"bytes": None})) == 8
    assert len(await shelf.all(books, {"bytes": None, "pages": (0, 1)})) == 1
    for count in range(1, 9):
        assert len(await shelf.all(books, {"pages": list(range(count))})) == count
    assert len(await shelf.all(books, {"pages": list(range(3000))})) == 9


async def test_order_and_limit(shelf: Store) -> None:
    await fill(shelf)
    assert [row.pages for row in await shelf.all(books, order="-pages", limit=2)] == [4, 3]
    assert [row.pages for row in await shelf.all(books, {"pages": [0, 1]}, order="pages")] == [0, 1]


async def test_update_says_how_many_and_when(shelf: Store) -> None:
    rows = await fill(shelf)
    assert await shelf.update(books, {"id": rows[0].id, "is_lent": False}, is_lent=True) == 1
    assert await shelf.update(books, {"id": rows[0].id, "is_lent": False}, is_lent=True) == 0
    assert await shelf.update(books, {"pages": [1, 2]}, notes={"a": 1}) == 2
    row = await shelf.get(books, id=rows[0].id)
    assert row.updated_at is not None
    assert (await shelf.get(books, id=rows[4].id)).updated_at is None


async def test_delete(shelf: Store) -> None:
    await fill(shelf)
    assert await shelf.delete(books, pages=[0, 1, 99]) == 2
    assert await shelf.delete(books, title="none") == 0
    assert await shelf.count(books) == 3


async def test_any_core_statement(shelf: Store) -> None:
    await fill(shelf)
    found = await shelf.fetch(
        select(books.c.title, (books.c.pages * 2).label("double"))
        .where(or_(books.c.pages > 3, books.c.title.like("%0")))
        .order_by(books.c.pages)
    )
    assert found == [{"title": "book 0", "double": 0}, {"title": "book 4", "double": 8}]
    for wanted in ([1], [1, 2, 3]):
        many = await shelf.fetch(select(books.c.id).where(books.c.pages.in_(wanted)))
        assert len(many) == len(wanted)
    for limit in (1, 3):
        page = await shelf.fetch(select(books).order_by(books.c.pages).limit(limit).offset(1))
        assert [row.pages for row in page] == [1, 2, 3][:limit]
    lent = exists().where(loans.c.book_id == books.c.id)
    async with shelf.transaction() as tx:
        assert await tx.execute(update(books).where(~lent).values(pages=books.c.pages + 10)) == 5
        assert {row.pages for row in await tx.fetch(select(books.c.pages))} == {10, 11, 12, 13, 14}


async def test_sums_are_numbers_of_the_same_kind(shelf: Store) -> None:
    await fill(shelf)
    await shelf.update(books, {}, bytes=2**40, weight_kg=0.5)
    (row,) = await shelf.fetch(
        select(
            func.sum(books.c.pages).label("pages"),
            func.sum(books.c.bytes).label("bytes"),
            func.sum(books.c.weight_kg).label("weight_kg"),
            func.max(books.c.pages).label("longest"),
            func.count().label("count"),
        )
    )
    assert row == {"pages": 10, "bytes": 5 * 2**40, "weight_kg": 2.5, "longest": 4, "count": 5}
    assert [type(value) for value in row.values()] == [int, int, float, int, int]
    (none,) = await shelf.fetch(select(func.sum(books.c.bytes).label("bytes")).where(books.c.pages > 50))
    assert none.bytes is None


async def test_a_rolled_back_transaction_leaves_nothing(shelf: Store) -> None:
    called: list[str] = []

    async def write_and_fail() -> None:
        async with shelf.transaction() as tx:
            await tx.insert(books, title="never")
            assert await tx.count(books) == 1
            tx.after_commit(lambda: called.append("committed"))
            raise KeyError("no")

    with pytest.raises(KeyError):
        await write_and_fail()
    assert await shelf.count(books) == 0
    assert called == []
    async with shelf.transaction() as tx:
        tx.after_commit(lambda: called.append("committed"))
        assert called == []
    assert called == ["committed"]


async def test_a_cancelled_transaction_leaves_nothing(shelf: Store) -> None:
    inside = asyncio.Event()

    async def write_slowly() -> None:
        async with shelf.transaction() as tx:
            await tx.insert(books, title="never")
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write_slowly())
    await inside.wait()
    assert await shelf.count(books) == 0  # readers neither wait nor see it
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await shelf.insert(books, title="after")
    assert await shelf.count(books) == 1


async def test_duplicates_are_told_and_the_transaction_goes_on(shelf: Store) -> None:
    async with shelf.transaction() as tx:
        await tx.insert(books, title="one")
        with pytest.raises(Duplicate):
            await tx.insert(books, title="one")
        await tx.insert(books, title="two")
    assert await shelf.count(books) == 2
    with pytest.raises(Duplicate):
        await shelf.update(books, {"title": "two"}, title="one")


async def test_rows_that_others_point_at_stay(shelf: Store) -> None:
    book = await shelf.insert(books, title="lent")
    await shelf.insert(loans, book_id=book.id)
    with pytest.raises(StillReferenced):
        await shelf.delete(books, id=book.id)
    with pytest.raises(StillReferenced):
        await shelf.insert(loans, book_id="no such book")


async def test_values_that_do_not_fit_are_refused_not_crashed_on(shelf: Store, store_url: str) -> None:
    with pytest.raises(BadValue):
        await shelf.insert(books, title="long", bytes=2**70)
    with pytest.raises(BadValue):
        await shelf.all(books, {"bytes": 2**70})
    with pytest.raises(BadValue):
        await shelf.insert(books, title="\ud800")
    if store_url.startswith("postgresql"):
        with pytest.raises(BadValue):
            await shelf.insert(books, title="nul\0")
        with pytest.raises(BadValue):
            await shelf.insert(books, title="x" * 41)
    assert await shelf.count(books) == 0


async def test_a_second_transaction_inside_the_first_is_refused_not_waited_for(shelf: Store) -> None:
    async with asyncio.timeout(5):
        async with shelf.transaction() as tx:
            with pytest.raises(RuntimeError, match="in a transaction already"):
                await shelf.insert(books, title="inner")
            await tx.insert(books, title="outer")
        await shelf.insert(books, title="next")
    assert await shelf.count(books) == 2


async def test_a_lock_lets_one_in_at_a_time(shelf: Store, store_url: str) -> None:
    """Read, wait, write back what was read plus one: without the lock, increments get lost."""
    second = await open_store(store_url)
    book = await shelf.insert(books, title="counted", pages=0)

    async def increment(store: Store) -> None:
        async with store.transaction() as tx:
            await tx.lock("counter")
            pages = (await tx.get(books, id=book.id)).pages
            await asyncio.sleep(0.001)
            await tx.update(books, {"id": book.id}, pages=pages + 1)

    await asyncio.gather(*(increment(store) for store in (shelf, second) * 10))
    await second.close()
    assert (await shelf.get(books, id=book.id)).pages == 20


async def test_guarded_updates_are_won_once(shelf: Store, store_url: str) -> None:
    second = await open_store(store_url)
    book = await shelf.insert(books, title="wanted")
    won = await asyncio.gather(
        *(
            store.update(books, {"id": book.id, "is_lent": False}, is_lent=True)
            for store in (shelf, second) * 8
        )
    )
    await second.close()
    assert sum(won) == 1


async def test_the_schema_may_be_made_again_and_by_two_at_once(shelf: Store, store_url: str) -> None:
    second = await open_store(store_url)
    await fill(shelf)
    await asyncio.gather(create_schema(shelf, [metadata]), create_schema(second, [metadata]))
    assert await second.count(books) == 5
    await second.close()


async def test_the_schema_grows(store: Store) -> None:
    await create_schema(store, [metadata])
    more = MetaData()
    shelves = new_table(more, "toy_shelves", uuid_id(), Column("room", String(10), index=True))
    await create_schema(store, [metadata, more])
    await store.insert(shelves, room="a")
    assert await store.count(shelves, room="a") == 1


async def test_nudges_reach_listeners_after_the_commit_and_once(shelf: Store) -> None:
    heard: list[str] = []
    stop = shelf.listen(heard.append)
    async with shelf.transaction() as tx:
        tx.nudge("books")
        tx.nudge("books")
        tx.nudge("loans")
        assert heard == []
    assert heard == ["books", "loans"]
    stop()
    shelf.nudge("books")
    assert heard == ["books", "loans"]


async def test_statements_of_many_shapes_do_not_pile_up(shelf: Store) -> None:
    before = len(shelf._kept.statements)
    for count in range(1, 200):
        await shelf.all(books, {"pages": list(range(count))})
    assert len(shelf._kept.statements) - before < 20


async def test_unknown_columns_are_a_mistake_of_ours(shelf: Store) -> None:
    with pytest.raises(KeyError):
        await shelf.all(books, {"colour": "red"})
    with pytest.raises(KeyError):
        await shelf.insert(books, title="x", colour="red")


async def test_urls_that_name_no_database_are_refused() -> None:
    with pytest.raises(ValueError, match="sqlite: or postgresql:"):
        await open_store("mysql://somewhere/db")
    with pytest.raises(ValueError, match="names a file"):
        await open_store("sqlite://")
    with pytest.raises(ValueError, match="off, normal or full"):
        await open_store("sqlite:////tmp/x.db?synchronous=sometimes")


async def test_a_postgresql_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await open_store("postgresql://nobody@127.0.0.1:1/none")


async def test_the_sqlite_file_is_ours_alone_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cloud.db"
    store = await open_store(f"sqlite:///{path}")
    await create_schema(store, [metadata])
    await store.insert(books, title="kept")
    for file in path.parent.iterdir():
        assert os.stat(file).st_mode & 0o077 == 0, file
    await store.close()
    again = await open_store(f"sqlite:///{path}")
    assert (await again.get(books, title="kept")).pages == 100
    await again.close()


async def test_another_process_s_write_lock_is_waited_for_without_blocking(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    here, there = await open_store(url), await open_store(url)
    await create_schema(here, [metadata])
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with here.transaction() as tx:
        await tx.insert(books, title="first")
        waiting = asyncio.create_task(there.insert(books, title="second"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    async with asyncio.timeout(5):
        await waiting
    ticking.cancel()
    assert ticks > 5
    assert await there.count(books) == 2
    await here.close()
    await there.close()


async def test_a_sqlite_lock_that_never_ends_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aerostat.kernel.db.sqlite.WRITE_LOCK_LIMIT_S", 0.05)
    url = f"sqlite:///{tmp_path}/shared.db"
    here, there = await open_store(url), await open_store(url)
    await create_schema(here, [metadata])
    async with here.transaction():
        with pytest.raises(StoreUnavailable, match="stayed locked"):
            await there.insert(books, title="second")
    await there.insert(books, title="second")
    await here.close()
    await there.close()


async def test_a_broken_postgresql_connection_is_replaced(shelf: Store, store_url: str) -> None:
    if not store_url.startswith("postgresql"):
        pytest.skip("connections of SQLite do not break")
    second = await open_store(store_url)
    await second.count(books)
    assert await shelf.fetch(_end_the_others())
    with suppress(StoreUnavailable):  # unless the pool has noticed by then
        await second.count(books)
    assert await second.count(books) == 0
    await second.insert(books, title="after")
    await second.close()


async def test_a_transaction_whose_connection_breaks_ends_as_unavailable(
    shelf: Store, store_url: str
) -> None:
    """Even when the pool has taken the broken connection back by the time it is to be rolled back."""
    if not store_url.startswith("postgresql"):
        pytest.skip("connections of SQLite do not break")
    second = await open_store(store_url)

    async def be_cut_off() -> None:
        async with second.transaction() as tx:
            await tx.insert(books, title="lost")
            await shelf.fetch(_end_the_others())
            for _ in range(100):  # until it has noticed
                await tx.count(books)
                await asyncio.sleep(0.01)

    with pytest.raises(StoreUnavailable):
        await be_cut_off()
    assert await second.count(books) == 0
    await second.close()


def _end_the_others() -> Any:
    sessions = text("pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()")
    kill = func.pg_terminate_backend(Column("pid", Integer))
    return select(kill.label("gone")).select_from(sessions)


async def test_a_database_of_another_version_is_told_of_at_the_start(shelf: Store) -> None:
    newer = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(newer)
    table = newer.sorted_tables[0]
    table.append_column(Column("added_later", String(10)))
    with pytest.raises(SchemaDiffers, match="added_later"):
        await create_schema(shelf, [newer])
    assert await shelf.count(metadata.sorted_tables[0]) == 0


async def test_a_full_disk_is_a_database_that_is_away(tmp_path: Path) -> None:
    """Nothing is half written, reading goes on, and so does writing when there is room again."""
    store = await open_store(f"sqlite:///{tmp_path}/full.db")
    await create_schema(store, [kernel_metadata])
    backend: Any = store._backend
    (pages,) = backend._writer.execute("pragma page_count").fetchone()
    backend._writer.execute(f"pragma max_page_count = {pages}")

    async def fill() -> None:
        async with store.transaction() as tx:
            await tx.insert(kernel_marks, name="half", at=clock.now())
            for number in range(100):
                await tx.insert(kernel_leases, name="x" * 100 + str(number), next_at=clock.now())

    with pytest.raises(StoreUnavailable, match="full") as caught:
        await fill()
    assert is_away(caught.value)
    assert await store.count(kernel_marks) == 0
    backend._writer.execute("pragma max_page_count = 1000000")
    await store.insert(kernel_marks, name="there", at=clock.now())
    assert await store.count(kernel_marks) == 1
    await store.close()


@pytest.mark.parametrize("error", ["DiskFullError", "ReadOnlySQLTransactionError", "PostgresIOError"])
def test_a_server_that_takes_nothing_in_is_a_database_that_is_away(error: str) -> None:
    import asyncpg

    from aerostat.kernel.db.postgres import _translated

    with pytest.raises(StoreUnavailable), _translated():
        raise getattr(asyncpg, error)("could not extend file: No space left on device")


async def test_somebody_elses_file_is_only_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.sqlite"
    with pytest.raises(StoreUnavailable):
        await open_store(url, only_read=True)
    assert not (tmp_path / "own.sqlite").exists()
    own = await open_store(url)
    await create_schema(own, [kernel_model.metadata])
    await own.insert(kernel_model.marks, name="here", at=clock.now())
    reader = await open_store(url, only_read=True)
    assert await reader.count(kernel_model.marks) == 1
    with pytest.raises(StoreUnavailable, match="readonly"):
        await reader.insert(kernel_model.marks, name="there", at=clock.now())
    await reader.close()
    await own.close()
