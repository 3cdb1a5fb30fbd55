"""Unified limits: registered defaults, limits of projects and domains, both enforcement models, and what rooms ask."""

from typing import Any

import pytest

from aerostat.kernel.context import internal_context
from aerostat.kernel.quota import UnifiedLimits

from .conftest import Client


async def service_id(admin: Client) -> str:
    return str((await admin.get("/v3/services?type=identity")).json()["services"][0]["id"])


async def register(admin: Client, name: str, default: int, **more: object) -> dict[str, Any]:
    one = {"service_id": await service_id(admin), "resource_name": name, "default_limit": default, **more}
    answer = await admin.post("/v3/registered_limits", json={"registered_limits": [one]})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["registered_limits"][0]
    return made


async def limit(admin: Client, name: str, value: int, **owner: object) -> Any:
    one = {"service_id": await service_id(admin), "resource_name": name, "resource_limit": value, **owner}
    return await admin.post("/v3/limits", json={"limits": [one]})


async def test_registered_limits_are_made_shown_changed_and_deleted(admin: Client) -> None:
    made = await register(admin, "image_count_total", 10, description="so many")
    assert made["region_id"] is None
    path = f"/v3/registered_limits/{made['id']}"
    assert (await admin.get(path)).json()["registered_limit"] == made
    again = {"service_id": made["service_id"], "resource_name": "image_count_total", "default_limit": 1}
    refused = await admin.post(
        "/v3/registered_limits", json={"registered_limits": [{**again, "resource_name": "new"}, again]}
    )
    assert refused.status_code == 409
    assert len((await admin.get("/v3/registered_limits")).json()["registered_limits"]) == 1  # all or none
    assert (await admin.patch(path, json={"registered_limit": {"default_limit": 20}})).json()[
        "registered_limit"
    ]["default_limit"] == 20
    query = "/v3/registered_limits?resource_name=image_count_total"
    assert len((await admin.get(query)).json()["registered_limits"]) == 1
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404


async def test_a_registered_limit_with_limits_below_it_stays_as_it_is(admin: Client) -> None:
    made = await register(admin, "volumes", 10)
    project = await admin.make("projects", name="p")
    assert (await limit(admin, "absent", 5, project_id=project["id"])).status_code == 403
    own = (await limit(admin, "volumes", 5, project_id=project["id"])).json()["limits"][0]
    assert (own["project_id"], own["domain_id"], own["resource_limit"]) == (project["id"], None, 5)
    assert (await limit(admin, "volumes", 5, project_id=project["id"])).status_code == 409
    path = f"/v3/registered_limits/{made['id']}"
    assert (await admin.delete(path)).status_code == 403
    assert (await admin.patch(path, json={"registered_limit": {"default_limit": 1}})).status_code == 403
    changed = await admin.patch(f"/v3/limits/{own['id']}", json={"limit": {"resource_limit": 0}})
    assert changed.json()["limit"]["resource_limit"] == 0
    assert (await admin.delete(f"/v3/projects/{project['id']}")).status_code == 204
    assert (await admin.get(f"/v3/limits/{own['id']}")).status_code == 404  # gone with its project
    assert (await admin.delete(path)).status_code == 204


async def test_who_sees_which_limits(admin: Client) -> None:
    await register(admin, "volumes", 10)
    domain = (await admin.make("domains", name="d"))["id"]
    project = (await admin.make("projects", name="p", domain_id=domain))["id"]
    other = (await admin.make("projects", name="o"))["id"]
    made = {}
    for name, owner in (
        ("p", {"project_id": project}),
        ("d", {"domain_id": domain}),
        ("o", {"project_id": other}),
    ):
        made[(await limit(admin, "volumes", 5, **owner)).json()["limits"][0]["id"]] = name
    inside = await admin.persona("reader", f"projects/{project}", domain)
    of_domain = await admin.persona("reader", f"domains/{domain}", domain)
    for persona, seen in ((inside, {"p"}), (of_domain, {"p", "d"})):
        listed = (await persona.request("GET", "limits")).json()["limits"]
        assert {made[one["id"]] for one in listed} == seen
        for id, name in made.items():
            assert (await persona.status("GET", f"limits/{id}") == 200) is (name in seen)


@pytest.mark.parametrize(
    "body", [{}, {"limits": []}, {"limits": [{"resource_name": "x"}]}, {"limits": [1]}, 7]
)
async def test_a_limit_that_is_none_is_refused(admin: Client, body: object) -> None:
    assert (await admin.post("/v3/limits", json=body)).status_code == 400


@pytest.mark.parametrize("settings", [{"enforcement_model": "strict_two_level"}])
async def test_a_domain_shares_its_limit_among_its_projects(admin: Client) -> None:
    assert (await admin.get("/v3/limits/model")).json()["model"]["name"] == "strict_two_level"
    await register(admin, "volumes", 10)
    domain = (await admin.make("domains", name="d"))["id"]
    project = (await admin.make("projects", name="p", domain_id=domain))["id"]
    assert (await limit(admin, "volumes", 11, project_id=project)).status_code == 403  # more than the default
    assert (await limit(admin, "volumes", 20, domain_id=domain)).status_code == 201
    own = await limit(admin, "volumes", 11, project_id=project)
    assert own.status_code == 201
    of_domain = (await admin.get(f"/v3/limits?domain_id={domain}")).json()["limits"][0]["id"]
    lower = await admin.patch(f"/v3/limits/{of_domain}", json={"limit": {"resource_limit": 10}})
    assert lower.status_code == 403
    unlimited = {"limit": {"resource_limit": -1}}
    own_id = own.json()["limits"][0]["id"]
    assert (await admin.patch(f"/v3/limits/{own_id}", json=unlimited)).status_code == 403
    deeper = {"name": "deeper", "parent_id": project, "domain_id": domain}
    assert (await admin.post("/v3/projects", json={"project": deeper})).status_code == 403
    asking = admin.house.client("identity", internal_context("req-1"))
    assert await asking.limits_of("identity", project) == UnifiedLimits(
        {"volumes": 11}, {"volumes": 20}, (project,)
    )


async def test_a_room_asks_for_the_limits_of_a_project(admin: Client) -> None:
    asking = admin.house.client("identity", internal_context("req-1"))
    project = (await admin.make("projects", name="p"))["id"]
    assert await asking.limits_of("identity", project) == UnifiedLimits({})
    await register(admin, "volumes", 10)
    await register(admin, "volumes", 12, region_id="RegionOne")
    await register(admin, "backups", 3)
    assert await asking.limits_of("identity", project) == UnifiedLimits({"volumes": 12, "backups": 3})
    assert (await limit(admin, "volumes", -1, project_id=project, region_id="RegionOne")).status_code == 201
    assert await asking.limits_of("identity", project) == UnifiedLimits({"volumes": -1, "backups": 3})
    assert await asking.limits_of("absent", project) == UnifiedLimits({})
