"""Terms from which resources write their default rules, and `Policy`, which names the rules of a resource.

    policy = Policy("os_compute_api:os-keypairs:{verb}", default=admin | owner("user_id"))

A term is nothing but a text in upstream's language, joined with `|`, `&` and `~`, so that a sample file for
operators can be written from the same defaults.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .language import mistakes, parse
from .rules import Rule

_OR, _AND, _NOT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Term:
    """A rule text that knows how tightly it binds. `Term("role:x")` is one clause."""

    text: str
    binds: int = _NOT

    def __post_init__(self) -> None:
        for mistake in mistakes(parse(self.text)):
            raise ValueError(f"policy term {mistake}")

    def __or__(self, other: "Term") -> "Term":
        return Term(f"{self.text} or {other.text}", _OR)

    def __and__(self, other: "Term") -> "Term":
        return Term(f"{self._within(_AND)} and {other._within(_AND)}", _AND)

    def __invert__(self) -> "Term":
        return Term(f"not {self._within(_NOT)}", _NOT)

    def _within(self, binds: int) -> str:
        return self.text if self.binds >= binds else f"({self.text})"


def role(name: str) -> Term:
    return Term(f"role:{name}")


def rule(name: str) -> Term:
    """Whatever another rule says: `rule("context_is_admin")`."""
    return Term(f"rule:{name}")


def owner(attribute: str, target: str | None = None) -> Term:
    """The caller's attribute is the target's: `owner("user_id")`, `owner("user_id", "target.user.id")`."""
    return Term(f"{attribute}:%({target or attribute})s")


def literal(value: object, target: str) -> Term:
    """The target's attribute is this value: `literal("public", "visibility")`, `literal(None, "owner")`."""
    return Term(f"{value!r}:%({target})s")


def field(resource: str, attribute: str, value: object) -> Term:
    """The network room's way to say it: `field("networks", "shared", True)`."""
    return Term(f"field:{resource}:{attribute}={value}")


anyone = Term("@")
nobody = Term("!")
admin = role("admin")
manager = role("manager")
member = role("member")
reader = role("reader")
service = role("service")
service_token = Term("service_roles:service")
project_manager = manager & owner("project_id")
project_member = member & owner("project_id")
project_reader = reader & owner("project_id")
system_admin = admin & Term("system_scope:all")
system_reader = reader & Term("system_scope:all")


class Policy:
    """The rules of one resource: a name for each verb, and who may by default.

    `{verb}` in the name is filled with upstream's word for the verb: `index` for `list`, otherwise the verb
    itself; `verbs` says where it differs (`{"list": "get_all"}`; a word with a colon is the whole name). `per_verb`
    gives a verb its own default. `scopes` are the token scopes for which the rules are meant ("project", "domain",
    "system"; none: any), `verb_scopes` those of single verbs.
    """

    def __init__(
        self,
        name: str,
        *,
        default: Term,
        verbs: Mapping[str, str] | None = None,
        scopes: Iterable[str] = (),
        verb_scopes: Mapping[str, Iterable[str]] | None = None,
        **per_verb: Term,
    ) -> None:
        self.template = name
        self.default = default
        self.per_verb = per_verb
        self.scopes = tuple(scopes)
        self.verb_scopes = {verb: tuple(some) for verb, some in (verb_scopes or {}).items()}
        self._words = {"list": "index", **(verbs or {})}
        self._names: dict[str, str] = {}

    def name(self, verb: str) -> str:
        """The rule that guards `verb`, as upstream names it."""
        name = self._names.get(verb)
        if name is None:
            word = self._words.get(verb, verb)
            name = self._names[verb] = word if ":" in word else self.template.replace("{verb}", word)
        return name

    def rules(self, verbs: Iterable[str]) -> Iterator[Rule]:
        """The rules to declare for a resource that has these verbs; verbs that share a name share a rule."""
        seen: set[str] = set()
        for verb in (*verbs, *self.per_verb):
            name = self.name(verb)
            if name not in seen:
                seen.add(name)
                text = self.per_verb.get(verb, self.default).text
                yield Rule(name=name, text=text, scopes=self.verb_scopes.get(verb, self.scopes))
