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
        (policy(network, action="access_as_external"), "HTTPBadRequest"),
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
