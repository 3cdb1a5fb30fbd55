"""Networks, and what all resources of this API share: bulk, fields, filters, pages, revisions."""

from typing import Any

import pytest

from .conftest import Api, make_external, make_subnet


async def test_a_new_network_as_its_owner_sees_it(api: Api) -> None:
    made = await api.make("networks", name="one")
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "name": "one",
        "description": "",
        "project_id": "p1",
        "tenant_id": "p1",
        "admin_state_up": True,
        "status": "ACTIVE",
        "shared": False,
        "router:external": False,
        "is_default": False,
        "mtu": 1442,
        "port_security_enabled": True,
        "dns_domain": "",
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "subnets": [],
        "tags": [],
        "revision_number": 1,
    }
    assert (await api.get(f"networks/{made['id']}"))["network"]["id"] == made["id"]


async def test_administrators_see_and_choose_the_segment(api: Api) -> None:
    made = await api("root").make(
        "networks", **{"provider:network_type": "geneve", "provider:segmentation_id": 77}
    )
    assert made["provider:segmentation_id"] == 77
    assert made["provider:physical_network"] is None
    taken = await api("root").refused("POST", "networks", {"network": {"provider:segmentation_id": 77}})
    assert taken[:2] == (409, "TunnelIdInUse")
    for odd in (
        {"provider:network_type": "gre"},
        {"provider:network_type": "flat"},
        {"provider:network_type": "flat", "provider:physical_network": "elsewhere"},
        {"provider:network_type": "vlan", "provider:physical_network": "public"},
        {
            "provider:network_type": "vlan",
            "provider:physical_network": "public",
            "provider:segmentation_id": 4095,
        },
        {"provider:segmentation_id": 0},
    ):
        assert (await api("root").refused("POST", "networks", {"network": odd}))[:2] == (400, "InvalidInput")


@pytest.mark.parametrize("attribute", ["shared", "router:external", "is_default", "provider:segmentation_id"])
async def test_what_only_administrators_may_set(api: Api, attribute: str) -> None:
    value: Any = 5 if attribute.startswith("provider") else True
    status, kind, message = await api.refused("POST", "networks", {"network": {attribute: value}})
    assert (status, kind) == (403, "PolicyNotAuthorized")
    assert f"create_network:{attribute}" in message


async def test_readers_may_not_write(api: Api) -> None:
    made = await api.make("networks", name="one")
    reader = api("reader")
    assert (await reader.get(f"networks/{made['id']}"))["network"]["name"] == "one"
    assert (await reader.refused("POST", "networks", {"network": {}}))[0] == 403
    assert (await reader.refused("DELETE", f"networks/{made['id']}"))[0] == 403


async def test_strangers_see_shared_and_external_networks_only(api: Api) -> None:
    mine = await api.make("networks", name="mine")
    shared = await api("root").make("networks", name="shared", shared=True)
    external = await make_external(api)
    bob = api("bob")
    assert {one["name"] for one in (await bob.get("networks"))["networks"]} == {"shared", "public"}
    assert (await bob.refused("GET", f"networks/{mine['id']}"))[:2] == (404, "NetworkNotFound")
    assert (await bob.refused("DELETE", f"networks/{mine['id']}"))[0] == 404
    assert (await bob.refused("PUT", f"networks/{shared['id']}", {"network": {"name": "x"}}))[0] == 403
    assert (await bob.refused("DELETE", f"networks/{external['id']}"))[0] == 403
    seen = (await bob.get("networks?router:external=True"))["networks"]
    assert [one["id"] for one in seen] == [external["id"]]
    assert not any(name.startswith("provider:") for name in seen[0])
    assert {one["name"] for one in (await api("root").get("networks"))["networks"]} == {
        "mine",
        "shared",
        "public",
    }


async def test_sharing_ends_only_while_nobody_uses_it(api: Api) -> None:
    shared = await api("root").make("networks", shared=True)
    port = await api("bob").make("ports", network_id=shared["id"])
    url = f"networks/{shared['id']}"
    assert (await api("root").refused("PUT", url, {"network": {"shared": False}}))[:2] == (
        409,
        "InvalidSharedSetting",
    )
    await api("bob").delete(f"ports/{port['id']}")
    assert (await api("root").change(url, shared=False))["shared"] is False
    assert (await api("bob").refused("GET", url))[0] == 404


async def test_many_at_once_or_none(api: Api) -> None:
    answer = await api.request("POST", "networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert [one["name"] for one in answer.json()["networks"]] == ["a", "b"]
    half = {"networks": [{"name": "c"}, {"name": "d", "mtu": 9000}]}
    assert (await api.refused("POST", "networks", half))[1] == "InvalidInput"
    assert len((await api.get("networks"))["networks"]) == 2
    assert (await api.refused("POST", "networks", {"networks": []}))[0] == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "Unable to find 'network' in request body"),
        ([], "Unable to find 'network' in request body"),
        ({"net": {}}, "Unable to find 'network' in request body"),
        ({"network": {"colour": 1}}, "Unrecognized attribute(s) 'colour'"),
        ({"network": {"status": "ACTIVE"}}, "Attribute 'status' not allowed in POST"),
        ({"network": {"name": 5}}, "Invalid input for network.name"),
        ({"network": {"name": "n" * 256}}, "Invalid input for network.name"),
        ({"network": {"admin_state_up": "perhaps"}}, "Invalid input for admin_state_up"),
        (
            {"network": {"dns_domain": "no-dot"}},
            "Invalid input for dns_domain. Reason: 'no-dot' is not a FQDN.",
        ),
        ({"network": {"mtu": -1}}, "Invalid input for network.mtu"),
        ({"network": {"project_id": "p2"}}, "requires admin privileges"),
        ({"network": {"project_id": "p1", "tenant_id": "p2"}}, "do not match"),
        ({"network": {"tags": ["", "a"]}}, "Invalid input for tags"),
    ],
)
async def test_bodies_that_are_refused(api: Api, body: Any, message: str) -> None:
    status, kind, text = await api.refused("POST", "networks", body)
    assert (status, kind) == (400, "HTTPBadRequest")
    assert message in text


async def test_updates(api: Api) -> None:
    made = await api.make("networks", name="one")
    url = f"networks/{made['id']}"
    changed = await api.change(url, name="two", admin_state_up="false", description="d", dns_domain="x.org.")
    assert (changed["name"], changed["admin_state_up"], changed["description"]) == ("two", False, "d")
    assert changed["revision_number"] == made["revision_number"] + 1
    status, kind, message = await api.refused("PUT", url, {"network": {"status": "DOWN"}})
    assert (status, kind, message) == (400, "HTTPBadRequest", "Cannot update read-only attribute status")
    assert (await api.refused("PUT", url, {"network": {"mtu": 9000}}))[1] == "InvalidInput"


async def test_a_change_may_name_the_revision_it_means(api: Api) -> None:
    made = await api.make("networks", name="one")
    url = f"networks/{made['id']}"
    body = {"network": {"name": "two"}}
    assert (await api.request("PUT", url, body, **{"if-match": "revision_number=1"})).status_code == 200
    stale = await api.request("PUT", url, body, **{"if-match": "revision_number=1"})
    assert stale.status_code == 412
    assert stale.json()["NeutronError"] == {
        "type": "RevisionNumberConstraintFailed",
        "message": "Constrained to 1, but current revision is 2",
        "detail": "",
    }
    assert (await api.request("DELETE", url, **{"if-match": "revision_number=1"})).status_code == 412
    assert (await api.request("DELETE", url, **{"if-match": "revision_number=2"})).status_code == 204


async def test_filters_on_any_attribute(api: Api) -> None:
    for name, up in (("a", True), ("b", False), ("c", True)):
        await api.make("networks", name=name, admin_state_up=up, description=f"the {name}")

    async def names(query: str) -> list[str]:
        return sorted(one["name"] for one in (await api.get(f"networks?{query}"))["networks"])

    assert await names("name=a&name=c") == ["a", "c"]
    assert await names("admin_state_up=False") == ["b"]
    assert await names("description=the%20a") == ["a"]
    assert await names("tenant_id=p1") == ["a", "b", "c"]
    assert await names("project_id=p2") == []
    assert await names("mtu=1442&name=b") == ["b"]
    assert await names("shared=true") == []
    assert await names("name=") == []
    for odd in ("colour=red", "admin_state_up=perhaps", "mtu=x", "subnets=x"):
        assert (await api.refused("GET", f"networks?{odd}"))[0] == 400


async def test_only_the_fields_that_are_asked_for(api: Api) -> None:
    made = await api.make("networks", name="a")
    assert (await api.get("networks?fields=id&fields=name"))["networks"] == [{"id": made["id"], "name": "a"}]
    assert (await api.get(f"networks/{made['id']}?fields=name"))["network"] == {"name": "a"}


async def test_tags_as_filters(api: Api) -> None:
    for name, tags in (("a", ["red", "blue"]), ("b", ["red"]), ("c", ["RED"]), ("d", ['"red"'])):
        await api.make("networks", name=name, tags=tags)

    async def names(query: str) -> str:
        return "".join(sorted(one["name"] for one in (await api.get(f"networks?{query}"))["networks"]))

    assert await names("tags=red") == "ab"
    assert await names("tags=red,blue") == "a"
    assert await names("tags-any=blue,RED") == "ac"
    assert await names("not-tags=red,blue") == "bcd"
    assert await names("not-tags-any=red,RED") == "d"


async def test_pages_forwards_and_backwards(api: Api) -> None:
    for index in range(5):
        await api.make("networks", name=f"n{index}")

    async def walk(url: str, rel: str) -> tuple[list[str], dict[str, str]]:
        """Names from page to page until one is not full, and the last page's links."""
        seen: list[str] = []
        while True:
            page = await api.get(url)
            names = [one["name"] for one in page["networks"]]
            seen += names if rel == "next" else names[::-1]
            links = {one["rel"]: one["href"] for one in page["networks_links"]}
            if rel not in links:
                return seen, links
            url = links[rel].removeprefix("http://cloud.test")

    forth, links = await walk("networks?limit=2&sort_key=name&sort_dir=asc", "next")
    assert forth == ["n0", "n1", "n2", "n3", "n4"]
    back, _ = await walk(links["previous"].removeprefix("http://cloud.test"), "previous")
    assert back == ["n3", "n2", "n1", "n0"]
    beyond = await api.get("networks?limit=2&name=absent")
    assert [one["rel"] for one in beyond["networks_links"]] == ["previous"]
    assert "networks_links" not in await api.get("networks")


async def test_a_network_in_use_stays(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"])
    port = await api.make("ports", network_id=network["id"])
    assert (await api.refused("DELETE", f"networks/{network['id']}"))[:2] == (409, "NetworkInUse")
    await api.delete(f"ports/{port['id']}")
    await api.delete(f"networks/{network['id']}")
    assert (await api.get("subnets"))["subnets"] == []
    assert (await api.get("ports"))["ports"] == []
    assert (await api.refused("GET", f"networks/{network['id']}"))[2] == (
        f"Network {network['id']} could not be found."
    )


async def test_quota(api: Api) -> None:
    bodies = {"networks": [{"name": str(index)} for index in range(100)]}
    assert (await api.request("POST", "networks", bodies)).status_code == 201
    assert await api.refused("POST", "networks", {"network": {}}) == (
        409,
        "OverQuota",
        "Quota exceeded for resources: ['network'].",
    )
    assert (await api("bob").request("POST", "networks", {"network": {}})).status_code == 201


async def test_versions_are_told_to_anybody(api: Api) -> None:
    versions = (await api("nobody").get("/networking/"))["versions"]
    assert versions == [
        {
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"href": "http://cloud.test/networking/v2.0/", "rel": "self"}],
        }
    ]
    resources = (await api("nobody").get("/networking/v2.0/"))["resources"]
    assert {"networks", "security_groups"} <= {one["collection"] for one in resources}
