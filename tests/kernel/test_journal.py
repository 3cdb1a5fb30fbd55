"""Records of requests, on their way to the database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerostat.kernel import ids
from aerostat.kernel import model as kernel_model
from aerostat.kernel.clock import now
from aerostat.kernel.db import Store, create_schema, open_store
from aerostat.kernel.http.journal import Journal
from aerostat.kernel.model import operations


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/journal.sqlite?synchronous=off")
    await create_schema(store, [kernel_model.metadata])
    yield store
    await store.close()


async def test_rows_whose_commit_went_unanswered_do_not_hold_up_the_next(store: Store) -> None:
    """Found by the simulator: the database had written the rows, and the journal did not know."""
    journal = Journal(store)
    record = {"request_id": "req-1", "at": now(), "action": "a", "verdict": "accepted"}
    known, new = {"id": ids.ascending_id(), **record}, {"id": ids.ascending_id(), **record}
    await store.insert(operations, **known)
    journal._waiting = [dict(known), dict(new)]
    await journal.flush()
    assert {row.id for row in await store.all(operations)} == {known["id"], new["id"]}
