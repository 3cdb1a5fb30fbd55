"""The operation record."""

from datetime import timedelta

import pytest

from aerostat.kernel import operation
from aerostat.kernel.clock import clock
from aerostat.kernel.context import Context
from aerostat.kernel.db import Store
from aerostat.kernel.model import flows, leases, operations

WHO = Context(request_id="req-1", user_id="user", project_id="project")


pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_says_who_asked_and_what_became_of_it(store: Store) -> None:
    verdicts = [{"host": "h1", "filter": "RAM", "asked": 512, "free": 128}]
    await operation.record(
        store,
        WHO,
        "server.create",
        "refused",
        subject_kind="servers",
        subject_id="s1",
        subject_name="web",
        step="claim_host",
        reason="no valid host",
        data=verdicts,
        took_ms=1.5,
    )
    (row,) = await operation.list_for(store, subject_id="s1")
    assert row.data == verdicts
    assert (row.actor, row.project_id, row.request_id) == ("user", "project", "req-1")
    assert (row.action, row.step, row.verdict, row.reason) == (
        "server.create",
        "claim_host",
        "refused",
        "no valid host",
    )
    assert row.at == clock.now()
    assert row.took_ms == 1.5


async def test_goes_with_the_transaction(store: Store) -> None:
    async def write_and_fail() -> None:
        async with store.transaction() as tx:
            await operation.record(tx, WHO, "x", "done", subject_id="s1")
            raise KeyError

    with pytest.raises(KeyError):
        await write_and_fail()
    assert await operation.list_for(store, subject_id="s1") == []


async def test_lists_in_order_by_subject_or_request_and_only_the_project_s_own(store: Store) -> None:
    other = Context(request_id="req-2", user_id="user2", project_id="project2")
    for number in range(5):
        await operation.record(store, WHO, f"step{number}", "done", subject_id="s1")
        await operation.record(store, other, f"other{number}", "done", subject_id="s1")
    by_request = await operation.list_for(store, request_id="req-1")
    assert [row.action for row in by_request] == [f"step{number}" for number in range(5)]
    newest = await operation.list_for(store, subject_id="s1", limit=2)
    assert [row.action for row in newest] == ["step4", "other4"]
    own = await operation.list_for(store, subject_id="s1", project_id="project2")
    assert {row.actor for row in own} == {"user2"}
    with pytest.raises(ValueError, match="whose"):
        await operation.list_for(store)


async def test_trimmed_by_age_and_by_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "_TRIM_CHUNK", 3)
    for number in range(20):
        await operation.record(store, WHO, f"{number}", "done")
        clock.step(minutes=1)
    assert await operation.trim(store, keep=timedelta(minutes=10), max_rows=1000) == 10
    assert await operation.trim(store, keep=timedelta(minutes=10), max_rows=4) == 6
    assert await operation.trim(store, keep=timedelta(minutes=10), max_rows=4) == 0
    left = await store.all(operations, order="id")
    assert [row.action for row in left] == ["16", "17", "18", "19"]


async def test_what_waits_and_what_fails_is_told_with_its_last_reason(store: Store) -> None:
    flow = {"name": "server.create", "subject_kind": "servers", "step": "boot", "data": {}, "context": {}}
    times = dict.fromkeys(("wake_at", "deadline_at", "created_at"), clock.now())
    stories = {
        "waits": ("started", "done", "retry"),
        "went on": ("retry", "done"),
        "waited once": ("retry",),
    }
    for id, verdicts in stories.items():
        state = "done" if id == "waited once" else "running"
        await store.insert(flows, id=id, subject_id=id, request_id=id, state=state, **flow, **times)
        for number, verdict in enumerate(verdicts):
            await operation.record(
                store, None, "server.create", verdict, request_id=id, subject_id=id, reason=f"{id} {number}"
            )
    waiting = await operation.list_waiting(store, 10)
    assert [(row.name, row.reason) for row in waiting] == [("server.create", "waits 2")]
    for name, failures in (("compute.orphans", 2), ("compute.power", 0), ("network.topology", 1)):
        await store.insert(leases, name=name, next_at=clock.now(), failures=failures)
        for number in range(failures):
            await operation.record(
                store, None, name, "failed", request_id=operation.PERIODIC + name, reason=f"{name} {number}"
            )
    assert [(row.name, row.failures, row.reason) for row in await operation.list_failing(store)] == [
        ("compute.orphans", 2, "compute.orphans 1"),
        ("network.topology", 1, "network.topology 0"),
    ]
