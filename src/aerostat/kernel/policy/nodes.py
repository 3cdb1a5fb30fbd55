"""The tree of a rule. Each node compiles to a closure, and can be walked to say which clause failed."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .filling import MISSING, Filling, Lookup, view
from .trace import Clause

Test = Callable[[Lookup, Lookup], bool]
"""A compiled rule: credentials and target to yes or no."""


class Book(Protocol):
    """Where `rule:name` finds the other rules."""

    def find_node(self, name: str) -> "Node | None": ...

    def find_test(self, name: str) -> Test | None: ...


class Trail:
    """Collects the clauses that an explained evaluation looks at."""

    def __init__(self, book: Book, credentials: Lookup, target: Lookup) -> None:
        self.book = book
        self.credentials = credentials
        self.target = target
        self.clauses: list[Clause] = []
        self.via: tuple[str, ...] = ()

    def add(self, text: str, passed: bool, **facts: Any) -> bool:
        self.clauses.append(Clause(text=text, passed=passed, via=self.via, **facts))
        return passed


class Node(Protocol):
    """A piece of a rule. `compile` and `walk` give the same answer; `walk` also leaves its clauses."""

    def compile(self, book: Book) -> Test: ...

    def walk(self, trail: Trail) -> bool: ...

    def references(self) -> Iterator[str]: ...


class _Leaf:
    """What clauses have in common: they lead to no other rule."""

    def references(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Constant(_Leaf):
    text: str
    value: bool

    def compile(self, book: Book) -> Test:
        value = self.value
        return lambda credentials, target: value

    def walk(self, trail: Trail) -> bool:
        return trail.add(self.text, self.value)


@dataclass(frozen=True, slots=True)
class Malformed(_Leaf):
    text: str
    why: str

    def compile(self, book: Book) -> Test:
        return lambda credentials, target: False

    def walk(self, trail: Trail) -> bool:
        negated = self.text.startswith("not ")  # the whole of it is one clause, and no other one turned round
        return trail.add(f"({self.text})" if negated else self.text, False, why=self.why)


@dataclass(frozen=True, slots=True)
class Role(_Leaf):
    """`role:name`: the caller has the role, whatever the case of its letters."""

    text: str
    wanted: Filling

    def compile(self, book: Book) -> Test:
        fill = self.wanted.compile()

        def test(credentials: Lookup, target: Lookup) -> bool:
            wanted = fill(target)
            if wanted is None:
                return False
            roles: Any = credentials("roles", ())
            if wanted in roles:
                return True
            wanted = wanted.lower()
            return any(role.lower() == wanted for role in roles)

        return test

    def walk(self, trail: Trail) -> bool:
        roles: Any = trail.credentials("roles", ())
        had = ", ".join(roles)
        if self.wanted.is_fixed:
            return trail.add(self.text, self.compile(trail.book)(trail.credentials, trail.target), had=had)
        return _walk_filled(self, trail, had)


@dataclass(frozen=True, slots=True)
class Match(_Leaf):
    """`path.in.credentials:%(key)s` or `'literal':%(key)s`, compared as text."""

    text: str
    path: tuple[str, ...]
    literal: str | None
    wanted: Filling

    def compile(self, book: Book) -> Test:
        fill = self.wanted.compile()
        if self.literal is not None:
            literal = self.literal
            return lambda credentials, target: fill(target) == literal
        first, *rest = self.path
        is_fixed = self.wanted.is_fixed

        def test(credentials: Lookup, target: Lookup) -> bool:
            wanted = fill(target)
            if wanted is None:
                return False
            had = credentials(first, MISSING)
            # `domain_id:None` asks for no domain; but who has no project does not own what has none either.
            if had is MISSING or (had is None and not is_fixed):
                return False
            if rest or isinstance(had, (list, tuple, set, frozenset)):
                return any(str(value) == wanted for value in _values(had, rest))
            return str(had) == wanted

        return test

    def walk(self, trail: Trail) -> bool:
        if self.literal is not None:
            return _walk_filled(self, trail, self.literal)
        first, *rest = self.path
        had = trail.credentials(first, MISSING)
        found = [] if had is MISSING else [str(value) for value in _values(had, rest)]
        return _walk_filled(self, trail, ", ".join(found) if found else None)


@dataclass(frozen=True, slots=True)
class Field(_Leaf):
    """`field:networks:shared=True`: an attribute of the target has a value, or matches `~expression`."""

    text: str
    attribute: str
    value: str

    def compile(self, book: Book) -> Test:
        attribute, lowered = self.attribute, self.value.lower()
        if self.value.startswith("~"):
            expression = re.compile(self.value[1:])

            def matches(credentials: Lookup, target: Lookup) -> bool:
                found = target(attribute, None)
                return found is not None and expression.match(str(found)) is not None

            return matches

        def equals(credentials: Lookup, target: Lookup) -> bool:
            found = target(attribute, None)
            return found is not None and str(found).lower() == lowered

        return equals

    def walk(self, trail: Trail) -> bool:
        found = trail.target(self.attribute, None)
        passed = self.compile(trail.book)(trail.credentials, trail.target)
        return trail.add(self.text, passed, asked=None if found is None else str(found))


@dataclass(frozen=True, slots=True)
class Reference:
    """`rule:name`: whatever the other rule says; false when there is none."""

    text: str
    name: str

    def compile(self, book: Book) -> Test:
        return book.find_test(self.name) or (lambda credentials, target: False)

    def walk(self, trail: Trail) -> bool:
        node = trail.book.find_node(self.name)
        if node is None:
            return trail.add(self.text, False, why="no such rule")
        before, trail.via = trail.via, (*trail.via, self.name)
        passed = node.walk(trail)
        trail.via = before
        return passed

    def references(self) -> Iterator[str]:
        yield self.name


@dataclass(frozen=True, slots=True)
class Not:
    child: Node

    def compile(self, book: Book) -> Test:
        test = self.child.compile(book)
        return lambda credentials, target: not test(credentials, target)

    def walk(self, trail: Trail) -> bool:
        """The clauses below are turned round: `not role:guest` failed because `role:guest` held."""
        start = len(trail.clauses)
        passed = not self.child.walk(trail)
        trail.clauses[start:] = [
            Clause(
                text=clause.text[4:] if clause.text.startswith("not ") else f"not {clause.text}",
                passed=not clause.passed,
                had=clause.had,
                asked=clause.asked,
                why=clause.why,
                via=clause.via,
            )
            for clause in trail.clauses[start:]
        ]
        return passed

    def references(self) -> Iterator[str]:
        return self.child.references()


@dataclass(frozen=True, slots=True)
class All:
    children: tuple[Node, ...]

    def compile(self, book: Book) -> Test:
        tests = tuple(child.compile(book) for child in self.children)

        def test(credentials: Lookup, target: Lookup) -> bool:
            for one in tests:  # noqa: SIM110 - a generator inside all() costs twice the time
                if not one(credentials, target):
                    return False
            return True

        return test

    def walk(self, trail: Trail) -> bool:
        return all(child.walk(trail) for child in self.children)

    def references(self) -> Iterator[str]:
        for child in self.children:
            yield from child.references()


@dataclass(frozen=True, slots=True)
class Either:
    children: tuple[Node, ...]

    def compile(self, book: Book) -> Test:
        tests = tuple(child.compile(book) for child in self.children)

        def test(credentials: Lookup, target: Lookup) -> bool:
            for one in tests:  # noqa: SIM110
                if one(credentials, target):
                    return True
            return False

        return test

    def walk(self, trail: Trail) -> bool:
        return any(child.walk(trail) for child in self.children)

    def references(self) -> Iterator[str]:
        for child in self.children:
            yield from child.references()


def _walk_filled(node: Role | Match, trail: Trail, had: str | None) -> bool:
    """Leave the clause of a leaf whose right side comes from the target."""
    asked = node.wanted.compile()(trail.target)
    if asked is None:
        return trail.add(node.text, False, had=had, why="the target has no such attribute")
    return trail.add(
        node.text, node.compile(trail.book)(trail.credentials, trail.target), had=had, asked=asked
    )


def _values(value: object, path: Sequence[str]) -> Iterator[object]:
    """Every value at the end of `path`; a list on the way means each of its elements."""
    if isinstance(value, (list, tuple, set, frozenset)):
        for element in value:
            yield from _below(element, path)
    else:
        yield from _below(value, path)


def _below(value: object, path: Sequence[str]) -> Iterator[object]:
    if not path:
        yield value
        return
    found = view(value)(path[0], MISSING)
    if found is not MISSING:
        yield from _values(found, path[1:])
