"""Flavors, their extra specs and who may use them."""

from typing import Any

import pytest

from .conftest import Cloud


async def create(cloud: Cloud, version: str | None = None, **flavor: Any) -> Any:
    body = {"flavor": {"name": "odd", "ram": 64, "vcpus": 1, "disk": 0, **flavor}}
    return await cloud.ask("POST", "/flavors", body, user="root", version=version)


async def test_create_show_delete(cloud: Cloud) -> None:
    made = await create(cloud, id="77", **{"OS-FLV-EXT-DATA:ephemeral": 2, "swap": "512"})
    assert made.status_code == 200
    flavor = made.json()["flavor"]
    assert flavor == {
        "id": "77",
        "name": "odd",
        "ram": 64,
        "vcpus": 1,
        "disk": 0,
        "swap": 512,
        "OS-FLV-EXT-DATA:ephemeral": 2,
        "OS-FLV-DISABLED:disabled": False,
        "rxtx_factor": 1.0,
        "os-flavor-access:is_public": True,
        "links": [
            {"rel": "self", "href": "http://cloud.test/compute/v2.1/flavors/77"},
            {"rel": "bookmark", "href": "http://cloud.test/compute/flavors/77"},
        ],
    }
    assert (await cloud.get("/flavors/77"))["flavor"] == flavor
    assert (await cloud.ask("DELETE", "/flavors/77", user="root")).status_code == 202
    gone = await cloud.ask("GET", "/flavors/77")
    assert gone.json()["itemNotFound"]["message"] == "Flavor 77 could not be found."


async def test_versions_add_fields(cloud: Cloud) -> None:
    shown = (await cloud.get("/flavors/42", version="2.75"))["flavor"]
    assert shown["swap"] == 0
    assert shown["description"] is None
    assert shown["extra_specs"] == {}
    assert "description" not in (await cloud.get("/flavors/42", version="2.54"))["flavor"]
    brief = (await cloud.get("/flavors", version="2.55"))["flavors"][0]
    assert set(brief) == {"id", "name", "links", "description"}
    changed = await cloud.ask(
        "PUT", "/flavors/42", {"flavor": {"description": "small"}}, user="root", version="2.55"
    )
    assert changed.json()["flavor"]["description"] == "small"
    assert (await cloud.ask("PUT", "/flavors/42", {"flavor": {}}, user="root")).status_code == 405


async def test_conflicts(cloud: Cloud) -> None:
    assert (await create(cloud, name="m1.nano")).status_code == 409
    assert (await create(cloud, id="42")).status_code == 409
    assert (await create(cloud, id="auto")).json()["flavor"]["id"] != "auto"


@pytest.mark.parametrize(
    "change",
    [
        {"ram": 0},
        {"ram": "0"},
        {"ram": -1},
        {"ram": "x"},
        {"ram": 2**31},
        {"vcpus": 0},
        {"disk": -1},
        {"name": ""},
        {"name": "x" * 256},
        {"id": "a b!"},
        {"id": ""},
        {"rxtx_factor": 0},
        {"rxtx_factor": "fast"},
        {"swap": -1},
        {"odd": 1},
        {"os-flavor-access:is_public": "maybe"},
    ],
)
async def test_bad_input(cloud: Cloud, change: dict[str, Any]) -> None:
    assert (await create(cloud, **change)).status_code == 400


async def test_only_administrators_make_them(cloud: Cloud) -> None:
    body = {"flavor": {"name": "x", "ram": 1, "vcpus": 1, "disk": 0}}
    assert (await cloud.ask("POST", "/flavors", body)).status_code == 403
    assert (await cloud.ask("DELETE", "/flavors/42")).status_code == 403


async def test_lists(cloud: Cloud) -> None:
    names = [
        flavor["name"]
        for flavor in (await cloud.get("/flavors/detail?sort_key=memory_mb&sort_dir=asc"))["flavors"]
    ]
    assert names[0] == "m1.nano"
    large = (await cloud.get("/flavors?minRam=2048&minDisk=40"))["flavors"]
    assert {flavor["name"] for flavor in large} == {"m1.medium", "m1.large"}
    assert (await cloud.ask("GET", "/flavors?minRam=x")).status_code == 400
    assert (await cloud.ask("GET", "/flavors?limit=-1")).status_code == 400
    page = await cloud.get("/flavors?limit=2")
    assert len(page["flavors"]) == 2
    assert page["flavors_links"][0]["rel"] == "next"
    assert (await cloud.ask("GET", "/flavors?odd=1", version="2.75")).status_code == 400
    assert (await cloud.ask("GET", "/flavors?odd=1")).status_code == 200


async def test_private_flavors(cloud: Cloud) -> None:
    await create(cloud, id="9", **{"os-flavor-access:is_public": False})
    url = "/flavors/9/os-flavor-access"
    assert (await cloud.ask("GET", "/flavors/9")).status_code == 404
    given = await cloud.ask("POST", "/flavors/9/action", {"addTenantAccess": {"tenant": "p1"}}, user="root")
    assert {"flavor_id": "9", "tenant_id": "p1"} in given.json()["flavor_access"]
    assert (await cloud.ask("GET", "/flavors/9")).status_code == 200
    assert "9" in [flavor["id"] for flavor in (await cloud.get("/flavors"))["flavors"]]
    assert "9" not in [flavor["id"] for flavor in (await cloud.get("/flavors", user="bob"))["flavors"]]
    again = await cloud.ask("POST", "/flavors/9/action", {"addTenantAccess": {"tenant": "p1"}}, user="root")
    assert again.status_code == 409
    assert len((await cloud.get(url, user="root"))["flavor_access"]) == 1
    taken = await cloud.ask(
        "POST", "/flavors/9/action", {"removeTenantAccess": {"tenant": "p1"}}, user="root"
    )
    assert taken.status_code == 200
    again = await cloud.ask(
        "POST", "/flavors/9/action", {"removeTenantAccess": {"tenant": "p1"}}, user="root"
    )
    assert again.status_code == 404
    assert (await cloud.ask("GET", "/flavors/9")).status_code == 404
    assert (await cloud.ask("GET", "/flavors/42/os-flavor-access", user="root")).status_code == 404
    every = (await cloud.get("/flavors?is_public=None", user="root"))["flavors"]
    assert "9" in [flavor["id"] for flavor in every]
    public = await cloud.ask(
        "POST", "/flavors/42/action", {"addTenantAccess": {"tenant": "p1"}}, user="root", version="2.7"
    )
    assert public.status_code == 409


async def test_extra_specs(cloud: Cloud) -> None:
    url = "/flavors/42/os-extra_specs"
    made = await cloud.ask("POST", url, {"extra_specs": {"hw:a": "1", "b": 2}}, user="root")
    assert made.json() == {"extra_specs": {"hw:a": "1", "b": "2"}}
    assert (await cloud.get(url))["extra_specs"] == {"hw:a": "1", "b": "2"}
    assert await cloud.get(f"{url}/b") == {"b": "2"}
    assert (await cloud.ask("PUT", f"{url}/b", {"b": "3"}, user="root")).json() == {"b": "3"}
    assert (await cloud.ask("PUT", f"{url}/b", {"c": "3"}, user="root")).status_code == 400
    assert (await cloud.ask("DELETE", f"{url}/b", user="root")).status_code == 200
    assert (await cloud.ask("DELETE", f"{url}/b", user="root")).status_code == 404
    assert (await cloud.ask("GET", f"{url}/b")).status_code == 404
    assert (await cloud.ask("POST", url, {"extra_specs": {"x": "1"}})).status_code == 403
    assert (await cloud.ask("POST", url, {"extra_specs": {"": "1"}}, user="root")).status_code == 400
