"""What happened in one simulated life of a cloud: short lines for people, and a digest that two replays share."""

import hashlib
from collections import Counter
from typing import Protocol

import msgspec


class Clock(Protocol):
    """Tells seconds: a simulated loop, or a real one."""

    def time(self) -> float: ...


class Outcome(msgspec.Struct, kw_only=True):
    """One history, as the runner is told of it."""

    seed: int
    digest: str
    steps: int
    virtual_s: float
    cpu_s: float = 0.0
    requests: int
    faults: dict[str, int]
    violations: list[str]
    lines: list[str]


class History:
    """The lines of one history. Who · what, with the virtual time in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lines: list[str] = []
        self.violations: list[str] = []
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._digest = hashlib.sha256()

    def note(self, who: str, what: str) -> None:
        line = f"{self._clock.time():9.3f}  {who:<12} {what}"
        self._digest.update(line.encode())
        self.lines.append(line)

    def fault(self, kind: str, who: str, what: str, *, quiet: bool = False) -> None:
        """Count a misfortune; the many small ones leave no line."""
        self.faults[kind] += 1
        if not quiet:
            self.note("** " + who, what)

    def violated(self, what: str) -> None:
        if what not in self.violations:
            self.violations.append(what)
            self.note("!! violated", what)

    def add_to_digest(self, data: bytes) -> None:
        self._digest.update(data)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:16]
