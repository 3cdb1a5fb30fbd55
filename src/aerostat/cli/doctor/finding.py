"""What a check answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["good", "note", "bad"]


@dataclass
class Finding:
    """`note`: works, but not as well as it could. `next_step`: what the user can do, empty if nothing."""

    verdict: Verdict
    words: str
    next_step: str = ""
    name: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "verdict": self.verdict, "words": self.words, "next_step": self.next_step}


Check = Callable[[Any], Finding]
"""A check takes the state folder and looks; it changes nothing."""


def good(words: str) -> Finding:
    return Finding("good", words)


def note(words: str, next_step: str = "") -> Finding:
    return Finding("note", words, next_step)


def bad(words: str, next_step: str) -> Finding:
    return Finding("bad", words, next_step)
