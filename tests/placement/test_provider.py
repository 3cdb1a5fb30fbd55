"""Providers, their inventories, traits, aggregates, and the words they use."""

from typing import Any

import pytest

from aerostat.kernel.ids import new_id

from .conftest import Api

AGGREGATES = ["11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"]


async def test_versions_need_no_token(api: Api) -> None:
    answer = await api.session.get("/placement/")
    assert answer.json()["versions"][0]["min_version"] == "1.0"
    assert answer.json()["versions"][0]["max_version"] == "1.24"
    refused = await api.request("GET", "/resource_providers", version="1.99")
    assert refused.status_code == 406


async def test_only_services_and_administrators(api: Api) -> None:
    assert (await api.request("GET", "/resource_providers", person="nova")).status_code == 200
    for method, path in (
        ("GET", "/resource_providers"),
        ("GET", "/allocation_candidates?resources=VCPU:1"),
        ("GET", f"/allocations/{new_id()}"),
        ("DELETE", f"/allocations/{new_id()}"),
        ("PUT", "/traits/CUSTOM_X"),
        ("GET", "/resource_classes"),
    ):
        assert (await api.request(method, path, person="alice")).status_code == 403, path
    assert (await api.request("GET", "/resource_providers", person="stranger")).status_code == 401


async def test_a_provider_comes_and_goes(api: Api) -> None:
    id = new_id()
    made = await api.request("POST", "/resource_providers", {"name": "one", "uuid": id}, version="1.0")
    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["location"] == f"http://cloud.test/placement/resource_providers/{id}"
    assert made.headers["openstack-api-version"] == "placement 1.0"
    oldest = await api.get(f"/resource_providers/{id}", version="1.0")
    assert set(oldest) == {"uuid", "name", "generation", "links"}
    assert [link["rel"] for link in oldest["links"]] == ["self", "inventories", "usages"]
    newest = await api.request("GET", f"/resource_providers/{id}")
    assert newest.json()["root_provider_uuid"] == id
    assert newest.json()["parent_provider_uuid"] is None
    assert newest.headers["cache-control"] == "no-cache"
    assert "last-modified" in newest.headers
    renamed = await api.request("PUT", f"/resource_providers/{id}", {"name": "two"})
    assert renamed.json()["name"] == "two"
    assert (await api.request("DELETE", f"/resource_providers/{id}")).status_code == 204
    assert (await api.request("DELETE", f"/resource_providers/{id}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"name": ""},
        {"name": "x" * 201},
        {"name": 7},
        {"name": "x", "uuid": "x"},
        {"name": "x", "more": 1},
        {"name": "x", "parent_provider_uuid": "11111111-1111-1111-1111-111111111111"},
    ],
)
async def test_odd_providers(api: Api, body: Any) -> None:
    answer = await api.request("POST", "/resource_providers", body)
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert error["status"] == 400
    assert error["request_id"].startswith("req-")


async def test_names_and_ids_are_taken_once(api: Api) -> None:
    id = await api.provider("one")
    for body in ({"name": "one"}, {"name": "other", "uuid": id}):
        answer = await api.request("POST", "/resource_providers", body)
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["code"] == "placement.duplicate_name"


async def test_trees(api: Api) -> None:
    top = await api.provider("top")
    body = {"name": "below", "parent_provider_uuid": top}
    assert (await api.request("POST", "/resource_providers", body, version="1.13")).status_code == 400
    below = (await api.request("POST", "/resource_providers", body)).json()
    assert (below["parent_provider_uuid"], below["root_provider_uuid"]) == (top, top)
    tree = await api.get(f"/resource_providers?in_tree={below['uuid']}")
    assert [one["name"] for one in tree["resource_providers"]] == ["below", "top"]
    refused = await api.request("DELETE", f"/resource_providers/{top}")
    assert refused.json()["errors"][0]["code"] == "placement.resource_provider.cannot_delete_parent"
    circle = {"name": "top", "parent_provider_uuid": below["uuid"]}
    assert (await api.request("PUT", f"/resource_providers/{top}", circle)).status_code == 400
    orphan = {"name": "below", "parent_provider_uuid": None}
    assert (await api.request("PUT", f"/resource_providers/{below['uuid']}", orphan)).status_code == 400


async def test_a_root_moves_below_another_with_its_whole_tree(api: Api) -> None:
    top, middle = await api.provider("top"), await api.provider("middle")
    leaf = {"name": "leaf", "parent_provider_uuid": middle}
    leaf_id = (await api.request("POST", "/resource_providers", leaf)).json()["uuid"]
    moved = {"name": "middle", "parent_provider_uuid": top}
    assert (await api.request("PUT", f"/resource_providers/{middle}", moved)).status_code == 200
    assert (await api.get(f"/resource_providers/{leaf_id}"))["root_provider_uuid"] == top


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("colour=red", "latest"),
        ("resources=VCPU", "latest"),
        ("resources=VCPU:0", "latest"),
        ("resources=VCPU:-1", "latest"),
        ("resources=VCPU:²", "latest"),
        ("resources=VCPU:" + "9" * 5000, "latest"),
        ("resources=WARP:1", "latest"),
        ("resources=", "latest"),
        ("required=", "latest"),
        ("required=!", "latest"),
        ("required=CUSTOM_UNKNOWN", "latest"),
        ("required=HW_CPU_X86_VMX,!HW_CPU_X86_VMX", "latest"),
        ("member_of=x", "latest"),
        ("member_of=in:", "latest"),
        ("required=!HW_CPU_X86_VMX", "1.21"),
        (f"member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}", "1.23"),
        ("required=HW_CPU_X86_VMX", "1.17"),
        ("in_tree=x", "1.13"),
        ("resources=VCPU:1", "1.3"),
        (f"member_of={AGGREGATES[0]}", "1.2"),
    ],
)
async def test_odd_queries(api: Api, query: str, version: str) -> None:
    answer = await api.request("GET", f"/resource_providers?{query}", version=version)
    assert answer.status_code == 400, answer.text


async def test_inventories(api: Api) -> None:
    id = await api.provider("one")
    path = f"/resource_providers/{id}/inventories"
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8, "allocation_ratio": 4.0}}}
    answer = (await api.request("PUT", path, body)).json()
    assert answer["resource_provider_generation"] == 1
    assert answer["inventories"]["VCPU"] == {
        "total": 8,
        "reserved": 0,
        "min_unit": 1,
        "max_unit": 2147483647,
        "step_size": 1,
        "allocation_ratio": 4.0,
    }
    stale = await api.request("PUT", path, body)
    assert stale.status_code == 409
    assert stale.json()["errors"][0]["code"] == "placement.concurrent_update"
    one = {"resource_provider_generation": 1, "total": 16}
    assert (await api.request("PUT", f"{path}/VCPU", one)).json()["total"] == 16
    assert (await api.get(f"{path}/VCPU"))["resource_provider_generation"] == 2
    added = {"resource_class": "DISK_GB", "resource_provider_generation": 2, "total": 5}
    made = await api.request("POST", path, added)
    assert made.status_code == 201
    assert made.headers["location"].endswith(f"{path}/DISK_GB")
    assert (await api.request("POST", path, {**added, "resource_provider_generation": 3})).status_code == 409
    assert (await api.request("DELETE", f"{path}/DISK_GB")).status_code == 204
    assert (await api.request("DELETE", f"{path}/DISK_GB")).status_code == 404
    assert (await api.request("GET", f"{path}/DISK_GB")).status_code == 404
    missing = {"resource_provider_generation": 4, "total": 1}
    assert (await api.request("PUT", f"{path}/DISK_GB", missing)).status_code == 400
    assert (await api.request("DELETE", path, version="1.4")).status_code == 405
    assert (await api.request("DELETE", path)).status_code == 204
    assert (await api.get(path))["inventories"] == {}


@pytest.mark.parametrize(
    "inventory",
    [
        {},
        {"total": 0},
        {"total": 2**31},
        {"total": "8"},
        {"total": 1, "reserved": 2},
        {"total": 1, "reserved": -1},
        {"total": 1, "min_unit": 0},
        {"total": 1, "step_size": 0},
        {"total": 1, "allocation_ratio": 0},
        {"total": 1, "allocation_ratio": 1e300},
        {"total": 1, "colour": "red"},
    ],
)
async def test_odd_inventories(api: Api, inventory: Any) -> None:
    id = await api.provider("one")
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": inventory}}
    assert (await api.request("PUT", f"/resource_providers/{id}/inventories", body)).status_code == 400
    assert (await api.get(f"/resource_providers/{id}"))["generation"] == 0


async def test_inventories_of_unknown_classes_and_providers(api: Api) -> None:
    id = await api.provider("one")
    body = {"resource_provider_generation": 0, "inventories": {"WARP": {"total": 1}}}
    assert (await api.request("PUT", f"/resource_providers/{id}/inventories", body)).status_code == 400
    body["inventories"] = {}
    assert (await api.request("PUT", f"/resource_providers/{new_id()}/inventories", body)).status_code == 404
    for body in (None, [], {"resource_class": 7}, {"resource_class": "VCPU"}):  # type: ignore[assignment]
        assert (await api.request("POST", f"/resource_providers/{id}/inventories", body)).status_code == 400


async def test_traits(api: Api) -> None:
    id = await api.provider("one", VCPU=1)
    assert (await api.request("PUT", "/traits/CUSTOM_GOLD")).status_code == 201
    assert (await api.request("PUT", "/traits/CUSTOM_GOLD")).status_code == 204
    assert (await api.request("GET", "/traits/CUSTOM_GOLD")).status_code == 204
    assert (await api.request("GET", "/traits/CUSTOM_LEAD")).status_code == 404
    for name in ("GOLD", "CUSTOM_gold", "CUSTOM_" + "X" * 249):
        assert (await api.request("PUT", f"/traits/{name}")).status_code == 400
    path = f"/resource_providers/{id}/traits"
    body = {"resource_provider_generation": 1, "traits": ["CUSTOM_GOLD", "HW_CPU_X86_VMX"]}
    assert (await api.request("PUT", path, body)).json()["resource_provider_generation"] == 2
    assert (await api.request("PUT", path, body)).status_code == 409
    unknown = {"resource_provider_generation": 2, "traits": ["CUSTOM_LEAD"]}
    assert (await api.request("PUT", path, unknown)).status_code == 400
    twice = {"resource_provider_generation": 2, "traits": ["CUSTOM_GOLD", "CUSTOM_GOLD"]}
    assert (await api.request("PUT", path, twice)).status_code == 400
    assert (await api.get("/traits?name=startswith:CUSTOM_"))["traits"] == ["CUSTOM_GOLD"]
    assert (await api.get("/traits?name=in:CUSTOM_GOLD,X&associated=true"))["traits"] == ["CUSTOM_GOLD"]
    assert (await api.request("GET", "/traits?name=CUSTOM_GOLD")).status_code == 400
    assert (await api.request("GET", "/traits?associated=perhaps")).status_code == 400
    assert (await api.request("DELETE", "/traits/CUSTOM_GOLD")).status_code == 409
    found = await api.get("/resource_providers?required=CUSTOM_GOLD")
    assert len(found["resource_providers"]) == 1
    assert (await api.get("/resource_providers?required=!CUSTOM_GOLD"))["resource_providers"] == []
    assert (await api.request("DELETE", path)).status_code == 204
    assert (await api.get(path))["traits"] == []
    assert (await api.request("DELETE", "/traits/CUSTOM_GOLD")).status_code == 204
    assert (await api.request("DELETE", "/traits/CUSTOM_GOLD")).status_code == 404
    assert (await api.request("DELETE", "/traits/HW_CPU_X86_VMX")).status_code == 400
    assert (await api.request("GET", "/traits", version="1.5")).status_code == 404


async def test_classes(api: Api) -> None:
    assert (await api.request("POST", "/resource_classes", {"name": "CUSTOM_GOLD"})).status_code == 201
    assert (await api.request("POST", "/resource_classes", {"name": "CUSTOM_GOLD"})).status_code == 409
    assert (await api.request("POST", "/resource_classes", {"name": "GOLD"})).status_code == 400
    assert (await api.request("PUT", "/resource_classes/CUSTOM_GOLD")).status_code == 204
    assert (await api.request("PUT", "/resource_classes/CUSTOM_SALT")).status_code == 201
    names = [one["name"] for one in (await api.get("/resource_classes"))["resource_classes"]]
    assert names[0] == "VCPU"
    assert names[-2:] == ["CUSTOM_GOLD", "CUSTOM_SALT"]
    await api.provider("one", CUSTOM_GOLD=5)
    assert (await api.request("DELETE", "/resource_classes/CUSTOM_GOLD")).status_code == 409
    assert (await api.request("DELETE", "/resource_classes/CUSTOM_SALT")).status_code == 204
    assert (await api.request("DELETE", "/resource_classes/CUSTOM_SALT")).status_code == 404
    assert (await api.request("DELETE", "/resource_classes/VCPU")).status_code == 400


async def test_a_renamed_class_keeps_what_is_counted_in_it(api: Api) -> None:
    await api.request("PUT", "/resource_classes/CUSTOM_GOLD")
    id = await api.provider("one", CUSTOM_GOLD=5)
    renamed = await api.request(
        "PUT", "/resource_classes/CUSTOM_GOLD", {"name": "CUSTOM_SALT"}, version="1.6"
    )
    assert renamed.json()["name"] == "CUSTOM_SALT"
    assert "CUSTOM_SALT" in (await api.get(f"/resource_providers/{id}/inventories"))["inventories"]
    standard = await api.request("PUT", "/resource_classes/VCPU", {"name": "CUSTOM_X"}, version="1.6")
    assert standard.status_code == 400


async def test_aggregates(api: Api) -> None:
    id = await api.provider("one")
    path = f"/resource_providers/{id}/aggregates"
    assert (await api.request("PUT", path, AGGREGATES, version="1.1")).json() == {"aggregates": AGGREGATES}
    body = {"aggregates": AGGREGATES[:1], "resource_provider_generation": 0}
    changed = (await api.request("PUT", path, body)).json()
    assert changed == {"aggregates": AGGREGATES[:1], "resource_provider_generation": 1}
    assert (await api.request("PUT", path, body)).status_code == 409
    for odd in (None, {}, ["x"], {"aggregates": ["x"], "resource_provider_generation": 1}):
        assert (await api.request("PUT", path, odd)).status_code == 400
    assert len((await api.get(f"/resource_providers?member_of={AGGREGATES[0]}"))["resource_providers"]) == 1
    both = f"/resource_providers?member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}"
    assert (await api.get(both))["resource_providers"] == []
    either = f"/resource_providers?member_of=in:{AGGREGATES[0]},{AGGREGATES[1]}"
    assert len((await api.get(either))["resource_providers"]) == 1
