"""Quota sets, limits, server groups and usage."""

from typing import Any

import pytest

from aerostat.kernel.clock import clock

from .conftest import NANO, Cloud

NAMES = {"instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members"}
INJECTED = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
OF_NETWORK = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}


@pytest.mark.parametrize(
    ("version", "names"),
    [("2.1", NAMES | INJECTED | OF_NETWORK), ("2.36", NAMES | INJECTED), ("2.57", NAMES)],
)
async def test_names_by_version(cloud: Cloud, version: str, names: set[str]) -> None:
    for path in ("/os-quota-sets/p1", "/os-quota-sets/p1/defaults", "/os-quota-sets/p1/detail"):
        shown = (await cloud.get(path, version=version))["quota_set"]
        assert set(shown) == names | {"id"}
    put = await cloud.ask(
        "PUT", "/os-quota-sets/p1", {"quota_set": {"cores": 5}}, user="root", version=version
    )
    assert set(put.json()["quota_set"]) == names


async def test_change_and_reset(cloud: Cloud) -> None:
    await cloud.active_server()
    url = "/os-quota-sets/p1"

    async def put(user: str = "root", **limits: Any) -> Any:
        return await cloud.ask("PUT", url, {"quota_set": limits}, user=user)

    assert (await put(instances="3")).json()["quota_set"]["instances"] == 3
    detail = (await cloud.get(f"{url}/detail"))["quota_set"]
    assert detail["instances"] == {"limit": 3, "in_use": 1, "reserved": 0}
    assert detail["ram"]["in_use"] == NANO
    assert (await put(instances=0)).status_code == 400
    assert (await put(instances=0, force=True)).status_code == 200
    assert (await put(user="alice", instances=9)).status_code == 403
    for bad in ({"odd": 1}, {"cores": -2}, {"cores": "x"}, {"cores": 1.5}):
        assert (await put(**bad)).status_code == 400
    assert (await cloud.ask("DELETE", url, user="root")).status_code == 202
    assert (await cloud.get(url))["quota_set"]["instances"] == 10


async def test_the_class_of_all_projects(cloud: Cloud) -> None:
    body = {"quota_class_set": {"instances": 4}}
    changed = await cloud.ask("PUT", "/os-quota-class-sets/default", body, user="root", version="2.57")
    assert set(changed.json()["quota_class_set"]) == NAMES
    shown = (await cloud.get("/os-quota-class-sets/default", user="root"))["quota_class_set"]
    assert set(shown) == NAMES - {"server_groups", "server_group_members"} | INJECTED | OF_NETWORK | {"id"}
    assert (await cloud.get("/os-quota-sets/p1"))["quota_set"]["instances"] == 4


async def test_limits(cloud: Cloud) -> None:
    await cloud.active_server()
    old = (await cloud.get("/limits"))["limits"]
    assert old["rate"] == []
    assert (old["absolute"]["totalInstancesUsed"], old["absolute"]["maxTotalInstances"]) == (1, 10)
    assert {"maxImageMeta", "maxPersonality", "maxSecurityGroups"} <= set(old["absolute"])
    new = (await cloud.get("/limits", version="2.57"))["limits"]["absolute"]
    assert set(new) == {
        "maxServerMeta", "maxTotalInstances", "maxTotalCores", "maxTotalRAMSize", "maxTotalKeypairs",
        "maxServerGroups", "maxServerGroupMembers", "totalInstancesUsed", "totalCoresUsed", "totalRAMUsed",
        "totalServerGroupsUsed",
    }  # fmt: skip
    assert (await cloud.ask("GET", "/limits?tenant_id=p2")).status_code == 403
    other = (await cloud.get("/limits?tenant_id=p1", user="root"))["limits"]["absolute"]
    assert other["totalInstancesUsed"] == 1


async def test_server_groups_by_version(cloud: Cloud) -> None:
    body = {"server_group": {"name": "g", "policies": ["affinity"]}}
    old = (await cloud.ask("POST", "/os-server-groups", body)).json()["server_group"]
    assert set(old) == {"id", "name", "policies", "members", "metadata"}
    body = {"server_group": {"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}}}
    made = await cloud.ask("POST", "/os-server-groups", body, version="2.64")
    assert made.status_code == 200
    new = made.json()["server_group"]
    assert set(new) == {"id", "name", "policy", "rules", "members", "project_id", "user_id"}
    assert new["rules"] == {"max_server_per_host": 2}
    assert len((await cloud.get("/os-server-groups"))["server_groups"]) == 2
    assert len((await cloud.get("/os-server-groups?limit=1&offset=1"))["server_groups"]) == 1
    url = f"/os-server-groups/{old['id']}"
    assert (await cloud.ask("GET", url, user="bob")).status_code == 404
    assert (await cloud.ask("DELETE", url, user="bob")).status_code == 404
    assert (await cloud.get("/os-server-groups", user="root"))["server_groups"] == []
    assert len((await cloud.get("/os-server-groups?all_projects", user="root"))["server_groups"]) == 2
    assert (await cloud.ask("DELETE", url)).status_code == 204
    assert (await cloud.ask("GET", url)).status_code == 404


@pytest.mark.parametrize(
    ("group", "version"),
    [
        ({"name": "g"}, "2.1"),
        ({"name": "", "policies": ["affinity"]}, "2.1"),
        ({"name": "g", "policies": []}, "2.1"),
        ({"name": "g", "policies": ["soft-affinity"]}, "2.14"),
        ({"name": "g", "policies": ["affinity", "anti-affinity"]}, "2.15"),
        ({"name": "g", "policies": ["affinity"]}, "2.64"),
        ({"name": "g", "policy": "odd"}, "2.64"),
        ({"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}}, "2.64"),
        ({"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 0}}, "2.64"),
    ],
)
async def test_bad_server_groups(cloud: Cloud, group: dict[str, Any], version: str) -> None:
    answer = await cloud.ask("POST", "/os-server-groups", {"server_group": group}, version=version)
    assert answer.status_code == 400


async def test_the_quota_of_server_groups(cloud: Cloud) -> None:
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"server_groups": 0}}, user="root")
    body = {"server_group": {"name": "g", "policies": ["affinity"]}}
    assert (await cloud.ask("POST", "/os-server-groups", body)).status_code == 403


async def test_usage(cloud: Cloud, standing_clock: None) -> None:
    server_id = await cloud.active_server()
    clock.step(seconds=7200)
    (usage,) = (await cloud.get("/os-simple-tenant-usage?detailed=1", user="root"))["tenant_usages"]
    assert usage["tenant_id"] == "p1"
    assert usage["total_hours"] == pytest.approx(2.0)
    assert usage["total_memory_mb_usage"] == pytest.approx(256.0)
    (server,) = usage["server_usages"]
    assert (server["instance_id"], server["state"], server["uptime"]) == (server_id, "active", 7200)
    own = (await cloud.get("/os-simple-tenant-usage/p1"))["tenant_usage"]
    assert own["total_hours"] == pytest.approx(2.0)
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    clock.step(seconds=7200)
    after = (await cloud.get("/os-simple-tenant-usage/p1"))["tenant_usage"]
    assert after["total_hours"] == pytest.approx(2.0)
    assert after["server_usages"][0]["state"] == "terminated"
    assert (await cloud.ask("GET", "/os-simple-tenant-usage/p1", user="bob")).status_code == 403
    assert await cloud.get("/os-simple-tenant-usage/p2", user="bob") == {"tenant_usage": {}}
    bad = "/os-simple-tenant-usage/p1?start=2030-01-01T00:00:00&end=2029-01-01T00:00:00"
    assert (await cloud.ask("GET", bad)).status_code == 400
    assert (await cloud.ask("GET", "/os-simple-tenant-usage/p1?start=odd")).status_code == 400


async def test_what_is_listed_without_a_word_of_its_own(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    aliases = [one["alias"] for one in (await cloud.get("/extensions"))["extensions"]]
    assert "os-keypairs" in aliases
    assert (await cloud.get("/extensions/os-keypairs"))["extension"]["name"] == "Keypairs"
    assert (await cloud.ask("GET", "/extensions/odd")).status_code == 404
    assert await cloud.get("/os-migrations", user="root") == {"migrations": []}
    assert await cloud.get(f"/servers/{server_id}/migrations", user="root", version="2.23") == {
        "migrations": []
    }
