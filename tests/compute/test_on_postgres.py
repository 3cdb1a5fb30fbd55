"""A server's life, lists and quotas on PostgreSQL: what SQLite might have forgiven."""

from urllib.parse import quote

import pytest

from .conftest import MICRO, Cloud


@pytest.fixture
def database_url(fresh_postgres_url: str) -> str:
    return fresh_postgres_url


async def test_a_life_with_lists(cloud: Cloud) -> None:
    server_id = await cloud.active_server(version="2.52", name="web", tags=["a"], metadata={"k": "v"})
    queries = (
        "name=" + quote("^we"),
        "ip=10.0.0.11",
        "status=ACTIVE",
        "tags=a",
        "not-tags=b",
        "changes-since=2020-01-01T00:00:00Z",
        "flavor=42",
        "locked=false",
        "sort_key=display_name&sort_dir=asc&sort_key=launched_at",
    )
    for query in queries:
        found = (await cloud.get(f"/servers/detail?{query}", version="2.73"))["servers"]
        assert [one["id"] for one in found] == [server_id], query
    assert (await cloud.ask("POST", f"/servers/{server_id}/os-interface", {})).status_code in (200, 400)
    for action in ("os-stop", "os-start", "pause", "unpause"):
        assert (await cloud.act(server_id, action)).status_code == 202
        await cloud.settle()
    await cloud.act(server_id, "resize", {"flavorRef": "84"})
    await cloud.settle()
    assert (await cloud.act(server_id, "confirmResize")).status_code == 204
    await cloud.settle()
    assert (await cloud.get("/os-quota-sets/p1/detail"))["quota_set"]["ram"]["in_use"] == MICRO
    assert len((await cloud.get("/os-migrations?limit=5", user="root", version="2.59"))["migrations"]) == 1
    assert (await cloud.get("/os-simple-tenant-usage/p1"))["tenant_usage"]["server_usages"]
    assert (await cloud.get("/flavors/detail?minRam=64&limit=2"))["flavors"]
    actions = (await cloud.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"]
    assert actions[-1]["action"] == "create"
    for reconciler in ("compute.power", "compute.orphans", "compute.providers"):
        assert await cloud.house.engine.run_one(reconciler) == 0
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert (await cloud.get("/servers?deleted=true&all_tenants=1", user="root"))["servers"]
    assert cloud.world.allocations == {}
