"""Reconcilers: «does the world look as we say?» They take no input; a nudge only says "look now".

One file per kind of drift, `reconcilers/<what>.py`: a pure `plan(desired, actual)` and a thin half that
observes and applies.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

from ..log import get_logger

log = get_logger(__name__)

OVERLAP = timedelta(seconds=30)
"""Who looks only at rows that changed since the last look begins so much before it: clocks of several processes differ,
and transactions end late.
"""

Observe = Callable[[Any], Awaitable[tuple[Any, Any]]]
Plan = Callable[[Any, Any], Iterable[Any]]
Apply = Callable[[Any, Any], Awaitable[object]]
Run = Callable[[Any], Awaitable[object]]


class Unfinished(Exception):
    """Some actions of a reconciler failed; the others were applied, and it will come again soon."""


class Reconciler:
    """Makes the world equal to the rows, every `every` and at each nudge with its name; never two runs at
    once.

    Either `observe`, `plan` and `apply`: `desired, actual = await observe(house)`, then `await apply(house,
    action)` for each of `plan(desired, actual)`; or one `run(house)` that does it all.

    `forget`: for those that remember earlier rounds, to look at less. Called when a round broke off before it was
    planned: it may have noted as seen what nobody dealt with.
    """

    def __init__(
        self,
        name: str,
        *,
        every: timedelta | float,
        observe: Observe | None = None,
        plan: Plan | None = None,
        apply: Apply | None = None,
        run: Run | None = None,
        forget: Callable[[Any], None] | None = None,
    ) -> None:
        self.name = name
        self.every = every if isinstance(every, timedelta) else timedelta(seconds=every)
        if run is None:
            if observe is None or plan is None or apply is None:
                raise ValueError(f"reconciler {name} needs observe, plan and apply, or run")
            self._observe, self._plan, self._apply = observe, plan, apply
        elif observe or plan or apply:
            raise ValueError(f"reconciler {name} has a run of its own, so nothing else")
        self._run = run
        self._forget = forget

    async def run(self, house: Any) -> int:
        """One pass; answers how many actions were applied. Raises `Unfinished` when some failed."""
        if self._run is not None:
            done = await self._run(house)
            return done if isinstance(done, int) else 0
        actions = await self._plan_anew(house)
        applied, failed = 0, 0
        last: Exception | None = None
        for action in actions:
            try:
                await self._apply(house, action)
                applied += 1
            except Exception as error:
                failed, last = failed + 1, error
                log.warning(
                    "reconciler.action_failed", reconciler=self.name, action=repr(action), error=str(error)
                )
        if last is not None:
            raise Unfinished(f"{failed} of {failed + applied} actions of {self.name} failed") from last
        return applied

    async def _plan_anew(self, house: Any) -> list[Any]:
        try:
            desired, actual = await self._observe(house)
            return list(self._plan(desired, actual))
        except BaseException:
            if self._forget is not None:
                self._forget(house)
            raise
