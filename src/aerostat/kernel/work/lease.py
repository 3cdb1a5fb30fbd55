"""Named leases: work of which one process at a time may do one piece, and when it is due next.

A lease is a token and a time. It is won by a guarded update, prolonged while the work runs, and void as soon
as its time is over or its worker starts anew under the same name. Time that the machine's clock skipped does not
count: else all would take over what the others are still at, whenever somebody puts it forward. Work that was begun
stays due until it has ended: if its worker dies, or cannot say that it is done, the next one does it as soon as the
lease is over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update

from .. import clock, ids
from ..db import Row, Store
from ..model import flows, leases

LEASE = timedelta(seconds=15)
AT_ONCE = datetime(1970, 1, 1)
"""When work is due that somebody wanted while another was at it."""


def over_at(at: datetime) -> datetime:
    """What a lease must have lasted until, at most, to be over `at`: the clock may just have been put forward, and its
    owner have had no time to prolong it.
    """
    return at - clock.clock.skipped_lately(LEASE)


def free_at(held: Row) -> datetime:
    """When a lease is due and nobody's."""
    next_at: datetime = held.next_at
    until: datetime | None = held.until
    if until is None:
        return next_at
    return max(next_at, min(until + clock.clock.skipped_lately(LEASE), clock.now() + LEASE))


async def ensure_leases(store: Store, names: list[str]) -> dict[str, datetime]:
    """Make the rows that are not there yet, due at once; answers when each name is due."""
    if not names:
        return {}
    async with store.transaction() as tx:
        await tx.lock("kernel.leases")
        there = {row.name: row.next_at for row in await tx.all(leases)}
        for name in names:
            if name not in there:
                there[name] = (await tx.insert(leases, name=name, next_at=clock.now())).next_at
    return {name: there[name] for name in names}


async def take_lease(store: Store, name: str, worker: str, *, wanted: bool) -> tuple[str | None, Row]:
    """Win the lease if it is free and due (or `wanted`, due or not).

    Answers the token and the row. No token: somebody else has it, or has done the work meanwhile. If it is
    wanted while another has it, it is made due, so that whoever looks afterwards does it once more.
    """
    at = clock.now()
    token = ids.new_id()
    free = or_(leases.c.token.is_(None), leases.c.until <= over_at(at))
    claim = update(leases).where(leases.c.name == name, free)
    if not wanted:
        claim = claim.where(leases.c.next_at <= at)
    async with store.transaction() as tx:
        won = await tx.execute(claim.values(worker=worker, token=token, until=at + LEASE, next_at=at))
        if wanted and not won:
            await tx.update(leases, {"name": name}, next_at=AT_ONCE)
        return token if won else None, await tx.get(leases, name=name)


async def release_lease(
    store: Store, taken: Row, *, every: timedelta, failures: int = 0, retry_at: datetime | None = None
) -> datetime:
    """Give back the lease that was `taken`; answers when it is due again.

    That is `every` after it was taken, or at once if it was wanted meanwhile; after a failure, at `retry_at`. If
    another has taken it over, at once too: what was done last may be older than what the other did.
    """
    given_back: dict[str, Any] = {"token": None, "until": None, "failures": failures}
    ours = {"name": taken.name, "token": taken.token}
    async with store.transaction() as tx:
        if retry_at is not None:
            was_ours = await tx.update(leases, ours, next_at=retry_at, **given_back)
        else:
            unwanted = {**ours, "next_at": taken.next_at}
            was_ours = await tx.update(leases, unwanted, next_at=taken.next_at + every, **given_back)
            was_ours = was_ours or await tx.update(leases, ours, **given_back)
        if not was_ours:
            await tx.update(leases, {"name": taken.name}, next_at=AT_ONCE)
        return (await tx.get(leases, name=taken.name)).next_at  # type: ignore[no-any-return]


@asynccontextmanager
async def holding(store: Store, name: str, worker: str, *, look_every_s: float = 0.3) -> AsyncIterator[None]:
    """Have the lease for as long as the block lasts; waits until whoever has it gives it back or is gone."""
    await ensure_leases(store, [name])
    while True:
        token, taken = await take_lease(store, name, worker, wanted=True)
        if token is not None:
            break
        await asyncio.sleep(look_every_s)
    own: str = token

    async def keep() -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            await prolong(store, worker, [], [own])

    keeper = asyncio.create_task(keep(), name=f"lease {name}")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await release_lease(store, taken, every=timedelta())


async def prolong(store: Store, worker: str, flow_tokens: list[str], lease_tokens: list[str]) -> None:
    """The heart-beat: what runs here stays ours for another `LEASE`."""
    until = clock.now() + LEASE
    async with store.transaction() as tx:
        if flow_tokens:
            await tx.update(flows, {"lease_worker": worker, "lease_token": flow_tokens}, lease_until=until)
        if lease_tokens:
            await tx.update(leases, {"worker": worker, "token": lease_tokens}, until=until)


async def mend_times(store: Store) -> None:
    """The clock was put back: what sleeps too long is due now, and no lease lasts longer than leases do.

    Whoever is woken looks for himself, so that waking too many does no harm; nor does doing it twice.
    """
    now = clock.now()
    ends_at = now + LEASE
    running = flows.c.state == "running"
    async with store.transaction() as tx:
        await tx.execute(update(flows).where(running, flows.c.wake_at > now).values(wake_at=now))
        await tx.execute(
            update(flows).where(running, flows.c.lease_until > ends_at).values(lease_until=ends_at)
        )
        await tx.execute(update(leases).where(leases.c.next_at > now).values(next_at=now))
        await tx.execute(update(leases).where(leases.c.until > ends_at).values(until=ends_at))


async def void_leases_of(store: Store, worker: str) -> int:
    """At the start of a worker: what its dead predecessor of the same name held is free. Answers how many."""
    held_flows = update(flows).where(flows.c.lease_worker == worker, flows.c.lease_token.is_not(None))
    held_leases = update(leases).where(leases.c.worker == worker, leases.c.token.is_not(None))
    async with store.transaction() as tx:
        freed = await tx.execute(
            held_flows.where(flows.c.state == "running").values(
                lease_token=None, lease_until=None, wake_at=clock.now()
            )
        )
        return freed + await tx.execute(held_leases.values(token=None, until=None, next_at=clock.now()))
