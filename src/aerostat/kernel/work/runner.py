"""One claimed flow, step by step, until it waits, ends, or is somebody else's.

Per step: one fresh read of the subject, the step itself without any transaction, one transaction that records
the result where the lease is still ours. A result that finds another's lease is thrown away.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from .. import clock, operation
from ..bus import Bus
from ..db import Row, Store, StoreUnavailable, Transaction
from ..errors import ApiError, DriverError, is_away
from ..log import bound, get_logger
from ..model import flows
from .flows import DONE, Fault, Flow, InTransaction, Outcome, Step, Work
from .lease import LEASE

log = get_logger(__name__)

FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
AWAY_LIMIT = timedelta(hours=1)
"""How much longer than its deadline a flow that is being undone waits for a database or a queue that is away."""
_AWAY = "_away"  # key of a flow's data while it waits so: how often it was tried

Call = Callable[[], Awaitable[Outcome | None]]
Around = Callable[[Flow, str, str, Call], Awaitable[Outcome | None]]
"""Where tests stand: `await around(flow, step name, direction, call)` instead of `await call()`."""


class LeaseLost(Exception):
    """Another worker has the flow now; what we found out is not written."""


class _Refused(Exception):
    """The transaction that was to record a step's result raised `reason`; nothing was written."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class FlowRun:
    """A flow row under the lease `token`."""

    def __init__(
        self,
        store: Store,
        house: Any,
        bus: Bus | None,
        flow: Flow,
        row: Row,
        token: str,
        around: Around | None,
    ) -> None:
        self.id: str = row.id
        self.token = token
        self._store = store
        self._flow = flow
        self._direction: str = row.direction
        self._step: str = row.step
        self._attempts: int = row.attempts
        self._away: int = row.data.pop(_AWAY, 0)
        self._fault: Fault | None = Fault(**row.fault) if row.fault else None
        self._superseded = row.superseded_by is not None
        self._wakes: int = row.wakes
        self._around = around
        self._work = Work(house, store, bus, flow, row)
        self._work.saver = self._save
        self._work.lease_token = token
        self._subject: Row | None = None
        self._as_read: dict[str, Any] = {}

    async def run(self) -> None:
        """Go on until the flow waits or ends. Raises `LeaseLost`, `StoreUnavailable`."""
        work = self._work
        with bound(
            request_id=work.request_id,
            project_id=work.context.project_id,
            resource_id=work.subject_id,
            flow=self._flow.name,
        ):
            while await self._turn():
                pass

    async def note_start(self, tx: Transaction) -> None:
        await self._note("started", data={"flow_id": self.id})(tx)

    async def release(self) -> None:
        """Give the lease back in the middle of a step: the step runs again, anywhere, at once."""
        async with self._store.transaction() as tx:
            await tx.update(
                flows,
                {"id": self.id, "lease_token": self.token, "state": "running"},
                lease_token=None,
                lease_until=None,
                wake_at=clock.now(),
            )

    async def _turn(self) -> bool:
        if self._superseded:
            return await self._write({}, None)
        self._work.forget_results()
        subject = self._subject = await self._store.find(self._flow.table, id=self._work.subject_id)
        if subject is None and not self._flow.without_subject:
            return await self._end("done", "gone", reason=f"{self._flow.table.name} row is gone")
        self._as_read = dict(subject or {})
        self._work.subject_name = self._as_read.get("name")
        if self._direction == "forward":
            return await self._go_forward()
        if self._direction == "undo":
            return await self._go_back()
        return await self._fail()

    # Forward

    async def _go_forward(self) -> bool:
        flow = self._flow
        if clock.now() >= self._work.deadline_at:
            return await self._turn_back(self._missed_deadline(), 0.0)
        try:
            step = flow.steps[flow.place(self._step)]
        except KeyError as error:
            log.error("flow.step_unknown", step=self._step)
            return await self._turn_back(self._fault_of(error), 0.0)
        limit_s = (self._work.deadline_at - clock.now()).total_seconds()
        started = time.perf_counter()
        try:
            outcome = await self._call(step.name, lambda: step.run(self._work, self._subject), limit_s)
            took_ms = _ms_since(started)
            return await self._advance(step, outcome or DONE, took_ms)
        except (DriverError, ApiError, StoreUnavailable) as error:
            in_time = clock.now() + timedelta(seconds=self._pause_s(error)) < self._work.deadline_at
            tries_left = is_away(error) or self._attempts + 1 < step.attempts
            if _is_passing(error) and tries_left and in_time:
                return await self._retry(error, _ms_since(started))
            return await self._turn_back(self._fault_of(error), _ms_since(started))
        except _Refused as refusal:
            self._log_unexpected(refusal.reason)
            return await self._turn_back(self._fault_of(refusal.reason), _ms_since(started), save_row=False)
        except LeaseLost:
            raise
        except Exception as error:
            self._log_unexpected(error)
            return await self._turn_back(self._fault_of(error), _ms_since(started))

    async def _advance(self, step: Step, outcome: Outcome, took_ms: float) -> bool:
        if outcome.kind == "again":
            left_s = (self._work.deadline_at - clock.now()).total_seconds()
            return await self._wait(max(0.0, min(outcome.wait_s, left_s)), 0)
        if outcome.kind == "goto":
            following = outcome.step
            self._flow.place(following or "")
        elif outcome.kind == "finish":
            following = None
        else:
            place = self._flow.place(step.name) + 1
            following = self._flow.steps[place].name if place < len(self._flow.steps) else None
        note = self._note("done", step=step.name, took_ms=took_ms)
        if following is None:
            return await self._end("done", "done", note=note)
        return await self._go_to(following, "forward", note)

    async def _turn_back(self, fault: Fault, took_ms: float, save_row: bool = True) -> bool:
        """Undo, from the step that failed backwards: it may have done half of its work."""
        self._fault = fault
        self._drop_results()
        if not save_row and self._subject is not None:
            self._subject.update(self._as_read)
        data = {"code": fault.code, "detail": fault.detail}
        note = self._note("failed", step=self._step, reason=fault.message, data=data, took_ms=took_ms)
        return await self._go_to(self._step, "undo", note, fault=fault)

    # Backward

    async def _go_back(self) -> bool:
        flow = self._flow
        try:
            place = flow.place(self._step)
        except KeyError:
            place = len(flow.steps) - 1  # the step is no more: give back whatever any step may have acquired
        while place >= 0 and flow.steps[place].undo_run is None:
            place -= 1
        if place < 0:
            self._direction = "fail"
            return await self._fail()
        step = flow.steps[place]
        undo = step.undo_run
        assert undo is not None
        self._step = step.name
        started = time.perf_counter()
        verdict: operation.Verdict = "done"
        reason = None
        try:
            outcome = await self._call(
                step.name, lambda: undo(self._work, self._subject), flow.deadline.total_seconds()
            )
            if outcome is not None and outcome.kind == "again":
                return await self._wait(outcome.wait_s, 0)
        except LeaseLost:
            raise
        except Exception as error:
            self._drop_results()
            if not _is_passing(error):
                self._log_unexpected(error)
            if self._may_try_again(error, step.attempts):
                return await self._retry(error, _ms_since(started))
            # Nothing more to try here, but the steps before it still have things to give back.
            verdict, reason = "failed", _words(error)
        note = self._note(verdict, step=f"{step.name}.undo", reason=reason, took_ms=_ms_since(started))
        if place == 0:
            return await self._go_to(step.name, "fail", note)
        return await self._go_to(flow.steps[place - 1].name, "undo", note)

    async def _fail(self) -> bool:
        fault, failed = self._fault, self._flow.failed
        assert fault is not None
        started = time.perf_counter()
        try:
            if callable(failed):
                handler = failed
                limit_s = self._flow.deadline.total_seconds()
                await self._call("failed", lambda: handler(self._work, self._subject, fault), limit_s)
            elif failed is not None:
                self._work.move(failed)
            self._show(fault)
            return await self._end("failed", "failed", reason=fault.message)
        except (LeaseLost, StoreUnavailable):
            raise  # whoever has the lease next moves the subject
        except Exception as error:
            cause = error.reason if isinstance(error, _Refused) else error
            self._log_unexpected(cause)
            if callable(failed) and self._may_try_again(cause, self._flow.attempts):
                return await self._retry(cause, _ms_since(started))
            self._drop_results()
            if self._subject is not None:
                self._subject.update(self._as_read)
            self._show(fault)
            return await self._end("failed", "failed", reason=f"{fault.message} ({_words(cause)})")

    def _show(self, fault: Fault) -> None:
        if self._subject is not None and "fault" in self._flow.table.c:
            self._subject["fault"] = fault

    # Writing results

    async def _go_to(self, step: str, direction: str, note: InTransaction, **also: Any) -> bool:
        values = {"step": step, "direction": direction, "attempts": 0, "lease_until": clock.now() + LEASE}
        if not await self._write({**values, **also}, note):
            return False
        self._step, self._direction, self._attempts = step, direction, 0
        self._work.step, self._work.attempt = step, 1
        return True

    async def _wait(self, wait_s: float, attempts: int, note: InTransaction | None = None) -> bool:
        await self._write(
            {
                "step": self._step,
                "direction": self._direction,
                "attempts": attempts,
                "wake_at": clock.now() + timedelta(seconds=wait_s),
                "lease_token": None,
                "lease_until": None,
            },
            note,
            unless_woken=True,
        )
        return False

    async def _retry(self, error: Exception, took_ms: float) -> bool:
        """Once more after a pause. What was away while we tried does not count among the step's attempts."""
        wait_s = self._pause_s(error)
        self._drop_results()
        attempts = self._attempts
        data: dict[str, Any] = {"detail": getattr(error, "detail", None), "wait_s": wait_s}
        if is_away(error):
            self._work.data[_AWAY] = data["away"] = self._away + 1
        else:
            attempts = data["attempt"] = self._attempts + 1
        step = self._step if self._direction == "forward" else f"{self._step}.{self._direction}"
        note = self._note("retry", step=step, reason=_words(error), data=data, took_ms=took_ms)
        return await self._wait(wait_s, attempts, note)

    def _may_try_again(self, error: Exception, attempts: int) -> bool:
        """On the way back, where the deadline does not count: what was acquired is to be given back all the same."""
        if is_away(error):
            return clock.now() < self._work.deadline_at + AWAY_LIMIT
        return self._attempts + 1 < attempts

    def _pause_s(self, error: Exception) -> float:
        tries = self._away if is_away(error) else self._attempts
        return min(math.ldexp(FIRST_RETRY_S, min(tries, 16)), LONGEST_RETRY_S)

    async def _end(
        self,
        state: str,
        verdict: operation.Verdict,
        *,
        reason: str | None = None,
        note: InTransaction | None = None,
    ) -> bool:
        last = self._note(verdict, reason=reason)

        async def notes(tx: Any) -> None:
            if note is not None:
                await note(tx)
            await last(tx)

        await self._write(
            {"state": state, "finished_at": clock.now(), "lease_token": None, "lease_until": None}, notes
        )
        return False

    async def _write(
        self, values: dict[str, Any], note: InTransaction | None, unless_woken: bool = False
    ) -> bool:
        """Record a result, if the lease is ours. False: the flow was superseded meanwhile and has ended.

        `unless_woken`: whoever called `wake` during the step is heeded, and the flow does not sleep.
        """
        work = self._work
        changes = self._changed_columns()
        try:
            async with self._store.transaction() as tx:
                ours = {"id": self.id, "lease_token": self.token}
                guard = {**ours, "superseded_by": None}
                going_on = 0
                if unless_woken:
                    asleep = {**guard, "wakes": self._wakes}
                    going_on = await tx.update(flows, asleep, data=work.data, **values)
                    values["wake_at"] = clock.now()
                if values and not going_on:
                    going_on = await tx.update(flows, guard, data=work.data, **values)
                if not going_on:
                    # Superseded: what the step found out is kept, but the subject is no more ours to move.
                    work.moves.clear()
                    note = self._note("superseded")
                    if not await tx.update(
                        flows,
                        ours,
                        data=work.data,
                        state="superseded",
                        finished_at=clock.now(),
                        lease_token=None,
                        lease_until=None,
                    ):
                        raise LeaseLost(self.id)
                if changes:
                    await tx.update(self._flow.table, {"id": work.subject_id}, **changes)
                for write in (*work.results, *work.moves, *work.records):
                    await write(tx)
                if note is not None:
                    await note(tx)
        except (LeaseLost, StoreUnavailable, ApiError, DriverError):
            raise
        except Exception as error:
            raise _Refused(error) from error
        return bool(going_on)

    async def _save(self) -> None:
        changes = self._changed_columns()
        async with self._store.transaction() as tx:
            if not await tx.update(flows, {"id": self.id, "lease_token": self.token}, data=self._work.data):
                raise LeaseLost(self.id)
            if changes:
                await tx.update(self._flow.table, {"id": self._work.subject_id}, **changes)
        self._as_read.update(changes)

    def _changed_columns(self) -> dict[str, Any]:
        if self._subject is None:
            return {}
        read = self._as_read
        return {
            name: value
            for name, value in self._subject.items()
            if name not in read or (value is not read[name] and value != read[name])
        }

    # Small things

    async def _call(self, step: str, call: Callable[[], Awaitable[Any]], limit_s: float) -> Outcome | None:
        limit = asyncio.timeout(max(limit_s, 0.001))
        try:
            async with limit:
                if self._around is not None:
                    return await self._around(self._flow, step, self._direction, call)
                outcome: Outcome | None = await call()
                return outcome
        except TimeoutError as error:
            if not limit.expired():
                raise
            missed = self._missed_deadline()
            raise DriverError(missed.message, detail=f"step {step} was cut off") from error

    def _drop_results(self) -> None:
        self._work.results.clear()
        self._work.moves.clear()

    def _note(self, verdict: operation.Verdict, **about: Any) -> InTransaction:
        work = self._work
        return lambda tx: operation.record(
            tx,
            work.context,
            self._flow.name,
            verdict,
            subject_kind=self._flow.table.name,
            subject_id=work.subject_id,
            subject_name=work.subject_name,
            **about,
        )

    def _missed_deadline(self) -> Fault:
        whole_s = self._flow.deadline.total_seconds()
        return Fault(
            message=f"{self._flow.name} was not finished within {whole_s:g} s; it was at step {self._step}.",
            code="DeadlineMissed",
            at=clock.now(),
        )

    def _fault_of(self, error: Exception) -> Fault:
        at: datetime = clock.now()
        if isinstance(error, ApiError):
            return Fault(message=error.text, code=error.error_code, detail=error.detail, at=at)
        if isinstance(error, DriverError):
            return Fault(message=error.message, code=type(error).__name__, detail=error.detail, at=at)
        message = f"Unexpected {type(error).__name__} in step {self._step} of {self._flow.name}."
        return Fault(message=message, code=type(error).__name__, detail=str(error), at=at)

    def _log_unexpected(self, error: Exception) -> None:
        if not isinstance(error, ApiError | DriverError):
            log.error("flow.step_broke", step=self._step, direction=self._direction, exc_info=error)


def _is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, DriverError):
        return error.retry
    # Another room's 503 comes as that room's error; what counts is what it says.
    return is_away(error) or (isinstance(error, ApiError) and error.status == 503)


def _words(error: Exception) -> str:
    return error.message if isinstance(error, DriverError) else str(error) or type(error).__name__


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
