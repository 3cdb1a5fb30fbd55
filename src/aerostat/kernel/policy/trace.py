"""What a verdict stands on: one `Clause` for each leaf of a rule that was looked at.

Kept as data (msgspec), so that it can be stored beside the request and read again by `explain`. Clauses show
attributes of the target: they are for operators and records, not for the body of a 403.
"""

import msgspec


class Clause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One leaf of a rule: its text, whether it held, what the caller had and what was asked for."""

    text: str
    passed: bool
    had: str | None = None
    asked: str | None = None
    why: str | None = None
    """Why it can never hold: a mistake in the rule, a rule that does not exist, a key the target lacks."""
    via: tuple[str, ...] = ()
    """The rules that led here, outermost first."""

    def sentence(self) -> str:
        """The clause for people: `role:admin (has 'member, reader')`."""
        facts = []
        if self.had is not None:
            facts.append(f"has {self.had!r}")
        if self.asked is not None:
            facts.append(f"asked {self.asked!r}")
        if self.why is not None:
            facts.append(self.why)
        return f"{self.text} ({', '.join(facts)})" if facts else self.text
