"""State tables: which event moves a thing from which states to which, and the guarded update that does it.

A state column is written only by `Machine.move`: one `update … where id = ? and state in (…)`, so two who
move the same thing at once cannot both win, and nobody moves what he has not looked at.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Table

from ..db import RowNotFound, Transaction
from ..errors import InvalidState


class AnyState:
    """Every state of the machine; `ANY - {"deleted"}` leaves some out."""

    def __init__(self, without: Iterable[str] = ()) -> None:
        self.without = frozenset(without)

    def __sub__(self, states: Iterable[str]) -> "AnyState":
        return AnyState(self.without | frozenset(states))


ANY = AnyState()

From = str | Collection[str] | AnyState
Transition = tuple[str, From, str]


class Move(NamedTuple):
    """What `Machine.move` did: the state the thing is in now; false when it had been there already."""

    state: str
    moved: bool

    def __bool__(self) -> bool:
        return self.moved


class _Arc(NamedTuple):
    sources: tuple[str, ...]
    target: str


class Machine:
    """A table of transitions `(event, from, to)`, where `from` is a state, several, or `ANY`.

    `Machine(("stop", {"active"}, "stopping"), …, initial="building", column="state")`. An event may stand in
    several lines as long as no state appears twice for it.
    """

    def __init__(self, *transitions: Transition, initial: str | None = None, column: str = "state") -> None:
        self.initial = initial
        self.column = column
        named: dict[str, None] = {initial: None} if initial else {}
        for _, source, target in transitions:
            if not isinstance(source, AnyState):
                named.update(dict.fromkeys([source] if isinstance(source, str) else sorted(source)))
            named[target] = None
        self.states = tuple(named)
        self._arcs: dict[str, list[_Arc]] = {}
        for event, source, target in transitions:
            arcs = self._arcs.setdefault(event, [])
            sources = self._resolve(source, target)
            taken = {state for arc in arcs for state in arc.sources}
            if taken & set(sources):
                raise ValueError(f"event {event!r} leads two ways from {sorted(taken & set(sources))}")
            arcs.append(_Arc(sources, target))

    @property
    def events(self) -> tuple[str, ...]:
        return tuple(self._arcs)

    def allowed_from(self, event: str) -> frozenset[str]:
        """The states in which `event` may happen."""
        return frozenset(state for arc in self._arcs[event] for state in arc.sources)

    def target(self, state: str, event: str) -> str | None:
        """Where `event` leads from `state`; None when it is not allowed there."""
        for arc in self._arcs[event]:
            if state in arc.sources:
                return arc.target
        return None

    async def move(
        self,
        tx: Transaction,
        table: Table,
        id: str,
        event: str,
        error: Callable[..., Exception] = InvalidState,
        where: Mapping[str, Any] | None = None,
        **also: Any,
    ) -> Move:
        """Move the row `id` by `event` and set the columns `also` in the same statement.

        A thing that is at the event's target already is left as it is (`also` is not written) and the answer
        is false. Any other state raises `error(id=…, event=…, state=…)`; an absent row, or one that is not as
        `where` says, raises `RowNotFound`.
        """
        arcs = self._arcs[event]
        for arc in arcs:
            guard = {"id": id, self.column: arc.sources, **(where or {})}
            if await tx.update(table, guard, **{self.column: arc.target}, **also):
                return Move(arc.target, True)
        row = await tx.find(table, id=id, **(where or {}))
        if row is None:
            raise RowNotFound(table.name, {"id": id, **(where or {})})
        state = row[self.column]
        if any(state == arc.target for arc in arcs):
            return Move(state, False)
        raise error(id=id, event=event, state=state)

    def mermaid(self) -> str:
        """The machine as a mermaid state diagram, for the room's README."""
        lines = ["stateDiagram-v2"]
        if self.initial:
            lines.append(f"    [*] --> {self.initial}")
        for event, arcs in self._arcs.items():
            for arc in arcs:
                lines += [f"    {source} --> {arc.target}: {event}" for source in arc.sources]
        return "\n".join(lines)

    def _resolve(self, source: From, target: str) -> tuple[str, ...]:
        if isinstance(source, AnyState):
            return tuple(state for state in self.states if state not in source.without and state != target)
        return (source,) if isinstance(source, str) else tuple(sorted(source))
