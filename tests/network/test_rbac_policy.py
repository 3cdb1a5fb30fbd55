"""RBAC policies: what is opened to whom, and what keeps it open."""

from typing import Any

from .conftest import Api, make_external, make_subnet

NOWHERE = "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"


def policy(thing: Any, kind: str = "network", action: str = "access_as_shared", target: str = "p2") -> Any:
    return {
        "rbac_policy": {
            "object_id": thing["id"],
            "object_type": kind,
            "action": action,
            "target_tenant": target,
        }
    }


async def make(api: Api, body: Any) -> Any:
    answer = await api.request("POST", "rbac-policies", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["rbac_policy"]


async def test_a_network_for_one_other_project(api: Api) -> None:
    network, bob = await api.make("networks"), api("bob")
    subnet = await make_subnet(api, network["id"])
    made = await make(api, policy(network))
    assert made == {**policy(network)["rbac_policy"], "id": made["id"], "project_id": "p1", "tenant_id": "p1"}
    assert (await bob.get(f"networks/{network['id']}"))["network"]["shared"] is True
    assert (await api.get(f"networks/{network['id']}"))["network"]["shared"] is False
    assert (await bob.get(f"subnets/{subnet['id']}"))["subnet"]["cidr"] == "10.0.0.0/24"
    assert (await bob.get("rbac-policies"))["rbac_policies"] == []
    port = await bob.make("ports", network_id=network["id"])
    url = f"rbac-policies/{made['id']}"
    status, kind, message = await api.refused("DELETE", url)
    assert (status, kind) == (409, "RbacPolicyInUse")
    assert port["id"] in message
    assert (await bob.refused("DELETE", url))[0] == 404
    await bob.delete(f"ports/{port['id']}")
    await api.delete(url)
    assert (await bob.refused("GET", f"networks/{network['id']}"))[0] == 404
    assert (await api.refused("GET", url))[:2] == (404, "RbacPolicyNotFound")


async def test_policies_that_are_refused(api: Api) -> None:
    network = await api.make("networks")
    for body, kind in (
        (policy(network, target="*"), "PolicyNotAuthorized"),
        (policy(network, action="access_as_admin"), "InvalidInput"),
        (policy(network, kind="planet"), "HTTPBadRequest"),
        (policy({"id": NOWHERE}), "RbacPolicyNotFound"),
        ({"rbac_policy": {"object_id": network["id"]}}, "HTTPBadRequest"),
        (policy(network, action="access_as_external", target="*"), "PolicyNotAuthorized"),
    ):
        assert (await api.refused("POST", "rbac-policies", body))[1] == kind, body
    assert (await api("bob").refused("POST", "rbac-policies", policy(network)))[1] == "InvalidInput"
    await make(api, policy(network))
    assert (await api.refused("POST", "rbac-policies", policy(network)))[:2] == (
        409,
        "DuplicateRbacPolicyEntry",
    )


async def test_flags_and_policies_say_the_same(api: Api) -> None:
    root = api("root")
    network = await root.make("networks", shared=True)
    (made,) = (await root.get(f"rbac-policies?object_id={network['id']}"))["rbac_policies"]
    assert (made["action"], made["target_tenant"]) == ("access_as_shared", "*")
    await root.delete(f"rbac-policies/{made['id']}")
    assert (await root.get(f"networks/{network['id']}"))["network"]["shared"] is False
    again = await make(root, policy(network, target="*"))
    assert (await api.get(f"networks/{network['id']}"))["network"]["shared"] is True
    narrowed = await root.request(
        "PUT", f"rbac-policies/{again['id']}", {"rbac_policy": {"target_tenant": "p2"}}
    )
    assert narrowed.json()["rbac_policy"]["target_tenant"] == "p2"
    assert (await api.refused("GET", f"networks/{network['id']}"))[0] == 404
    external = await make_external(api)
    (outside,) = (await root.get(f"rbac-policies?object_id={external['id']}"))["rbac_policies"]
    assert outside["action"] == "access_as_external"


async def test_a_security_group_for_another_project(api: Api) -> None:
    group = await api.make("security-groups", name="g")
    await make(api, policy(group, kind="security_group"))
    names = [one["name"] for one in (await api("bob").get("security-groups"))["security_groups"]]
    assert sorted(names) == ["default", "g"]
    rename = {"security_group": {"name": "x"}}
    assert (await api("bob").refused("PUT", f"security-groups/{group['id']}", rename))[0] == 403


async def test_an_external_network_for_one_project(api: Api) -> None:
    network, bob, carol = await api.make("networks"), api("bob"), api("root")
    await make_subnet(api, network["id"], enable_dhcp=False)
    made = await make(api, policy(network, action="access_as_external"))
    assert (await api.get(f"networks/{network['id']}"))["network"]["router:external"] is True
    router = await bob.make("routers", external_gateway_info={"network_id": network["id"]})
    url = f"rbac-policies/{made['id']}"
    assert (await api.refused("DELETE", url))[:2] == (409, "RbacPolicyInUse")
    wide = await make(carol, policy(network, action="access_as_external", target="*"))
    await api.delete(url)
    assert (await carol.refused("DELETE", f"rbac-policies/{wide['id']}"))[:2] == (409, "RbacPolicyInUse")
    await bob.delete(f"routers/{router['id']}")
    await carol.delete(f"rbac-policies/{wide['id']}")
    assert (await api.get(f"networks/{network['id']}"))["network"]["router:external"] is False
    assert (await bob.refused("GET", f"networks/{network['id']}"))[0] == 404


async def test_groups_and_pools_that_were_given_can_be_used(api: Api) -> None:
    bob = api("bob")
    group = await api.make("security-groups", name="g")
    pool = await api.make("subnetpools", name="p", prefixes=["10.0.0.0/16"], default_prefixlen=24)
    network = await bob.make("networks")
    port = {"port": {"network_id": network["id"], "security_groups": [group["id"]]}}
    subnet = {"subnet": {"network_id": network["id"], "ip_version": 4, "subnetpool_id": pool["id"]}}
    assert (await bob.refused("POST", "ports", port))[:2] == (404, "SecurityGroupNotFound")
    assert (await bob.refused("POST", "subnets", subnet))[:2] == (404, "SubnetPoolNotFound")
    policies = [
        await make(api, policy(group, kind="security_group")),
        await make(api, policy(pool, kind="subnetpool")),
    ]
    assert (await bob.request("POST", "ports", port)).status_code == 201
    assert (await bob.request("POST", "subnets", subnet)).status_code == 201
    for one in policies:
        assert (await api.refused("DELETE", f"rbac-policies/{one['id']}"))[:2] == (409, "RbacPolicyInUse")


async def test_stateful_and_stateless_groups_do_not_mix(api: Api) -> None:
    network = await api.make("networks")
    groups = [
        (await api.make("security-groups", name=name, stateful=kind))["id"]
        for name, kind in (("a", True), ("b", False))
    ]
    body = {"port": {"network_id": network["id"], "security_groups": groups}}
    assert (await api.refused("POST", "ports", body))[:2] == (409, "SecurityGroupConflict")


async def test_frames_too_small_for_a_subnet(api: Api) -> None:
    network = await api.make("networks", mtu=1279)
    v6 = {"subnet": {"network_id": network["id"], "ip_version": 6, "cidr": "fd00::/64"}}
    assert (await api.refused("POST", "subnets", v6))[:2] == (409, "NetworkMTUSubnetConflict")
    await make_subnet(api, network["id"])
    body = {"network": {"mtu": 67}}
    assert (await api.refused("PUT", f"networks/{network['id']}", body))[:2] == (
        409,
        "NetworkMTUSubnetConflict",
    )
