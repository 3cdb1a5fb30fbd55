"""What every flow must withstand, without writing a line of it again.

    CASE = FlowCase(flow=create, others=[delete], start=…, describe=…, delete=…, worked=…)

    @pytest.mark.parametrize("trial", trials(CASE), ids=str)
    async def test_server_create(trial, world):
        await trial.run(CASE, world)

`world` is any object with `store` and `house`; the engine is ours, and the clock stands still.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aerostat.kernel import operation
from aerostat.kernel.clock import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.model import flows
from aerostat.kernel.work import Engine, Flow, Outcome

PLANTED = "The planted fault happened."


@dataclass(frozen=True, kw_only=True)
class FlowCase:
    """A flow and what the kit must know of it.

    `start(world)` makes the subject and starts the flow, as the API would; answers the subject's id.
    `describe(world)` is all that the flow could leave behind, in rows and in the fake world, but the subject
    itself: any value that can be compared. `worked(world, subject_id)` asserts the good end. `delete(world,
    subject_id)` deletes the subject as the API would, with a superseding flow among `others`.
    `start_again(world, subject_id)` is for flows that do not undo but can be asked for once more, as
    deleting: after a failure they must then come to the good end.
    """

    flow: Flow
    start: Callable[[Any], Awaitable[str]]
    describe: Callable[[Any], Awaitable[Any]]
    worked: Callable[[Any, str], Awaitable[None]]
    others: Sequence[Flow] = ()
    delete: Callable[[Any, str], Awaitable[None]] | None = None
    start_again: Callable[[Any, str], Awaitable[None]] | None = None


Kind = Literal["runs", "twice", "stumbles", "dies", "fails", "breaks", "undo twice", "undo dies", "deleted"]


@dataclass(frozen=True)
class Trial:
    """One ordeal: what happens, at which step, before or after the step has done its work."""

    kind: Kind
    step: str = ""
    when: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in (self.kind, self.when, self.step) if word)

    async def run(self, case: FlowCase, world: Any) -> None:
        clock.stop()
        try:
            await _Ordeal(self, case, world).run()
        finally:
            clock.run()


def trials(case: FlowCase) -> list[Trial]:
    """All ordeals of the case's flow."""
    steps = [step.name for step in case.flow.steps]
    found = [Trial("runs"), Trial("twice")]
    for step in steps:
        found.append(Trial("stumbles", step, "before"))
        for when in ("before", "after"):
            found += [Trial("dies", step, when), Trial("fails", step, when)]
            if case.delete is not None:
                found.append(Trial("deleted", step, when))
        found.append(Trial("breaks", step, "after"))
    if any(step.undo_run for step in case.flow.steps):
        found.append(Trial("undo twice", steps[-1], "after"))
        found += [
            Trial("undo dies", step.name, when)
            for step in case.flow.steps
            if step.undo_run
            for when in ("before", "after")
        ]
    return found


class Died(BaseException):
    """The process is gone: nothing that would catch an exception gets to see the end of this one."""


class _Ordeal:
    def __init__(self, trial: Trial, case: FlowCase, world: Any) -> None:
        self.trial, self.case, self.world = trial, case, world
        self.planted = False
        self.subject_id = ""

    async def run(self) -> None:
        case, trial, world = self.case, self.trial, self.world
        before = await case.describe(world)
        earlier = {flow.id for flow in await world.store.all(flows)}  # the subject's own past
        self.subject_id = await case.start(world)
        await self._run_engines()
        assert self.planted or trial.kind in ("runs", "twice"), f"{trial} never came about"
        ended = [
            flow
            for flow in await world.store.all(flows, {"subject_id": self.subject_id}, order="id")
            if flow.id not in earlier
        ]
        assert not [flow.name for flow in ended if flow.state == "running"], "work was left running"
        first = ended[0]
        if trial.kind in ("runs", "twice", "stumbles", "dies"):
            assert first.state == "done", first.fault
            await case.worked(world, self.subject_id)
        elif trial.kind == "deleted":
            assert [flow.state for flow in ended[1:]] == ["done"] * len(ended[1:]), ended[-1].fault
            assert first.state in ("superseded", "done")
            assert await case.describe(world) == before, f"{trial}: something was left behind"
        else:
            await self._check_failure(first, before)

    async def _check_failure(self, flow: Any, before: Any) -> None:
        assert flow.state == "failed"
        record = await operation.list_for(self.world.store, subject_id=self.subject_id)
        stuck = [row for row in record if row.step and ".undo" in row.step and row.verdict != "done"]
        assert not stuck, f"{self.trial}: {stuck[0].step} did not go through: {stuck[0].reason}"
        if self.trial.kind != "breaks":
            assert flow.fault["message"] == PLANTED
        if self.case.start_again is None:
            after = await self.case.describe(self.world)
            assert after == before, f"{self.trial}: something was left behind"
            return
        await self.case.start_again(self.world, self.subject_id)
        await self._engine("third", None).settle()
        await self.case.worked(self.world, self.subject_id)

    async def _run_engines(self) -> None:
        """One engine until the end or its death, then another that takes over when the lease is over."""
        try:
            await self._engine("first", self._around).settle()
        except Died:
            await self._engine("second", self._around).settle()

    def _engine(self, name: str, around: Any) -> Engine:
        bus = getattr(self.world, "bus", None)
        work = [self.case.flow, *self.case.others]
        return Engine(self.world.store, bus, self.world.house, work, name=name, around=around)

    async def _around(self, flow: Flow, step: str, direction: str, call: Any) -> Outcome | None:
        if flow is not self.case.flow:
            outcome: Outcome | None = await call()
            return outcome
        kind = self.trial.kind
        if kind == "twice" or (kind == "undo twice" and direction == "undo"):
            await call()
        elif kind == "undo dies" and direction == "forward":
            if step == self.case.flow.steps[-1].name:
                await call()
                raise DriverError(PLANTED)
        elif not self.planted and step == self.trial.step and direction == self._hit_direction():
            if self.trial.when == "before":
                await self._strike()
                return await call()  # only after a strike that lets the step go on
            outcome = await call()
            if outcome is None or outcome.kind != "again":  # a step that waits has not done its work yet
                await self._strike()
            return outcome
        return await call()

    def _hit_direction(self) -> str:
        return "undo" if self.trial.kind == "undo dies" else "forward"

    async def _strike(self) -> None:
        self.planted = True
        kind = self.trial.kind
        if kind in ("dies", "undo dies"):
            raise Died
        if kind == "stumbles":
            raise DriverError("try again", retry=True)
        if kind in ("fails", "undo twice"):
            raise DriverError(PLANTED)
        if kind == "breaks":
            raise ZeroDivisionError("planted")
        assert self.case.delete is not None
        await self.case.delete(self.world, self.subject_id)
