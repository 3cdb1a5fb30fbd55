"""The engine: takes what is due under a lease and runs it. Any number of engines may share one database.

It sleeps until something is due or it is nudged; while idle it looks at the database every `IDLE` seconds,
for what engines of other processes left behind.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, or_, select, update

from .. import clock, ids, operation
from ..bus import Bus, Message
from ..db import Row, Store, StoreUnavailable
from ..log import get_logger
from ..model import flows, leases
from . import lease
from .flows import NUDGE, Flow
from .lease import LEASE
from .nudges import WAKE_TOPIC
from .reconcile import Reconciler
from .runner import Around, FlowRun, LeaseLost
from .sweep import Sweeper

log = get_logger(__name__)

IDLE = timedelta(seconds=10)
HEARTBEAT_S = LEASE.total_seconds() / 3
MOST_AT_ONCE = 32
ROUNDS_LIMIT = 10_000
PERIODIC_RETRY_S, PERIODIC_RETRY_LIMIT_S = 2.0, 300.0

Periodic = Reconciler | Sweeper


def _due_and_free(table: Any, horizon: Any, over_at: Any) -> Any:
    """Running, to be woken until `horizon`, under nobody's lease (it would have lasted longer than `over_at`), and next
    among the flows of its subject.
    """
    other = flows.alias("other")
    goes_before = or_(other.c.id < table.c.id, other.c.begun_at.is_not(None))
    apart = or_(other.c.supersede, table.c.supersede, and_(~other.c.parallel, ~table.c.parallel))
    blocked = exists().where(
        other.c.subject_id == table.c.subject_id,
        other.c.subject_kind == table.c.subject_kind,
        other.c.state == "running",
        other.c.id != table.c.id,
        goes_before,
        apart,
    )
    return and_(
        table.c.state == "running",
        table.c.wake_at <= horizon,
        or_(table.c.lease_token.is_(None), table.c.lease_until <= over_at),
        or_(table.c.begun_at.is_not(None), ~blocked.correlate(table)),
    )


_AT = bindparam("at", type_=flows.c.wake_at.type)
_HORIZON = bindparam("horizon", type_=flows.c.wake_at.type)
_OVER_AT = bindparam("over_at", type_=flows.c.wake_at.type)
_SOON = (
    select(flows)
    .where(_due_and_free(flows, _HORIZON, _OVER_AT))
    .order_by(flows.c.wake_at, flows.c.id)
    .limit(2 * MOST_AT_ONCE)
)
_HELD = select(flows.c.wake_at, flows.c.lease_until).where(
    flows.c.state == "running", flows.c.lease_token.is_not(None)
)
_CLAIM = (
    update(flows)
    .where(
        flows.c.id == bindparam("flow_id"),
        flows.c.step == bindparam("seen_step"),
        flows.c.direction == bindparam("seen_direction"),
        flows.c.wake_at == bindparam("seen_wake_at", type_=flows.c.wake_at.type),
        _due_and_free(flows, _AT, _OVER_AT),
    )
    .values(
        lease_worker=bindparam("worker"),
        lease_token=bindparam("token"),
        lease_until=bindparam("until", type_=flows.c.wake_at.type),
        begun_at=func.coalesce(flows.c.begun_at, _AT),
    )
)
_NO_CHANGE = update(leases).where(leases.c.name == bindparam("some")).values(failures=leases.c.failures)


class Engine:
    """Runs flows, reconcilers and sweepers of the rooms it was given.

    `house` is handed to steps, reconcilers and sweepers as it is. `name` is this worker's own (`worker.py` makes
    them): leases that an earlier process of the same name left are void when it starts, so two living engines never
    share one.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus | None,
        house: Any,
        flows: Iterable[Flow] = (),
        reconcilers: Iterable[Reconciler] = (),
        sweepers: Iterable[Sweeper] = (),
        name: str = "engine",
        around: Around | None = None,
    ) -> None:
        self.store = store
        self.bus = bus
        self.house = house
        self.name = name
        self.around = around
        self.flows = {flow.name: flow for flow in flows}
        self.periodics: dict[str, Periodic] = {}
        self.periodics.update((work.name, work) for work in reconcilers)
        self.periodics.update((work.name, work) for work in sweepers)
        self._due_at: dict[str, datetime] = {}
        self._wanted: set[str] = set()
        self._owed: set[str] = set()  # wanted, and put off while the database is away
        self._busy: set[str] = set()
        self._running: dict[str, FlowRun] = {}
        self._lease_tokens: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._ready = False
        self._jumps_mended = 0
        self._hear_again_at_s = 0.0
        self._stop_listening: Callable[[], None] = lambda: None

    def nudge(self, topic: str = NUDGE) -> None:
        """Look now: at flows, or at the reconciler or sweeper of that name. Called by the store and by the
        bus.
        """
        if topic in self.periodics:
            self._wanted.add(topic)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; steps that are cut off then are given back and run again later."""
        if self.bus is not None:
            await self.bus.serve(WAKE_TOPIC, self._woken)
        heart = asyncio.create_task(self._beat(), name="engine heart-beat")
        try:
            while True:
                self._wake.clear()
                try:
                    await self._begin()
                    await self._mend_jumps()
                    pause_s = await self._look()
                except StoreUnavailable as error:
                    log.warning("engine.no_database", error=str(error))
                    self.store.note_away()
                    pause_s = 1.0
                try:
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            heart.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(heart, *self._tasks, return_exceptions=True)
            self._stop_listening()

    async def run_due(self) -> int:
        """Do everything that is due now, and what that makes due, to the end; answers how many pieces of
        work.
        """
        await self._begin()
        total = 0
        for _ in range(ROUNDS_LIMIT):
            claimed = [run for row in await self._flows_due(timedelta()) if (run := await self._claim(row))]
            due = self._periodics_due()
            if not claimed and not due:
                return total
            total += len(claimed) + len(due)
            await asyncio.gather(*(self._drive(run) for run in claimed))
            for name in due:
                await self._run_periodic(name)
        raise RuntimeError(f"work did not come to rest in {ROUNDS_LIMIT} rounds")

    async def settle(self, limit: timedelta = timedelta(hours=1)) -> None:
        """For tests: `run_due`, moving the standing clock to the next wake-up, until no flow is left."""
        give_up_at = clock.now() + limit
        for _ in range(ROUNDS_LIMIT):
            await self.run_due()
            if not await self.store.count(flows, state="running"):
                return
            soon = await self.store.fetch(_SOON, {"horizon": give_up_at, "over_at": clock.now()})
            # What is under a lease now belongs to a worker that is no more.
            held = await self.store.fetch(_HELD)
            wake_at = min(
                [row.wake_at for row in soon if row.name in self.flows]
                + [max(row.wake_at, row.lease_until) for row in held],
                default=None,
            )
            if wake_at is None or wake_at > give_up_at:
                raise RuntimeError(f"flows are still running after {limit}")
            clock.clock.step(seconds=max(0.0, (wake_at - clock.now()).total_seconds()))
        raise RuntimeError(f"work did not come to rest in {ROUNDS_LIMIT} rounds")

    async def run_one(self, name: str) -> int:
        """Run this reconciler or sweeper now, due or not; answers what it answered. Its errors are raised."""
        await self._begin()
        return await self.periodics[name].run(self.house)

    async def _woken(self, message: Message) -> None:
        self.nudge(message.read(str))

    async def _mend_jumps(self) -> None:
        """The machine's clock was put forward or back: what was reckoned by it is set right."""
        jumps = clock.clock.jumps()
        if len(jumps) == self._jumps_mended:
            return
        for jump in jumps[self._jumps_mended :]:
            log.warning("engine.clock_jumped", by_s=round(jump.by_s), to=jump.at.isoformat())
        await self._prolong()
        await lease.mend_times(self.store)
        self._hear_again_at_s = 0.0
        self._jumps_mended = len(jumps)

    # Finding what is due

    async def _begin(self) -> None:
        if self._ready:
            return
        freed = await lease.void_leases_of(self.store, self.name)
        if freed:
            log.info("engine.took_back", worker=self.name, freed=freed)
        self._due_at = await lease.ensure_leases(self.store, list(self.periodics))
        self._stop_listening = self.store.listen(self.nudge)
        self._hear_again_at_s = asyncio.get_running_loop().time() + IDLE.total_seconds()
        self._ready = True

    async def _look(self) -> float:
        """Start what is due; answers after how many seconds something will be."""
        for name in self._periodics_due():
            self._spawn(self._run_periodic(name), name)
        await self._hear_of_periodics()
        next_at = clock.now() + IDLE
        room = MOST_AT_ONCE - len(self._running)
        if room > 0:
            for row in await self._flows_due(IDLE):
                if row.wake_at > clock.now():
                    next_at = min(next_at, row.wake_at)
                    break
                if room == 0:
                    break
                run = await self._claim(row)
                if run is not None:
                    room -= 1
                    self._spawn(self._drive(run), f"flow {row.name} {row.id}")
        for name, due_at in self._due_at.items():
            if name not in self._busy:
                next_at = min(next_at, due_at)
        return max(0.0, (next_at - clock.now()).total_seconds())

    async def _flows_due(self, ahead: timedelta) -> list[Row]:
        at = clock.now()
        return await self.store.fetch(_SOON, {"horizon": at + ahead, "over_at": lease.over_at(at)})

    async def _claim(self, row: Row) -> FlowRun | None:
        flow = self.flows.get(row.name)
        if flow is None:
            return None  # another engine's: its rooms are not ours
        token = ids.new_id()
        at = clock.now()
        async with self.store.transaction() as tx:
            await tx.lock(row.subject_id)
            claim = {
                "flow_id": row.id,
                "seen_step": row.step,
                "seen_direction": row.direction,
                "seen_wake_at": row.wake_at,
                "at": at,
                "over_at": lease.over_at(at),
                "worker": self.name,
                "token": token,
                "until": at + LEASE,
            }
            if not await tx.execute(_CLAIM, claim):
                return None
            run = FlowRun(self.store, self.house, self.bus, flow, row, token, self.around)
            if row.begun_at is None:
                await run.note_start(tx)
        self._running[row.id] = run
        return run

    async def _hear_of_periodics(self) -> None:
        """Now and then: what others began and did not end, or made due, is ours to do as well.

        Something is written, to no effect: an idle engine would not know that the database takes nothing in.
        """
        if asyncio.get_running_loop().time() < self._hear_again_at_s:
            return
        async with self.store.transaction() as tx:
            await tx.execute(_NO_CHANGE, {"some": min(self.periodics, default="")})
            rows = await tx.all(leases)
        for row in rows:
            if row.name in self.periodics and row.name not in self._busy:
                self._due_at[row.name] = lease.free_at(row)
        self._hear_again_at_s = asyncio.get_running_loop().time() + IDLE.total_seconds()

    def _periodics_due(self) -> list[str]:
        at = clock.now()
        due = [
            name
            for name in self.periodics
            if name not in self._busy and (name in self._wanted or self._due_at[name] <= at)
        ]
        self._busy.update(due)
        return due

    # Running it

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("engine.task_broke", task=task.get_name(), exc_info=error)

    async def _drive(self, run: FlowRun) -> None:
        try:
            await run.run()
        except LeaseLost:
            log.warning("flow.lease_lost", flow_id=run.id)
        except StoreUnavailable as error:
            self.store.note_away()
            log.warning("flow.left_to_its_lease", flow_id=run.id, error=str(error))
        except asyncio.CancelledError:
            await run.release()
            raise
        finally:
            self._running.pop(run.id, None)

    async def _run_periodic(self, name: str) -> None:
        work = self.periodics[name]
        wanted = name in self._wanted or name in self._owed
        self._wanted.discard(name)
        self._owed.discard(name)
        token = None
        try:
            token, held = await lease.take_lease(self.store, name, self.name, wanted=wanted)
            if token is None:
                self._due_at[name] = lease.free_at(held)
                return
            self._lease_tokens.add(token)
            failures, retry_at = 0, None
            try:
                await work.run(self.house)
            except Exception as error:
                failures = held.failures + 1
                pause_s = min(PERIODIC_RETRY_S * 2 ** (failures - 1), PERIODIC_RETRY_LIMIT_S)
                retry_at = clock.now() + min(timedelta(seconds=pause_s), work.every)
                log.error("engine.periodic_failed", work=name, failures=failures, exc_info=error)
                await operation.record(
                    self.store, None, name, "failed", request_id=operation.PERIODIC + name, reason=str(error)
                )
            self._due_at[name] = await lease.release_lease(
                self.store, held, every=work.every, failures=failures, retry_at=retry_at
            )
        except StoreUnavailable as error:
            self.store.note_away()
            if wanted:
                self._owed.add(name)
            self._due_at[name] = clock.now() + timedelta(seconds=PERIODIC_RETRY_S)
            log.warning("engine.no_database", work=name, error=str(error))
        finally:
            self._busy.discard(name)
            if token is not None:
                self._lease_tokens.discard(token)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if len(clock.clock.jumps()) > self._jumps_mended:
                self._wake.set()
            try:
                await self._prolong()
            except StoreUnavailable as error:
                self.store.note_away()
                log.warning("engine.heartbeat_missed", error=str(error))

    async def _prolong(self) -> None:
        flow_tokens = [run.token for run in self._running.values()]
        lease_tokens = list(self._lease_tokens)
        if flow_tokens or lease_tokens:
            await lease.prolong(self.store, self.name, flow_tokens, lease_tokens)
