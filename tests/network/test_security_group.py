"""Security groups and their rules."""

from typing import Any

import pytest

from .conftest import Api

NOWHERE = "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"


def brief(rule: dict[str, Any]) -> tuple[Any, ...]:
    return rule["direction"], rule["ethertype"], rule["protocol"], rule["remote_group_id"]


async def test_every_project_has_a_default_group_from_the_first_look(api: Api) -> None:
    (group,) = (await api.get("security-groups"))["security_groups"]
    assert (group["name"], group["description"]) == ("default", "Default security group")
    assert (group["project_id"], group["stateful"], group["shared"]) == ("p1", True, False)
    assert sorted(map(brief, group["security_group_rules"]), key=str) == [
        ("egress", "IPv4", None, None),
        ("egress", "IPv6", None, None),
        ("ingress", "IPv4", None, group["id"]),
        ("ingress", "IPv6", None, group["id"]),
    ]
    assert [one["id"] for one in (await api.get("security-groups"))["security_groups"]] == [group["id"]]
    url = f"security-groups/{group['id']}"
    assert (await api.refused("DELETE", url))[:2] == (409, "SecurityGroupCannotRemoveDefault")
    rename = {"security_group": {"name": "x"}}
    assert (await api.refused("PUT", url, rename))[:2] == (409, "SecurityGroupCannotUpdateDefault")
    assert (await api.change(url, description="mine"))["description"] == "mine"
    taken = {"security_group": {"name": "default"}}
    assert (await api.refused("POST", "security-groups", taken))[:2] == (
        409,
        "SecurityGroupDefaultAlreadyExists",
    )


async def test_a_new_group_lets_everything_out(api: Api) -> None:
    made = await api.make("security-groups", name="web", description="d")
    assert sorted(map(brief, made["security_group_rules"])) == [
        ("egress", "IPv4", None, None),
        ("egress", "IPv6", None, None),
    ]
    rule = made["security_group_rules"][0]
    assert rule.pop("created_at").endswith("Z")
    assert rule.pop("updated_at").endswith("Z")
    assert rule == {
        "id": rule["id"],
        "project_id": "p1",
        "tenant_id": "p1",
        "security_group_id": made["id"],
        "direction": "egress",
        "ethertype": rule["ethertype"],
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
        "normalized_cidr": None,
        "description": None,
        "revision_number": 0,
    }
    only = (await api.get("security-groups?fields=id&name=web"))["security_groups"]
    assert only == [{"id": made["id"]}]
    url = f"security-groups/{made['id']}"
    assert (await api.change(url, name="www"))["name"] == "www"
    await api.delete(url)
    assert (await api.refused("GET", url)) == (
        404,
        "SecurityGroupNotFound",
        f"Security group {made['id']} does not exist",
    )


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (
            {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
            {"protocol": "tcp", "port_range_min": 22},
        ),
        (
            {"protocol": "TCP", "port_range_min": "80", "port_range_max": 90},
            {"protocol": "tcp", "port_range_min": 80},
        ),
        ({"protocol": 6, "port_range_min": 1, "port_range_max": 2}, {"protocol": "6"}),
        ({"protocol": "icmp"}, {"protocol": "icmp", "port_range_min": None}),
        ({"protocol": "icmp", "port_range_min": 0}, {"port_range_min": 0, "port_range_max": None}),
        (
            {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
            {"port_range_min": 8, "port_range_max": 0},
        ),
        ({"ethertype": "ipv6", "protocol": "ipv6-icmp"}, {"ethertype": "IPv6"}),
        (
            {"remote_ip_prefix": "10.0.0.7/24"},
            {"remote_ip_prefix": "10.0.0.7/24", "normalized_cidr": "10.0.0.0/24"},
        ),
        ({"remote_ip_prefix": "10.0.0.7"}, {"remote_ip_prefix": "10.0.0.7/32"}),
        ({"remote_ip_prefix": ""}, {"remote_ip_prefix": None}),
        ({"protocol": "any"}, {"protocol": None}),
        ({"direction": "egress", "protocol": "vrrp"}, {"direction": "egress", "protocol": "vrrp"}),
        ({"description": "d"}, {"description": "d"}),
    ],
)
async def test_rules(api: Api, rule: dict[str, Any], shown: dict[str, Any]) -> None:
    group = await api.make("security-groups", name="g")
    made = await api.make(
        "security-group-rules", **{"security_group_id": group["id"], "direction": "ingress", **rule}
    )
    assert {name: made[name] for name in shown} == shown
    after = (await api.get(f"security-groups/{group['id']}"))["security_group"]
    assert made["id"] in [one["id"] for one in after["security_group_rules"]]
    assert after["revision_number"] == group["revision_number"] + 1
    await api.delete(f"security-group-rules/{made['id']}")
    assert (await api.refused("GET", f"security-group-rules/{made['id']}"))[:2] == (
        404,
        "SecurityGroupRuleNotFound",
    )


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"direction": "sideways"}, "HTTPBadRequest"),
        ({"direction": None}, "HTTPBadRequest"),
        ({"ethertype": "IPv5"}, "SecurityGroupRuleInvalidEtherType"),
        ({"protocol": "quick"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": "tcp", "port_range_min": 5}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 5, "port_range_max": 4}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": "x", "port_range_max": 4}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts"),
        (
            {"protocol": "gre", "port_range_min": 1, "port_range_max": 2},
            "SecurityGroupInvalidProtocolForPort",
        ),
        ({"protocol": "icmp", "port_range_max": 2}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmpv6"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"remote_ip_prefix": "fd00::/8"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_ip_prefix": "somewhere"}, "HTTPBadRequest"),
        ({"remote_group_id": NOWHERE}, "SecurityGroupNotFound"),
        ({"remote_group_id": "x"}, "SecurityGroupNotFound"),
        ({"security_group_id": NOWHERE}, "SecurityGroupNotFound"),
        ({"colour": 1}, "HTTPBadRequest"),
    ],
)
async def test_rules_that_make_no_sense(api: Api, rule: dict[str, Any], kind: str) -> None:
    group = await api.make("security-groups", name="g")
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", **rule}}
    assert (await api.refused("POST", "security-group-rules", body))[1] == kind


async def test_remote_groups(api: Api) -> None:
    first, second = await api.make("security-groups", name="a"), await api.make("security-groups", name="b")
    rule = await api.make(
        "security-group-rules",
        security_group_id=first["id"],
        direction="ingress",
        remote_group_id=second["id"],
    )
    both = {"security_group_rule": {"security_group_id": first["id"], "direction": "ingress",
            "remote_group_id": second["id"], "remote_ip_prefix": "10.0.0.0/8"}}  # fmt: skip
    assert (await api.refused("POST", "security-group-rules", both))[
        1
    ] == "SecurityGroupRemoteGroupAndRemoteIpPrefix"
    await api.delete(f"security-groups/{second['id']}")
    assert (await api.refused("GET", f"security-group-rules/{rule['id']}"))[0] == 404


async def test_the_same_rule_twice(api: Api) -> None:
    group = await api.make("security-groups", name="g")
    body = {
        "security_group_rule": {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    }
    first = (await api.request("POST", "security-group-rules", body)).json()["security_group_rule"]
    assert await api.refused("POST", "security-group-rules", body) == (
        409,
        "SecurityGroupRuleExists",
        f"Security group rule already exists. Rule id is {first['id']}.",
    )
    many = {
        "security_group_rules": [
            body["security_group_rule"],
            {**body["security_group_rule"], "protocol": "udp"},
        ]
    }
    assert (await api.refused("POST", "security-group-rules", many))[0] == 409
    found = await api.get(f"security-group-rules?security_group_id={group['id']}&direction=ingress")
    assert [one["protocol"] for one in found["security_group_rules"]] == ["tcp"]


async def test_groups_of_strangers(api: Api) -> None:
    group = await api.make("security-groups", name="g")
    bob = api("bob")
    assert [one["name"] for one in (await bob.get("security-groups"))["security_groups"]] == ["default"]
    for method, body in (("GET", None), ("PUT", {"security_group": {"name": "x"}}), ("DELETE", None)):
        assert (await bob.refused(method, f"security-groups/{group['id']}", body))[:2] == (
            404,
            "SecurityGroupNotFound",
        )
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress"}}
    assert (await bob.refused("POST", "security-group-rules", body))[:2] == (404, "SecurityGroupNotFound")
    rule = group["security_group_rules"][0]["id"]
    assert (await bob.refused("DELETE", f"security-group-rules/{rule}"))[0] == 404


async def test_quota_of_groups(api: Api) -> None:
    for index in range(9):
        await api.make("security-groups", name=f"g{index}")
    assert (await api.refused("POST", "security-groups", {"security_group": {"name": "x"}}))[2] == (
        "Quota exceeded for resources: ['security_group']."
    )
