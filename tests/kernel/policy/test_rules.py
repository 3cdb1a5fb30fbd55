"""Declaring, overriding, refusing with a reason, and what a check costs."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from aerostat.kernel.policy import PolicyFileError, Rule, Rules, Verdict, admin, owner

KEYPAIR = "os_compute_api:os-keypairs:show"


def book(text: str, name: str = KEYPAIR, **more: str) -> Rules:
    rules = Rules()
    rules.declare([Rule(name=name, text=text), *(Rule(name=key, text=value) for key, value in more.items())])
    return rules


def test_refusal_names_what_was_had_and_what_was_asked() -> None:
    rules = book((admin | owner("user_id")).text)
    verdict = rules.check(KEYPAIR, {"roles": ["member", "reader"], "user_id": "ann"}, {"user_id": "bob"})
    assert not verdict
    assert (
        verdict.reason() == "role:admin (has 'member, reader'); user_id:%(user_id)s (has 'ann', asked 'bob')"
    )


def test_credentials_and_target_may_be_objects() -> None:
    rules = book("role:member and project_id:%(target.project.id)s")
    asker = SimpleNamespace(roles=("Member",), project_id="p")
    assert rules.check(KEYPAIR, asker, SimpleNamespace(target={"project": SimpleNamespace(id="p")}))
    assert not rules.check(KEYPAIR, asker, SimpleNamespace(target={"project": SimpleNamespace(id="q")}))


def test_who_has_no_project_owns_nothing_that_has_none() -> None:
    rules = book("project_id:%(project_id)s")
    for asker in (
        SimpleNamespace(roles=(), project_id=None),
        {"roles": [], "project_id": None},
        {"roles": []},
    ):
        assert not rules.check(KEYPAIR, asker, {"project_id": None})
        assert not rules.check(KEYPAIR, asker, SimpleNamespace(project_id=None))


def test_a_rule_may_ask_for_no_domain() -> None:
    rules = book("not domain_id:None")
    assert not rules.check(KEYPAIR, SimpleNamespace(roles=(), domain_id=None), {})
    assert rules.check(KEYPAIR, SimpleNamespace(roles=(), domain_id="d"), {})


def test_clauses_name_the_rules_that_led_to_them() -> None:
    rules = book("rule:owner", owner="rule:same_user or role:x", same_user="user_id:%(user_id)s")
    verdict = rules.check(KEYPAIR, {"user_id": "a", "roles": []}, {"user_id": "b"})
    assert [(clause.text, clause.via) for clause in verdict.failed] == [
        ("user_id:%(user_id)s", ("owner", "same_user")),
        ("role:x", ("owner",)),
    ]


def test_negated_clause_failed_because_it_held() -> None:
    verdict = book("not role:guest").check(KEYPAIR, {"roles": ["guest"]}, {})
    assert verdict.reason() == "not role:guest (has 'guest')"


def test_yes_carries_clauses_only_when_asked() -> None:
    rules = book("role:admin")
    assert rules.check(KEYPAIR, {"roles": ["admin"]}, {}).clauses == ()
    explained = rules.check(KEYPAIR, {"roles": ["admin"]}, {}, explain=True)
    assert explained.reason() == "role:admin (has 'admin')"
    assert msgspec.json.decode(msgspec.json.encode(explained), type=Verdict) == explained


def test_unknown_rule_refuses_unless_the_operator_wrote_a_default() -> None:
    rules = book("@")
    assert rules.check("nowhere", {}, {}).reason() == "there is no rule nowhere"
    rules.override({"default": "role:admin"})
    assert rules.check("nowhere", {"roles": ["admin"]}, {})
    assert not rules.check("nowhere", {"roles": ["member"]}, {})


def test_rules_that_lead_to_themselves_refuse() -> None:
    rules = book("rule:a or @", a="rule:b", b="not rule:a")
    assert not rules.check("a", {}, {})
    assert not rules.check("b", {}, {})
    assert rules.check("b", {}, {}).failed[0].why == "refers to itself"
    assert rules.check(KEYPAIR, {}, {})


@pytest.mark.parametrize(
    ("text", "target", "allowed"),
    [
        ("field:networks:shared=True", {"shared": True}, True),
        ("field:networks:shared=True", {"shared": False}, False),
        ("field:networks:router:external=True", {"router:external": True}, True),
        ("field:port:device_owner=~^network:", {"device_owner": "network:dhcp"}, True),
        ("field:port:device_owner=~^network:", {"device_owner": "compute:nova"}, False),
        ("field:networks:shared=True", {}, False),
        ("user_id:%(network:user_id)s", {"network:user_id": "me"}, True),
        ("roles:member", {}, True),
        ("http://policy.example/check", {}, False),
    ],
)
def test_clauses_beyond_the_common_ones(text: str, target: dict[str, object], allowed: bool) -> None:
    rules = Rules()
    rules.override({"r": text})
    verdict = rules.check("r", {"user_id": "me", "roles": ["member"]}, target)
    assert verdict.allowed is allowed
    assert rules.check("r", {"user_id": "me", "roles": ["member"]}, target, explain=True).allowed is allowed


@pytest.mark.parametrize(
    "text", ["role:a and", "(role:a", "role:a role:b", "   ", "x", "a:%d", "a:%(b)d", "1x:y"]
)
def test_declaring_nonsense_raises_and_overriding_with_it_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="policy rule r"):
        book(text, name="r")
    rules = book("@", name="r")
    rules.override({"r": text})
    assert not rules.check("r", {"roles": ["a", "b"]}, {"b": "a"})


def test_declaring_twice() -> None:
    rules = book("role:a")
    rules.declare([Rule(name=KEYPAIR, text="role:a")])
    with pytest.raises(ValueError, match="declared twice"):
        rules.declare([Rule(name=KEYPAIR, text="role:b")])


def test_wrong_scope_is_named() -> None:
    rules = Rules()
    rules.declare([Rule(name="r", text="role:admin", scopes=("project",))])
    asker = {"roles": ["admin"], "system_scope": "all"}
    assert rules.check("r", asker, {}).reason() == "r is for tokens of scope project, this one's is system"
    lax = Rules(enforce_scope=False)
    lax.declare([Rule(name="r", text="role:admin", scopes=("project",))])
    assert lax.check("r", asker, {})


def test_file_overrides_and_is_read_again_when_it_changes(tmp_path: Path, standing_clock) -> None:
    path = tmp_path / "policy.yaml"
    rules = Rules(path)
    rules.declare([Rule(name="r", text="role:admin")])
    member = {"roles": ["member"]}
    assert not rules.check("r", member, {})

    path.write_text('"r": "role:member"\n')
    assert not rules.check("r", member, {}), "looked at the file again within the second"
    standing_clock.step(seconds=1)
    assert rules.check("r", member, {})

    path.write_text("r: [unclosed")
    standing_clock.step(seconds=1)
    assert rules.check("r", member, {}), "a broken file must not change the rules"

    path.write_text('{"r": [["role:member", "is_admin:True"], ["role:boss"]]}')
    standing_clock.step(seconds=1)
    assert not rules.check("r", member, {})
    assert rules.check("r", {"roles": ["Boss"]}, {})

    path.unlink()
    standing_clock.step(seconds=1)
    assert rules.check("r", {"roles": ["admin"]}, {})


@pytest.mark.parametrize("content", ["- a\n- b\n", "r: 5\n", "r: [unclosed", "r:\n"])
def test_broken_file_at_start_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(PolicyFileError, match="policy"):
        Rules(path)
