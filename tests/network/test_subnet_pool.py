"""Subnet pools, address scopes, and subnets that take their prefixes out of them."""

from typing import Any

import pytest

from .conftest import Api


async def test_a_new_pool(api: Api) -> None:
    made = await api.make(
        "subnetpools", name="p", prefixes=["10.0.0.0/16", "10.1.0.0/16"], default_prefixlen=24
    )
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "name": "p",
        "description": "",
        "project_id": "p1",
        "tenant_id": "p1",
        "prefixes": ["10.0.0.0/15"],
        "ip_version": 4,
        "min_prefixlen": "8",
        "max_prefixlen": "32",
        "default_prefixlen": "24",
        "default_quota": None,
        "shared": False,
        "is_default": False,
        "address_scope_id": None,
        "tags": [],
        "revision_number": 1,
    }
    url = f"subnetpools/{made['id']}"
    wider = await api.change(url, prefixes=["10.0.0.0/14"], name="q")
    assert (wider["prefixes"], wider["name"]) == (["10.0.0.0/14"], "q")
    assert (await api.refused("PUT", url, {"subnetpool": {"prefixes": ["10.0.0.0/16"]}}))[1] == (
        "IllegalSubnetPoolPrefixUpdate"
    )
    assert (await api("bob").refused("GET", url))[:2] == (404, "SubnetPoolNotFound")
    await api.delete(url)


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"prefixes": []}, "EmptySubnetPoolPrefixList"),
        ({"prefixes": ["10.0.0.0/16", "fd00::/48"]}, "PrefixVersionMismatch"),
        ({"prefixes": ["x"]}, "HTTPBadRequest"),
        ({"prefixes": "10.0.0.0/8"}, "HTTPBadRequest"),
        ({"min_prefixlen": 26, "max_prefixlen": 24}, "IllegalSubnetPoolPrefixBounds"),
        ({"max_prefixlen": 64}, "IllegalSubnetPoolPrefixBounds"),
        ({"min_prefixlen": 24, "default_prefixlen": 20}, "IllegalSubnetPoolPrefixBounds"),
        ({"shared": True}, "PolicyNotAuthorized"),
        ({"is_default": True}, "PolicyNotAuthorized"),
        ({"address_scope_id": "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"}, "AddressScopeNotFound"),
    ],
)
async def test_pools_that_are_refused(api: Api, attributes: dict[str, Any], kind: str) -> None:
    body = {"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/16"], **attributes}}
    assert (await api.refused("POST", "subnetpools", body))[1] == kind


async def test_subnets_from_a_pool(api: Api) -> None:
    pool = await api.make(
        "subnetpools",
        name="p",
        prefixes=["10.0.0.0/22"],
        default_prefixlen=24,
        min_prefixlen=23,
        max_prefixlen=28,
    )
    network = await api.make("networks")

    async def take(**attributes: Any) -> Any:
        return await api.make(
            "subnets", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], **attributes
        )

    assert (await take())["cidr"] == "10.0.0.0/24"
    assert (await take(cidr="10.0.2.0/24"))["cidr"] == "10.0.2.0/24"
    assert (await take(prefixlen=28))["cidr"] == "10.0.1.0/28"
    last = await take()
    assert (last["cidr"], last["subnetpool_id"], last["gateway_ip"]) == (
        "10.0.3.0/24",
        pool["id"],
        "10.0.3.1",
    )
    for attributes, kind in (
        ({}, "SubnetAllocationError"),
        ({"cidr": "10.0.2.0/25"}, "SubnetAllocationError"),
        ({"cidr": "10.9.0.0/24"}, "SubnetAllocationError"),
        ({"prefixlen": 20}, "MinPrefixSubnetAllocationError"),
        ({"prefixlen": 30}, "MaxPrefixSubnetAllocationError"),
        ({"ip_version": 6}, "InvalidInput"),
    ):
        body = {
            "subnet": {
                "network_id": network["id"],
                "ip_version": 4,
                "subnetpool_id": pool["id"],
                **attributes,
            }
        }
        assert (await api.refused("POST", "subnets", body))[1] == kind, attributes
    assert (await api.refused("DELETE", f"subnetpools/{pool['id']}"))[:2] == (400, "SubnetPoolDeleteError")


async def test_a_default_pool_and_a_pools_quota(api: Api) -> None:
    root = api("root")
    pool = await root.make("subnetpools", name="p", prefixes=["10.0.0.0/16"], default_prefixlen=24, shared=True,
                           is_default=True, default_quota=300)  # fmt: skip
    second = {"subnetpool": {"name": "q", "prefixes": ["10.9.0.0/16"], "is_default": True}}
    assert (await root.refused("POST", "subnetpools", second))[1] == "InvalidInput"
    assert [one["id"] for one in (await api.get("subnetpools"))["subnetpools"]] == [pool["id"]]
    network = await api.make("networks")
    body = {"subnet": {"network_id": network["id"], "ip_version": 4, "use_default_subnetpool": True}}
    made = (await api.request("POST", "subnets", body)).json()["subnet"]
    assert made["subnetpool_id"] == pool["id"]
    assert (await api.refused("POST", "subnets", body))[:2] == (409, "SubnetPoolQuotaExceeded")
    rename = {"subnetpool": {"name": "mine"}}
    assert (await api.refused("PUT", f"subnetpools/{pool['id']}", rename))[0] == 403


async def test_address_scopes(api: Api) -> None:
    scope = await api.make("address-scopes", name="s", ip_version=4)
    assert scope == {
        "id": scope["id"], "project_id": "p1", "tenant_id": "p1", "name": "s", "ip_version": 4, "shared": False,
    }  # fmt: skip
    pool = await api.make("subnetpools", name="p", prefixes=["10.0.0.0/16"], address_scope_id=scope["id"])
    body = {"subnetpool": {"name": "q", "prefixes": ["10.0.1.0/24"], "address_scope_id": scope["id"]}}
    assert (await api.refused("POST", "subnetpools", body))[:2] == (409, "AddressScopePrefixConflict")
    url = f"address-scopes/{scope['id']}"
    assert (await api.refused("DELETE", url))[:2] == (409, "AddressScopeInUse")
    network = await api.make("networks")
    await api.make("subnets", network_id=network["id"], subnetpool_id=pool["id"], prefixlen=24)
    assert (await api.get(f"networks/{network['id']}"))["network"]["ipv4_address_scope"] == scope["id"]
    assert (await api("bob").refused("GET", url))[:2] == (404, "AddressScopeNotFound")
    assert (await api("root").request("PUT", url, {"address_scope": {"shared": True}})).status_code == 200
    assert (await api("bob").get(url))["address_scope"]["shared"] is True
    unshare = {"address_scope": {"shared": False}}
    assert (await api("root").refused("PUT", url, unshare))[:2] == (400, "AddressScopeUpdateError")
    assert (await api.refused("POST", "address-scopes", {"address_scope": {"ip_version": 5}}))[0] == 400
