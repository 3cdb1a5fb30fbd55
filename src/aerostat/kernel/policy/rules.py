"""The rules in force: defaults that rooms declare, and an operator's policy.yaml on top, read as it changes.

Upstream: https://docs.openstack.org/oslo.policy/latest/admin/policy-yaml-file.html
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from aerostat.kernel.clock import clock
from aerostat.kernel.log import get_logger

from .filling import Lookup, view
from .language import RuleText, mistakes, parse
from .nodes import Malformed, Node, Test, Trail
from .trace import Clause

log = get_logger(__name__)

LOOK_EVERY_S = 1.0
FALLBACK = "default"
"""The rule that answers for rules that do not exist, when an operator wrote one."""


class PolicyFileError(Exception):
    """The operator's file cannot be read as rules."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A default: its name and text, and the token scopes for which it is meant (none: any)."""

    name: str
    text: str
    scopes: tuple[str, ...] = ()
    description: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Yes or no. A refusal carries the clauses that were looked at; a yes only when they were asked for."""

    allowed: bool
    rule: str
    clauses: tuple[Clause, ...] = ()
    why: str | None = None
    """A reason outside the clauses: no such rule, a wrong token scope."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def failed(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if not clause.passed)

    def reason(self) -> str:
        """One line for operators: `role:admin (has 'reader'); user_id:%(user_id)s (has 'a', asked 'b')`."""
        if self.why is not None:
            return self.why
        shown = self.clauses if self.allowed else self.failed
        return "; ".join(clause.sentence() for clause in shown)


class Rules:
    """All rules of this process. Also the book in which `rule:name` looks up the others.

    `path` names the operator's file: a mapping from rule names to texts (or the old lists). It may be absent.
    `enforce_scope` refuses tokens of a scope for which a rule is not meant, as today's upstream does.
    """

    def __init__(self, path: Path | None = None, *, enforce_scope: bool = True) -> None:
        self.path = path
        self.enforce_scope = enforce_scope
        self._defaults: dict[str, Rule] = {}
        self._overrides: dict[str, RuleText] = {}
        self._stamp: tuple[int, ...] | None = None
        self._look_at_s = 0.0
        self._nodes: dict[str, Node] = {}
        self._tests: dict[str, Test] = {}
        self._yes: dict[str, Verdict] = {}
        if path is not None:
            self._stamp = _stamp(path)
            self._look_at_s = clock.timestamp() + LOOK_EVERY_S
            self.override(read_policy_file(path) if self._stamp else {})

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rules that were declared."""
        return tuple(self._defaults)

    def declare(self, rules: Iterable[Rule]) -> None:
        """Add defaults. Declaring the same rule again is nothing; declaring it differently is a mistake."""
        for rule in rules:
            known = self._defaults.get(rule.name)
            if known is not None and known != rule:
                raise ValueError(f"policy rule {rule.name} is declared twice: {known.text!r}, {rule.text!r}")
            for mistake in mistakes(parse(rule.text)):
                raise ValueError(f"policy rule {rule.name}: {mistake}")
            self._defaults[rule.name] = rule
        self._relink()

    def override(self, texts: Mapping[str, RuleText]) -> None:
        """Put these texts in place of all earlier overrides, as a changed policy.yaml does."""
        self._overrides = dict(texts)
        self._relink()

    def check(self, name: str, credentials: object, target: object, *, explain: bool = False) -> Verdict:
        """May the caller do `name` to the target?

        Both may be mappings or objects: credentials with `roles`, `user_id`, `project_id`, `domain_id`,
        `system_scope` and whatever else rules name; the target with the attributes of the thing in question.
        Never raises for what it finds in them. Rules that do not exist refuse.
        """
        if self.path is not None and clock.timestamp() >= self._look_at_s:
            self._reread()
        has, wants = view(credentials), view(target)
        default = self._defaults.get(name)
        if default is not None and default.scopes and self.enforce_scope:
            scope = token_scope(has)
            if scope not in default.scopes:
                why = f"{name} is for tokens of scope {' or '.join(default.scopes)}, this one's is {scope}"
                return Verdict(allowed=False, rule=name, why=why)
        test = self.find_test(name)
        if test is None:
            return Verdict(allowed=False, rule=name, why=f"there is no rule {name}")
        allowed = test(has, wants)
        if allowed and not explain:
            return self._yes.get(name) or self._yes.setdefault(name, Verdict(allowed=True, rule=name))
        return Verdict(allowed=allowed, rule=name, clauses=self._explain(name, has, wants))

    def find_node(self, name: str) -> Node | None:
        return self._nodes.get(name) or self._nodes.get(FALLBACK)

    def find_test(self, name: str) -> Test | None:
        test = self._tests.get(name)
        if test is None and (node := self._nodes.get(name)) is not None:
            test = self._tests[name] = node.compile(self)
        if test is None and name != FALLBACK:
            return self.find_test(FALLBACK)
        return test

    def sample(self) -> str:
        """A policy.yaml with every default in it, commented out, for operators to begin with."""
        lines: list[str] = []
        for rule in sorted(self._defaults.values(), key=lambda rule: rule.name):
            lines += [f"# {line}" for line in rule.description.splitlines()]
            if rule.scopes:
                lines.append(f"# Intended scope(s): {', '.join(rule.scopes)}")
            lines += [f'#"{rule.name}": "{rule.text}"', ""]
        return "\n".join(lines)

    def _explain(self, name: str, has: Lookup, wants: Lookup) -> tuple[Clause, ...]:
        node = self.find_node(name)
        assert node is not None
        trail = Trail(self, has, wants)
        node.walk(trail)
        return tuple(trail.clauses)

    def _reread(self) -> None:
        """Take over the operator's file if it changed. If it is broken, the last rules stand."""
        assert self.path is not None
        self._look_at_s = clock.timestamp() + LOOK_EVERY_S
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._overrides = read_policy_file(self.path) if stamp else {}
        except PolicyFileError as error:
            log.error(
                "policy file not taken over, the last rules stand", path=str(self.path), error=str(error)
            )
            return
        log.info("policy file taken over", path=str(self.path), overrides=len(self._overrides))
        self._relink()

    def _relink(self) -> None:
        texts: dict[str, RuleText] = {name: rule.text for name, rule in self._defaults.items()}
        self._nodes = {name: parse(text) for name, text in (texts | self._overrides).items()}
        for name in list(_circular(self._nodes)):
            self._nodes[name] = Malformed(f"rule:{name}", "refers to itself")
        self._tests = {}


def token_scope(credentials: Lookup) -> str:
    """`system`, `domain` or `project`; a token without a scope counts as a project's, as upstream has it."""
    if credentials("system_scope", None):
        return "system"
    return "domain" if credentials("domain_id", None) else "project"


def read_policy_file(path: Path) -> dict[str, RuleText]:
    """The overrides in a policy.yaml (JSON is YAML too).

    Raises PolicyFileError; of rules that can never hold it only warns.
    """
    try:
        found = yaml.safe_load(path.read_text())
        texts = msgspec.convert(found or {}, dict[str, str | list[str | list[str]]])
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise PolicyFileError(f"{path}: {error}") from error
    for name, text in texts.items():
        for mistake in mistakes(parse(text)):
            log.warning("policy rule cannot hold", rule=name, mistake=mistake)
    return {**texts}


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _circular(nodes: dict[str, Node]) -> Iterator[str]:
    """Names of the rules that lead back to themselves."""
    leads = {name: set(node.references()) & nodes.keys() for name, node in nodes.items()}
    for name in nodes:
        seen: set[str] = set()
        ahead = list(leads[name])
        while ahead:
            here = ahead.pop()
            if here == name:
                yield name
                break
            if here not in seen:
                seen.add(here)
                ahead += leads[here]
