"""The mapping engine: which rules fit, what they match, and who the user is then."""

from typing import Any

import pytest

from aerostat.services.identity.mapping import MappedGroup, MappedProject, MappingError, apply, find_mistake

from .conftest import Client

ANN = {"name": "ann", "mail": "ann@x", "groups": "dev;ops;guests", "kind": "staff"}
NAMED = {"user": {"name": "{0}"}}
DOMAIN = {"id": "default"}


def rule(local: object, *remote: dict[str, Any]) -> dict[str, Any]:
    return {"local": local if isinstance(local, list) else [local], "remote": [{"type": "name"}, *remote]}


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"any_one_of": ["staff", "x"]}, True),
        ({"any_one_of": ["sta"]}, False),
        ({"any_one_of": ["^sta"], "regex": True}, True),
        ({"not_any_of": ["guest"]}, True),
        ({"not_any_of": ["staff"]}, False),
        ({"not_any_of": ["aff$"], "regex": True}, False),
        ({"any_one_of": []}, False),
        ({"not_any_of": []}, True),
    ],
)
def test_conditions_decide_and_match_nothing(condition: dict[str, Any], fits: bool) -> None:
    rules = [rule(NAMED, {"type": "kind", **condition})]
    if fits:
        assert apply(rules, ANN).user.name == "ann"
    else:
        with pytest.raises(MappingError):
            apply(rules, ANN)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, ["dev", "ops", "guests"]),
        ({"whitelist": ["ops", "dev"]}, ["dev", "ops"]),
        ({"whitelist": ["^d"], "regex": True}, ["dev"]),
        ({"blacklist": ["guests"]}, ["dev", "ops"]),
        ({"blacklist": ["s$"], "regex": True}, ["dev"]),
        ({"whitelist": ["absent"]}, []),
    ],
)
def test_lists_let_some_values_through(filters: dict[str, Any], left: list[str]) -> None:
    rules = [rule([NAMED, {"groups": "{1}", "domain": DOMAIN}], {"type": "groups", **filters})]
    assert apply(rules, ANN).group_names == tuple(MappedGroup(name, DOMAIN) for name in left)
    rules = [rule([NAMED, {"group_ids": "{1}"}], {"type": "groups", **filters})]
    assert apply(rules, ANN).group_ids == tuple(left)


def test_an_attribute_that_is_not_there_keeps_a_rule_from_fitting() -> None:
    rules = [rule({"user": {"name": "first"}}, {"type": "absent"}), rule({"user": {"name": "second {0}"}})]
    assert apply(rules, ANN).user.name == "second ann"


def test_the_first_user_counts_and_groups_add_up_once() -> None:
    rules = [
        rule(
            [{"user": {"name": "{0}", "email": "{1}", "type": "local"}, "group": {"id": "g1"}}],
            {"type": "mail"},
        ),
        rule(
            [{"user": {"name": "other"}}, {"group": {"id": "g1"}}, {"group": {"name": "n", "domain": DOMAIN}}]
        ),
        rule([{"group": {"name": "n", "domain": DOMAIN}}, {"group": {"name": "n", "domain": {"name": "d"}}}]),
    ]
    mapped = apply(rules, ANN)
    assert (mapped.user.name, mapped.user.email, mapped.user.type) == ("ann", "ann@x", "local")
    assert mapped.group_ids == ("g1",)
    assert mapped.group_names == (MappedGroup("n", DOMAIN), MappedGroup("n", {"name": "d"}))


def test_groups_with_domains_of_their_own() -> None:
    said = {"name": "ann", "groups": 'JSON:{"name": "a", "domain": {"name": "x"}};b'}
    rules = [rule([NAMED, {"groups": "{1}", "domain": DOMAIN}], {"type": "groups"})]
    assert apply(rules, said).group_names == (MappedGroup("a", {"name": "x"}), MappedGroup("b", DOMAIN))
    with pytest.raises(MappingError, match="domain"):
        apply([rule([NAMED, {"groups": "{1}"}], {"type": "groups"})], said)


PROJECTS = [{"name": "of {0}", "roles": [{"name": "member"}, {"name": "reader"}]}]


def test_projects_and_in_which_domain_they_are() -> None:
    rules = [rule([{**NAMED, "projects": PROJECTS, "domain": DOMAIN}])]
    project = MappedProject("of ann", ("member", "reader"))
    assert apply(rules, ANN).projects == (project,)
    mapped = apply(rules, ANN, "2.0")
    assert mapped.projects == (MappedProject("of ann", ("member", "reader"), DOMAIN),)
    assert mapped.user.domain == DOMAIN
    assert apply(rules, ANN).user.domain is None
    own = [rule([{"user": {"name": "{0}", "domain": {"id": "d"}}, "domain": DOMAIN}])]
    assert apply(own, ANN, "2.0").user.domain == {"id": "d"}


def test_projects_may_come_as_json() -> None:
    rules = [rule([{**NAMED, "projects_json": "{1}", "domain": DOMAIN}], {"type": "projects"})]
    said = {"name": "ann", "projects": '[{"name": "a;b", "roles": [{"name": "member"}]}]'}
    assert apply(rules, said, "3.0").projects == (MappedProject("a;b", ("member",), DOMAIN),)
    for wrong in ("no", "[1]", '[{"name": "p"}]', "[" * 100_000):
        with pytest.raises(MappingError):
            apply(rules, {"name": "ann", "projects": wrong}, "3.0")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([rule({"user": {"name": "{1}"}})], "{1} has nothing"),
        ([rule(NAMED, {"type": "x", "any_one_of": ["("], "regex": True})], "regular expression"),
        ([rule(NAMED, {"type": "x", "any_one_of": ["("]})], None),
        ([rule([{"projects": [{"name": "{2}", "roles": []}]}], {"type": "x"})], "{2} has nothing"),
    ],
)
def test_what_could_never_be_applied_is_seen_at_once(rules: list[Any], said: str | None) -> None:
    found = find_mistake(rules)
    assert found is None if said is None else found is not None and said in found


def test_a_user_with_two_names_is_nobody() -> None:
    with pytest.raises(MappingError, match="one name"):
        apply([rule({"user": {"name": "{1}"}}, {"type": "groups"})], ANN)


BASE = "/v3/OS-FEDERATION"


async def test_mappings_are_stored_when_they_can_be_applied(admin: Client) -> None:
    path = f"{BASE}/mappings/m"
    made = await admin.put(path, json={"mapping": {"rules": [rule(NAMED)]}})
    assert (made.status_code, made.json()["mapping"]["schema_version"]) == (201, "1.0")
    assert (await admin.put(path, json={"mapping": {"rules": [rule(NAMED)]}})).status_code == 409
    assert (await admin.get(path)).json() == made.json()
    in_domain = [{**PROJECTS[0], "domain": DOMAIN}]
    for body, status in (
        ({"rules": [rule({"projects": in_domain})]}, 400),
        ({"rules": [rule({"projects": in_domain})], "schema_version": "2.0"}, 200),
        ({"rules": [rule({"user": {"name": "{9}"}})]}, 400),
        ({"rules": []}, 400),
        ({"rules": [{"local": [], "remote": []}]}, 400),
        ({"rules": [rule(NAMED, {"type": "x", "any_one_of": [], "whitelist": []})]}, 400),
        ({"rules": [rule(NAMED)], "schema_version": "9"}, 400),
        ({"rules": [rule(NAMED)], "schema_version": None}, 200),
        ({}, 400),
    ):
        assert (await admin.patch(path, json={"mapping": body})).status_code == status, body
    assert (await admin.delete(path)).status_code == 204


async def test_providers_and_their_protocols(admin: Client) -> None:
    provider = f"{BASE}/identity_providers/acme"
    made = await admin.put(
        provider, json={"identity_provider": {"remote_ids": ["urn:acme"], "enabled": True}}
    )
    assert made.status_code == 201, made.text
    shown = made.json()["identity_provider"]
    assert (await admin.get(f"/v3/domains/{shown['domain_id']}")).status_code == 200  # made for its users
    taken = {"identity_provider": {"remote_ids": ["urn:acme"]}}
    assert (await admin.put(f"{BASE}/identity_providers/other", json=taken)).status_code == 409
    for changes, status in (
        ({"domain_id": "default"}, 400),
        ({"enabled": False}, 200),
        ({"remote_ids": None}, 200),
    ):
        assert (await admin.patch(provider, json={"identity_provider": changes})).status_code == status
    listed = (await admin.get(f"{BASE}/identity_providers?enabled=false")).json()["identity_providers"]
    assert [one["id"] for one in listed] == ["acme"]
    protocol = f"{provider}/protocols/openid"
    body = {"protocol": {"mapping_id": "m"}}
    assert (await admin.put(protocol, json=body)).status_code == 400  # no such mapping
    await admin.put(f"{BASE}/mappings/m", json={"mapping": {"rules": [rule(NAMED)]}})
    assert (await admin.put(protocol, json=body)).status_code == 201
    assert (await admin.put(protocol, json=body)).status_code == 409
    changed = await admin.patch(
        protocol, json={"protocol": {"mapping_id": "m", "remote_id_attribute": "iss"}}
    )
    assert changed.json()["protocol"]["remote_id_attribute"] == "iss"
    assert [one["id"] for one in (await admin.get(f"{provider}/protocols")).json()["protocols"]] == ["openid"]
    assert (await admin.delete(provider)).status_code == 204
    assert (await admin.get(protocol)).status_code == 404


async def test_service_providers(admin: Client) -> None:
    path = f"{BASE}/service_providers/far"
    urls = {"auth_url": "https://far/auth", "sp_url": "https://far/sp"}
    made = (await admin.put(path, json={"service_provider": urls})).json()["service_provider"]
    assert (made["enabled"], made["relay_state_prefix"]) == (False, "ss:mem:")
    assert (await admin.put(path, json={"service_provider": {"auth_url": "https://x"}})).status_code == 400
    assert (await admin.put(path, json={"service_provider": {**urls, "sp_url": "no url"}})).status_code == 400
    on = await admin.patch(path, json={"service_provider": {"enabled": True}})
    assert on.json()["service_provider"]["enabled"] is True
    assert (await admin.delete(path)).status_code == 204


async def test_where_a_user_may_go_under_the_older_paths(admin: Client) -> None:
    for kind in ("projects", "domains"):
        older, newer = [(await admin.get(f"/v3/{base}/{kind}")).json() for base in ("OS-FEDERATION", "auth")]
        assert older[kind] == newer[kind] != []
