"""Flows: long operations as rows. Named steps with their undo, resumed by any engine after any death.

A flow is a file `flows/<verb>_<noun>.py`: one `Flow`, its steps in order, the undo of a step below the step.
`Flow.start` writes the row in the caller's transaction; the engine does the rest. See
`docs/subsystems/flows.md`.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

import msgspec
from sqlalchemy import Table, delete, update

from .. import clock, ids, operation
from ..bus import Bus
from ..context import Context
from ..db import Row, Store, Transaction
from ..model import flows
from .states import Machine

Result = TypeVar("Result")

NUDGE = "flows"  # the store's nudge after a flow was started


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a flow failed: `message` is for the user, `detail` for operators."""

    message: str
    code: str
    at: datetime
    detail: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What a step answers; made by `Work.done`, `again`, `goto`, `finish`."""

    kind: str
    wait_s: float = 0.0
    step: str | None = None


DONE = Outcome("done")
FINISH = Outcome("finish")

StepFunction = Callable[["Work", Any], Awaitable[Outcome | None]]
FailedFunction = Callable[["Work", Any, Fault], Awaitable[None]]
InTransaction = Callable[[Transaction], Awaitable[object]]


class Step:
    """A named step. The name is the function's and is stored: it never changes its meaning."""

    def __init__(self, run: StepFunction, attempts: int) -> None:
        self.name: str = getattr(run, "__name__", repr(run))
        self.run = run
        self.attempts = attempts
        self.undo_run: StepFunction | None = None

    def undo(self, function: StepFunction) -> StepFunction:
        """Decorator: what gives back whatever the step acquired. May run twice, and after half a step."""
        self.undo_run = function
        return function


class Flow:
    """A long operation on one row of table `on`, as steps in the order of their declaration.

    `deadline`: from its start to its end; past it the flow is undone and fails. `failed`: an event of
    `machine`, or `async (work, row, fault)`, run after the undo. A subject whose table has a column `fault`
    gets the fault written there too. `parallel`: may run beside other parallel flows of the same subject.
    `without_subject`: goes on with `row=None` when the subject is gone, instead of ending quietly.
    """

    def __init__(
        self,
        name: str,
        *,
        on: Table,
        deadline: timedelta,
        failed: str | FailedFunction | None = None,
        machine: Machine | None = None,
        parallel: bool = False,
        without_subject: bool = False,
        attempts: int = 8,
    ) -> None:
        if isinstance(failed, str):
            if machine is None:
                raise ValueError(f"flow {name}: failed={failed!r} is an event, so a machine is needed")
            machine.allowed_from(failed)
        self.name = name
        self.table = on
        self.deadline = deadline
        self.failed = failed
        self.machine = machine
        self.parallel = parallel
        self.without_subject = without_subject
        self.attempts = attempts
        self.steps: list[Step] = []

    @overload
    def step(self, function: StepFunction, /) -> Step: ...

    @overload
    def step(self, function: None = None, /, *, attempts: int) -> Callable[[StepFunction], Step]: ...

    def step(
        self, function: StepFunction | None = None, /, *, attempts: int | None = None
    ) -> Step | Callable[[StepFunction], Step]:
        """Decorator: the next step. `attempts`: how often it is tried while a driver says "try again"."""

        def add(function: StepFunction) -> Step:
            step = Step(function, attempts or self.attempts)
            if any(step.name == other.name for other in self.steps):
                raise ValueError(f"flow {self.name} has two steps named {step.name}")
            self.steps.append(step)
            return step

        return add(function) if function else add

    def place(self, step: str) -> int:
        """Index of the step of that name; KeyError when there is none."""
        for place, candidate in enumerate(self.steps):
            if candidate.name == step:
                return place
        raise KeyError(f"flow {self.name} has no step {step}")

    async def start(
        self,
        tx: Transaction,
        subject_id: str,
        *,
        context: Context,
        data: dict[str, Any] | None = None,
        supersede: bool = False,
    ) -> str:
        """Store the flow within the caller's transaction; engines are woken once that is committed.

        Flows of one subject run one after the other. `supersede` (delete wins): all other running flows of
        the subject, but those of this name, end without undo as soon as their present step is over, and this
        one starts then. It cleans up everything they may have made. Answers the flow's id.
        """
        at = clock.now()
        flow_id = ids.ascending_id()
        if supersede:
            await self._supersede_others(tx, subject_id, flow_id, at)
        await tx.insert(
            flows,
            id=flow_id,
            name=self.name,
            subject_kind=self.table.name,
            subject_id=subject_id,
            step=self.steps[0].name,
            data=data or {},
            context=context,
            request_id=context.request_id,
            parallel=self.parallel,
            supersede=supersede,
            wake_at=at,
            deadline_at=at + self.deadline,
            created_at=at,
        )
        tx.nudge(NUDGE)
        return flow_id

    async def _supersede_others(self, tx: Transaction, subject_id: str, by: str, at: datetime) -> None:
        others = update(flows).where(
            flows.c.subject_id == subject_id,
            flows.c.subject_kind == self.table.name,
            flows.c.state == "running",
            flows.c.name != self.name,
            flows.c.superseded_by.is_(None),
        )
        # Nobody is at work on those without a lease, so they can end here and now.
        await tx.execute(
            others.where(flows.c.lease_token.is_(None)).values(
                state="superseded", superseded_by=by, finished_at=at
            )
        )
        await tx.execute(others.values(superseded_by=by, wake_at=at))


async def wake(tx: Transaction, table: Table, subject_id: str) -> None:
    """What a flow of this subject waits for may have happened: its waiting step runs now, not when its time is up.

    As with every nudge, the step looks for itself. One that comes while the step runs is not lost.
    """
    waiting = update(flows).where(
        flows.c.subject_id == subject_id, flows.c.subject_kind == table.name, flows.c.state == "running"
    )
    if await tx.execute(waiting.values(wake_at=clock.now(), wakes=flows.c.wakes + 1)):
        tx.nudge(NUDGE)


async def trim_flows(store: Store, keep: timedelta) -> int:
    """Delete flows that ended more than `keep` ago; answers how many. What they did is in the operation record."""
    ended = delete(flows).where(flows.c.finished_at < clock.now() - keep)
    async with store.transaction() as tx:
        return await tx.execute(ended)


class Work:
    """What a step is handed beside its row: the house, who asked, the flow's own memory."""

    def __init__(self, house: Any, db: Store, bus: Bus | None, flow: Flow, row: Row) -> None:
        self.house = house
        self.db = db
        self.bus = bus
        self.flow = flow
        self.flow_id: str = row.id
        self.subject_id: str = row.subject_id
        self.request_id: str = row.request_id
        self.context: Context = msgspec.convert(row.context, Context)
        self.data: dict[str, Any] = row.data
        self.deadline_at: datetime = row.deadline_at
        self._started_at: datetime = row.created_at
        self.step: str = row.step
        self.attempt: int = row.attempts + 1
        self.subject_name: str | None = None
        # For the engine: what is to be written with the result of the step.
        self.records: list[InTransaction] = []
        self.results: list[InTransaction] = []
        self.moves: list[InTransaction] = []
        self.saver: Callable[[], Awaitable[None]] | None = None
        self.lease_token: str | None = None

    def left_s(self, until: datetime) -> float:
        """Seconds until then. Time over which the clock was put forward since the flow was started does not count."""
        skipped = clock.clock.skipped_since(self._started_at)
        return (until + skipped - clock.now()).total_seconds()

    def done(self) -> Outcome:
        """On to the next step; the same as answering None."""
        return DONE

    def again(self, wait: float | timedelta) -> Outcome:
        """This step once more after `wait` (seconds, or a timedelta); does not count as an attempt."""
        return Outcome("again", wait.total_seconds() if isinstance(wait, timedelta) else wait)

    def goto(self, step: Step | str) -> Outcome:
        """On to another step than the next."""
        return Outcome("goto", step=step.name if isinstance(step, Step) else step)

    def finish(self) -> Outcome:
        """The flow is done; the steps that follow are left out."""
        return FINISH

    def also(self, function: InTransaction) -> None:
        """Run `await function(tx)` in the transaction that records this step's result: both or neither."""
        self.results.append(function)

    async def is_ours(self, tx: Transaction) -> bool:
        """Whether this worker still holds the flow's lease: for what a step writes of its own before its end.

        Until `tx` ends nobody takes the lease over.
        """
        held = {"id": self.flow_id, "lease_token": self.lease_token}
        return self.lease_token is not None and bool(
            await tx.update(flows, held, lease_token=self.lease_token)
        )

    async def save(self) -> None:
        """Store `data` and the row's changed columns now, in the middle of a step: «choose the name, then
        make it».
        """
        if self.saver is not None:
            await self.saver()

    def move(self, event: str, **also: Any) -> None:
        """Move the subject by an event of the flow's machine, in the transaction that records the result."""
        machine, flow = self.flow.machine, self.flow
        if machine is None:
            raise ValueError(f"flow {flow.name} has no machine to move by {event!r}")
        self.moves.append(lambda tx: machine.move(tx, flow.table, self.subject_id, event, **also))

    def record(
        self,
        verdict: operation.Verdict,
        *,
        reason: str | None = None,
        data: Any = None,
        step: str | None = None,
    ) -> None:
        """Add a row to the operation record, written with this step's result or with its failure."""
        name = self.subject_name
        self.records.append(
            lambda tx: operation.record(
                tx,
                self.context,
                self.flow.name,
                verdict,
                subject_kind=self.flow.table.name,
                subject_id=self.subject_id,
                subject_name=name,
                step=step or self.step,
                reason=reason,
                data=data,
            )
        )

    async def call(
        self, topic: str, verb: str, body: Any, result_type: type[Result], timeout_s: float = 30.0
    ) -> Result:
        """Ask a host or another role over the bus, under this flow's request id."""
        if self.bus is None:
            raise RuntimeError("this engine was given no bus")
        return await self.bus.call(
            topic, verb, body, timeout_s=timeout_s, request_id=self.request_id, into=result_type
        )

    def client(self, room: str) -> Any:
        """The other room's client, acting for whoever asked for this flow."""
        return self.house.client(room, self.context)

    def forget_results(self) -> None:
        """For the engine: before each step, nothing is to be written yet."""
        self.records, self.results, self.moves = [], [], []
