"""Terms reduce to upstream's text, and a Policy names its rules as upstream does."""

import pytest
import yaml

from aerostat.kernel.policy import (
    Policy,
    Rule,
    Rules,
    Term,
    admin,
    anyone,
    field,
    literal,
    member,
    nobody,
    owner,
    project_member,
    reader,
    rule,
    system_reader,
)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (admin | owner("user_id"), "role:admin or user_id:%(user_id)s"),
        (admin | member & owner("project_id"), "role:admin or role:member and project_id:%(project_id)s"),
        ((admin | member) & reader, "(role:admin or role:member) and role:reader"),
        (~(admin | member), "not (role:admin or role:member)"),
        (~(admin & member) | ~admin, "not (role:admin and role:member) or not role:admin"),
        (~admin & ~~member, "not role:admin and not not role:member"),
        (admin & (member & reader), "role:admin and role:member and role:reader"),
        (system_reader, "role:reader and system_scope:all"),
        (owner("user_id", "target.user.id"), "user_id:%(target.user.id)s"),
        (literal("public", "visibility"), "'public':%(visibility)s"),
        (literal(None, "owner"), "None:%(owner)s"),
        (field("networks", "shared", True) | rule("owner"), "field:networks:shared=True or rule:owner"),
        (anyone | nobody, "@ or !"),
    ],
)
def test_text_of_terms(term: Term, text: str) -> None:
    assert term.text == text


def test_term_that_makes_no_sense_raises() -> None:
    with pytest.raises(ValueError, match="policy term"):
        Term("role:a and")


def test_policy_names_follow_upstream() -> None:
    policy = Policy(
        "os_compute_api:os-keypairs:{verb}", default=admin | owner("user_id"), create=project_member
    )
    assert policy.name("list") == "os_compute_api:os-keypairs:index"
    assert policy.name("show") == "os_compute_api:os-keypairs:show"
    assert [
        (each.name.rpartition(":")[2], each.text) for each in policy.rules(["list", "show", "create"])
    ] == [
        ("index", "role:admin or user_id:%(user_id)s"),
        ("show", "role:admin or user_id:%(user_id)s"),
        ("create", "role:member and project_id:%(project_id)s"),
    ]


def test_policy_verbs_by_a_map() -> None:
    words = {"list": "get_images", "show": "get_image", "create": "add_image"}
    policy = Policy("{verb}", default=reader, verbs=words, scopes=["project"])
    assert list(policy.rules(["list"])) == [Rule(name="get_images", text="role:reader", scopes=("project",))]


def test_policy_of_one_name() -> None:
    policy = Policy("os_compute_api:os-extended-server-attributes", default=admin)
    assert len(list(policy.rules(["list", "show"]))) == 1
    assert policy.name("show") == "os_compute_api:os-extended-server-attributes"


def test_sample_file_is_the_defaults_when_uncommented() -> None:
    rules = Rules()
    policy = Policy("volume:{verb}", default=admin | owner("project_id"), scopes=["project"])
    rules.declare(policy.rules(["show", "create"]))
    lines = [line.removeprefix("#") for line in rules.sample().splitlines() if line.startswith('#"')]
    assert yaml.safe_load("\n".join(lines)) == {
        "volume:create": "role:admin or project_id:%(project_id)s",
        "volume:show": "role:admin or project_id:%(project_id)s",
    }
