"""What a statement costs through our store and through SQLAlchemy's own execution, on SQLite.

`python -m bench.store`; the reason for `docs/decisions/0001-statements-in-our-own-layer.md`.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Integer, MetaData, String, create_engine, insert, select
from sqlalchemy.schema import Column

from aerostat.kernel.db import create_schema, created_at, new_table, open_store, uuid_id

COUNT = 5_000
METADATA = MetaData()
THINGS = new_table(
    METADATA, "things", uuid_id(), Column("name", String(255)), Column("size", Integer), created_at()
)


async def ours(path: Path) -> tuple[float, float]:
    store = await open_store(f"sqlite:///{path}")
    await create_schema(store, [METADATA])
    async with store.transaction() as tx:
        began_s = time.process_time()
        for number in range(COUNT):
            await tx.insert(THINGS, id=str(number), name="x", size=number)
        inserted_s = time.process_time() - began_s
    began_s = time.process_time()
    for number in range(COUNT):
        await store.get(THINGS, id=str(number))
    found_s = time.process_time() - began_s
    await store.close()
    return found_s, inserted_s


def theirs(path: Path) -> tuple[float, float]:
    engine = create_engine(f"sqlite:///{path}")
    METADATA.create_all(engine)
    with engine.begin() as connection:

        def add(number: int) -> None:
            connection.execute(insert(THINGS), {"id": str(number), "name": "x", "size": number})

        def get(number: int) -> None:
            connection.execute(select(THINGS).where(THINGS.c.id == str(number))).mappings().one()

        inserted_s = _timed(add)
        found_s = _timed(get)
    engine.dispose()
    return found_s, inserted_s


def _timed(once: Callable[[int], None]) -> float:
    began_s = time.process_time()
    for number in range(COUNT):
        once(number)
    return time.process_time() - began_s


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aerostat-bench-") as folder:
        figures = {
            "our layer": asyncio.run(ours(Path(folder) / "ours")),
            "SQLAlchemy Core, in one open transaction": theirs(Path(folder) / "theirs"),
        }
    for name, (found_s, inserted_s) in figures.items():
        print(f"{name:42} get {found_s / COUNT * 1e6:6.1f} µs   insert {inserted_s / COUNT * 1e6:6.1f} µs")


if __name__ == "__main__":
    main()
