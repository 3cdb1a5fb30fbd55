"""Rules as operators meet them: our defaults against oslo.policy, a policy file that changes while the cloud runs."""

import logging
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg
from oslo_policy import policy as upstream

from aerostat.kernel.clock import clock
from aerostat.kernel.policy import Rule, Rules
from aerostat.services.identity import SERVICE as IDENTITY
from aerostat.services.image import SERVICE as IMAGE

from .conftest import Client

CONTEXTS = 1_500
ROLES = ("admin", "manager", "member", "reader", "service")
WHO = ("user_id", "project_id", "domain_id", "project_domain_id", "user_domain_id")
VALUES = ("a", "b", *ROLES)


@pytest.mark.parametrize("rules", [IDENTITY.rules, IMAGE.rules], ids=["identity", "image"])
def test_our_defaults_mean_what_oslo_policy_takes_them_for(rules: Sequence[Rule]) -> None:
    logging.getLogger("oslo_policy").setLevel(logging.CRITICAL)
    conf = cfg.ConfigOpts()
    conf([])
    theirs = upstream.Enforcer(conf, use_conf=False)
    for rule in dict.fromkeys(rules):
        theirs.register_default(
            upstream.RuleDefault(rule.name, rule.text, scope_types=list(rule.scopes) or None)
        )
    theirs.set_rules(upstream.Rules.from_dict({rule.name: rule.text for rule in rules}), use_conf=False)
    ours = Rules()
    ours.declare(rules)
    chance = random.Random(5)
    said = {True: 0, False: 0}
    for _ in range(CONTEXTS):
        who = context(chance)
        for rule in chance.sample(list(rules), 4):
            # What the rule looks at is often the caller's own: else nearly all would be refused.
            target = {
                key: chance.choice((*VALUES, None, *who.values()))
                for key in re.findall(r"%\(([^)]*)\)s", whole_text(rules, rule))
                if chance.random() < 0.8
            }
            target = {key: value for key, value in target.items() if not isinstance(value, list | bool)}
            answer = ours.check(rule.name, who, target).allowed
            assert answer == bool(theirs.enforce(rule.name, dict(target), dict(who))), (rule, who, target)
            said[answer] += 1
    assert min(said.values()) > 200, said


def context(chance: random.Random) -> dict[str, Any]:
    """A caller who either has an attribute or lacks it; what both lack is no match here, on purpose."""
    who: dict[str, Any] = {name: chance.choice("ab") for name in WHO if chance.random() < 0.5}
    who["roles"] = chance.sample(ROLES, chance.randint(0, 2))
    if chance.random() < 0.2:
        who["system_scope"] = "all"
    return who


def whole_text(rules: Sequence[Rule], rule: Rule) -> str:
    """The rule's text with those it refers to."""
    by_name = {one.name: one for one in rules}
    referred = re.findall(r"rule:(\S+?)(?=[\s)]|$)", rule.text)
    return " ".join([rule.text, *(whole_text(rules, by_name[name]) for name in referred if name in by_name)])


@pytest.fixture
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()


@pytest.mark.usefixtures("standing_clock")
async def test_a_policy_file_changes_what_is_allowed_while_the_cloud_runs(
    admin: Client, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    rules = Rules(file)
    rules.declare(IDENTITY.rules)
    admin.house.rules = rules

    def write(text: str) -> None:
        file.write_text(text)
        clock.step(seconds=2)

    project = (await admin.make("projects", name="p"))["id"]
    reader = await admin.persona("reader", f"projects/{project}")
    assert await reader.status("GET", "services") == 403
    write('"identity:list_services": "role:reader"\n')
    assert await reader.status("GET", "services") == 200
    write(
        '{"identity:list_services": "role:nobody", "identity:list_users": [["role:reader"], ["role:admin"]]}'
    )
    assert await reader.status("GET", "services") == 403
    assert await reader.status("GET", "users") == 200  # as JSON, and in the older form
    write('"identity:list_services": [not closed')
    assert await reader.status("GET", "users") == 200  # a broken file changes nothing
    write("")
    assert await reader.status("GET", "users") == 403
