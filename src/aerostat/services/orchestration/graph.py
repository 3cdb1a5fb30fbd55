"""Which resource waits for which. Pure.

Names stand for resources. A resource requires others: they are made before it and deleted after it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from .template.errors import CircularDependencyException


class Graph:
    """The dependencies of a stack's resources.

    Made from `{name: names it requires}`; required names that are no keys are resources too. Raises
    CircularDependencyException, whose message goes once around the circle.
    """

    def __init__(self, requires: Mapping[str, Iterable[str]]) -> None:
        self._requires: dict[str, frozenset[str]] = {
            name: frozenset(others) for name, others in requires.items()
        }
        for others in list(self._requires.values()):
            for name in others:
                self._requires.setdefault(name, frozenset())
        required_by: dict[str, set[str]] = {name: set() for name in self._requires}
        for name, others in self._requires.items():
            for other in others:
                required_by[other].add(name)
        self._required_by = {name: frozenset(others) for name, others in required_by.items()}
        try:
            sorter = TopologicalSorter(
                {name: sorted(others) for name, others in sorted(self._requires.items())}
            )
            self._order = tuple(sorter.static_order())
        except CycleError as error:
            # graphlib goes around from what is required to what requires it
            raise CircularDependencyException(reversed(error.args[1])) from None

    def __contains__(self, name: object) -> bool:
        return name in self._requires

    def __iter__(self) -> Iterator[str]:
        """In an order in which they can be made."""
        return iter(self._order)

    def __reversed__(self) -> Iterator[str]:
        """In an order in which they can be deleted."""
        return reversed(self._order)

    def __len__(self) -> int:
        return len(self._requires)

    def requires(self, name: str) -> frozenset[str]:
        """What must be there before it. KeyError when there is no such resource."""
        return self._requires[name]

    def required_by(self, name: str) -> frozenset[str]:
        """What waits for it, directly. KeyError when there is no such resource."""
        return self._required_by[name]

    def ready_to_create(self, done: Collection[str], started: Collection[str] = ()) -> list[str]:
        """Those not started that can be made now: all they require is in `done`."""
        return [
            name
            for name in self._order
            if name not in done and name not in started and self._requires[name] <= set(done)
        ]

    def ready_to_delete(self, gone: Collection[str], started: Collection[str] = ()) -> list[str]:
        """Those not started that can be deleted now: all that require them are in `gone`."""
        return [
            name
            for name in reversed(self._order)
            if name not in gone and name not in started and self._required_by[name] <= set(gone)
        ]
