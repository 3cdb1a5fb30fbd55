"""Hosts as administrators see them: hypervisors, services, zones, aggregates; and what hosts say."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from aerostat.kernel.clock import clock
from aerostat.services.compute import model
from aerostat.services.compute.host.orders import (
    CONTROL_TOPIC,
    HELLO_VERB,
    OLDEST_PROTOCOL,
    PROTOCOL,
    Hello,
    Welcome,
    WhoLeft,
)
from aerostat.services.compute.hosts import HostDesk

from .conftest import NANO, Cloud

BRIEF = {"id", "hypervisor_hostname", "state", "status"}
STATISTICS = {
    "cpu_info", "current_workload", "disk_available_least", "free_disk_gb", "free_ram_mb", "local_gb",
    "local_gb_used", "memory_mb", "memory_mb_used", "running_vms", "vcpus", "vcpus_used",
}  # fmt: skip
ALWAYS = BRIEF | {"host_ip", "hypervisor_type", "hypervisor_version", "service"}


async def admin(cloud: Cloud, path: str, version: str | None = None) -> Any:
    return await cloud.get(path, user="root", version=version)


async def test_hypervisors_by_version(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    (brief,) = (await admin(cloud, "/os-hypervisors"))["hypervisors"]
    assert set(brief) == BRIEF
    assert isinstance(brief["id"], int)
    (old,) = (await admin(cloud, "/os-hypervisors/detail"))["hypervisors"]
    assert set(old) == ALWAYS | STATISTICS
    assert isinstance(old["cpu_info"], str)
    assert (old["running_vms"], old["vcpus_used"], old["memory_mb_used"]) == (1, 1, NANO + 512)
    (new,) = (await admin(cloud, "/os-hypervisors/detail?with_servers=1", "2.53"))["hypervisors"]
    assert isinstance(new["cpu_info"], dict)
    assert [one["uuid"] for one in new["servers"]] == [server_id]
    shown = (await admin(cloud, f"/os-hypervisors/{new['id']}", "2.88"))["hypervisor"]
    assert set(shown) == ALWAYS | {"uptime"}
    assert (await admin(cloud, f"/os-hypervisors/{old['id']}"))["hypervisor"] == old
    uptime = (await admin(cloud, f"/os-hypervisors/{new['id']}/uptime", "2.53"))["hypervisor"]
    assert "load average" in uptime["uptime"]
    statistics = (await admin(cloud, "/os-hypervisors/statistics"))["hypervisor_statistics"]
    assert (statistics["count"], statistics["vcpus"], statistics["running_vms"]) == (1, 8, 1)
    found = (await admin(cloud, "/os-hypervisors/fake/search"))["hypervisors"]
    assert [one["id"] for one in found] == [old["id"]]
    (with_servers,) = (await admin(cloud, "/os-hypervisors/fake-1/servers"))["hypervisors"]
    assert [one["uuid"] for one in with_servers["servers"]] == [server_id]
    pattern = await admin(cloud, "/os-hypervisors?hypervisor_hostname_pattern=fake", "2.53")
    assert len(pattern["hypervisors"]) == 1


@pytest.mark.parametrize(
    ("path", "version", "status"),
    [
        ("/os-hypervisors/odd", "2.1", 404),
        ("/os-hypervisors/99", "2.1", 404),
        ("/os-hypervisors/99", "2.53", 400),
        ("/os-hypervisors/00000000-0000-0000-0000-000000000000", "2.53", 404),
        ("/os-hypervisors/odd/search", "2.1", 404),
        ("/os-hypervisors/fake/search", "2.53", 404),
        ("/os-hypervisors?hypervisor_hostname_pattern=odd", "2.53", 404),
        ("/os-hypervisors?marker=odd", "2.33", 400),
        ("/os-hypervisors/statistics", "2.88", 400),
    ],
)
async def test_hypervisors_that_are_not_there(cloud: Cloud, path: str, version: str, status: int) -> None:
    assert (await cloud.ask("GET", path, user="root", version=version)).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/os-hypervisors",
        "/os-hypervisors/detail",
        "/os-services",
        "/os-aggregates",
        "/os-availability-zone/detail",
        "/os-migrations",
        "/os-simple-tenant-usage",
        "/os-quota-sets/p2",
        "/os-quota-class-sets/default",
    ],
)
async def test_what_users_may_not_see(cloud: Cloud, path: str) -> None:
    assert (await cloud.ask("GET", path)).status_code == 403


async def test_services(cloud: Cloud) -> None:
    (old,) = (await admin(cloud, "/os-services"))["services"]
    assert set(old) == {"id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason"}
    (service,) = (await admin(cloud, "/os-services?binary=nova-compute&host=fake-1", "2.53"))["services"]
    assert (service["status"], service["state"], service["forced_down"]) == ("enabled", "up", False)
    assert (await admin(cloud, "/os-services?binary=nova-scheduler"))["services"] == []
    url = f"/os-services/{service['id']}"
    body = {"status": "disabled", "disabled_reason": "broken"}
    changed = await cloud.ask("PUT", url, body, user="root", version="2.53")
    assert changed.json()["service"]["disabled_reason"] == "broken"
    for bad in (
        {},
        {"status": "odd"},
        {"disabled_reason": "x"},
        {"status": "enabled", "disabled_reason": "x"},
    ):
        assert (await cloud.ask("PUT", url, bad, user="root", version="2.53")).status_code == 400
    named = {"host": "fake-1", "binary": "nova-compute"}
    enabled = await cloud.ask("PUT", "/os-services/enable", named, user="root")
    assert enabled.json() == {"service": {**named, "status": "enabled"}}
    disabled = await cloud.ask("PUT", "/os-services/disable", named, user="root")
    assert disabled.json() == {"service": {**named, "status": "disabled"}}
    reason = await cloud.ask(
        "PUT", "/os-services/disable-log-reason", {**named, "disabled_reason": "x"}, user="root"
    )
    assert reason.json()["service"]["disabled_reason"] == "x"
    down = await cloud.ask(
        "PUT", "/os-services/force-down", {**named, "forced_down": True}, user="root", version="2.11"
    )
    assert down.json()["service"]["forced_down"] is True
    assert (await admin(cloud, "/os-services"))["services"][0]["state"] == "down"
    odd = {"host": "odd", "binary": "nova-compute"}
    assert (await cloud.ask("PUT", "/os-services/enable", odd, user="root")).status_code == 404


async def test_a_service_goes_when_its_host_is_empty(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    (service,) = (await admin(cloud, "/os-services", "2.53"))["services"]
    url = f"/os-services/{service['id']}"
    assert (await cloud.ask("DELETE", url, user="root", version="2.53")).status_code == 409
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert (await cloud.ask("DELETE", url, user="root", version="2.53")).status_code == 204
    assert cloud.world.providers == {}
    (agent,) = cloud.house.state["compute"].agents
    await agent.report()
    await _until(cloud, lambda hosts: len(hosts) == 1)
    await cloud.settle()
    assert len(cloud.world.providers) == 1


async def _until(cloud: Cloud, fits: Any) -> None:
    import asyncio

    for _ in range(100):
        if fits(await cloud.db.all(model.HOSTS)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the report was not taken in")


async def test_a_silent_host_is_down(cloud: Cloud, standing_clock: None) -> None:
    assert (await admin(cloud, "/os-hypervisors"))["hypervisors"][0]["state"] == "up"
    clock.step(seconds=timedelta(minutes=5).total_seconds())
    assert (await admin(cloud, "/os-hypervisors"))["hypervisors"][0]["state"] == "down"
    server_id = await cloud.make_server()
    await cloud.settle()
    assert "1 of 1 hosts are down" in (await cloud.server(server_id))["fault"]["message"]


async def test_zones(cloud: Cloud) -> None:
    assert (await cloud.get("/os-availability-zone"))["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}
    ]
    (detail,) = (await admin(cloud, "/os-availability-zone/detail"))["availabilityZoneInfo"]
    assert detail["hosts"]["fake-1"]["nova-compute"]["available"] is True


async def test_aggregates(cloud: Cloud) -> None:
    async def ask(method: str, path: str = "", body: Any = None, version: str = "2.41") -> Any:
        return await cloud.ask(method, f"/os-aggregates{path}", body, user="root", version=version)

    made = await ask("POST", body={"aggregate": {"name": "a", "availability_zone": "east"}})
    assert made.status_code == 200
    aggregate = made.json()["aggregate"]
    assert "hosts" not in aggregate
    assert "uuid" in aggregate
    assert (await ask("POST", body={"aggregate": {"name": "a"}})).status_code == 409
    url = f"/{aggregate['id']}"
    shown = (await ask("GET", url)).json()["aggregate"]
    assert (shown["hosts"], shown["metadata"]) == ([], {"availability_zone": "east"})
    added = await ask("POST", f"{url}/action", {"add_host": {"host": "fake-1"}})
    assert added.json()["aggregate"]["hosts"] == ["fake-1"]
    assert (await ask("POST", f"{url}/action", {"add_host": {"host": "fake-1"}})).status_code == 409
    assert (await ask("POST", f"{url}/action", {"add_host": {"host": "odd"}})).status_code == 404
    other = (await ask("POST", body={"aggregate": {"name": "b", "availability_zone": "west"}})).json()
    clash = await ask("POST", f"/{other['aggregate']['id']}/action", {"add_host": {"host": "fake-1"}})
    assert clash.status_code == 409
    meta = await ask("POST", f"{url}/action", {"set_metadata": {"metadata": {"ssd": "true", "x": None}}})
    assert meta.json()["aggregate"]["metadata"] == {"availability_zone": "east", "ssd": "true"}
    assert (await ask("DELETE", url)).status_code == 400
    await cloud.active_server()
    moved = await ask("PUT", url, {"aggregate": {"availability_zone": "north"}})
    assert moved.status_code == 400
    assert (await ask("PUT", url, {"aggregate": {"name": "c"}})).json()["aggregate"]["name"] == "c"
    assert (await ask("PUT", url, {"aggregate": {"name": "b"}})).status_code == 409
    assert (await ask("POST", f"{url}/action", {"remove_host": {"host": "fake-1"}})).status_code == 200
    assert (await ask("POST", f"{url}/action", {"remove_host": {"host": "fake-1"}})).status_code == 404
    assert (await ask("DELETE", url)).status_code == 200
    assert (await ask("GET", url)).status_code == 404
    for bad in ({"name": ""}, {"name": "x", "availability_zone": "a:b"}, {"name": "x", "odd": 1}, {}):
        assert (await ask("POST", body={"aggregate": bad})).status_code == 400


async def test_images_are_fetched_in_advance(cloud: Cloud) -> None:
    import asyncio

    made = await cloud.ask("POST", "/os-aggregates", {"aggregate": {"name": "a"}}, user="root")
    url = f"/os-aggregates/{made.json()['aggregate']['id']}"
    await cloud.ask("POST", f"{url}/action", {"add_host": {"host": "fake-1"}}, user="root")
    body = {"cache": [{"id": cloud.image["id"]}]}
    answer = await cloud.ask("POST", f"{url}/images", body, user="root", version="2.81")
    assert answer.status_code == 202
    for _ in range(100):
        if await cloud.host().list_base_images():
            break
        await asyncio.sleep(0.01)
    assert [image.id for image in await cloud.host().list_base_images()] == [cloud.image["id"]]


async def greet(cloud: Cloud, **who: Any) -> Welcome:
    hello = Hello(**{"name": "new", "machine_id": "m1", "at": clock.now(), "version": "0.1", **who})
    return await cloud.house.bus.call(CONTROL_TOPIC, HELLO_VERB, hello, timeout_s=5, into=Welcome)


async def test_who_may_be_a_host(cloud: Cloud, standing_clock: None) -> None:
    assert await greet(cloud) == Welcome(at=clock.now())
    assert "upgrade the host" in (await greet(cloud, protocol=OLDEST_PROTOCOL - 1)).refusal
    assert "upgrade the control plane" in (await greet(cloud, protocol=PROTOCOL + 1)).refusal
    await cloud.db.update(model.HOSTS, {"name": "fake-1"}, machine_id="m1")
    assert "another machine serves as fake-1" in (await greet(cloud, name="fake-1", machine_id="m2")).refusal
    assert await greet(cloud, name="fake-1") == Welcome(at=clock.now())
    clock.step(seconds=61)  # the first is silent, so the second may take its place
    assert await greet(cloud, name="fake-1", machine_id="m2") == Welcome(at=clock.now())


async def test_what_a_server_has_left_while_its_owner_decides_on_a_resize(cloud: Cloud) -> None:
    """Found by the simulator: files of an earlier move lay on a host for as long as nobody confirmed the resize."""
    desk, store = HostDesk(cloud.house.state["compute"]), cloud.house.store
    server_id = await cloud.active_server()

    async def left(host: str) -> bool:
        return await desk.who_left(WhoLeft(host, (server_id,))) == [server_id]

    move = {"server_id": server_id, "project_id": "p1", "user_id": "alice", "number": 1}
    await store.insert(
        model.MIGRATIONS, **move, kind="live-migration", status="completed", source_host="before"
    )
    await store.insert(
        model.MIGRATIONS,
        **{**move, "number": 2},
        kind="migration",
        status="finished",
        source_host="came-from",
        dest_host="fake-1",
    )
    await store.update(model.SERVERS, {"id": server_id}, state="resized")
    assert [await left(host) for host in ("before", "came-from", "fake-1")] == [True, False, False]
    await store.update(model.SERVERS, {"id": server_id}, state="resizing")
    assert not await left("before")


async def test_a_report_of_a_host_that_may_not_serve_is_not_taken(cloud: Cloud) -> None:
    report = await cloud.house.state["compute"].agents[0].describe()
    desk = HostDesk(cloud.house.state["compute"])
    for wrong in (
        msgspec.structs.replace(report, name="another"),
        msgspec.structs.replace(report, name="old", who=None),
    ):
        await desk.take_report(wrong)
    await desk.take_report(
        msgspec.structs.replace(report, name="b", who=msgspec.structs.replace(report.who, name="b")), "host-a"
    )
    assert [host.name for host in await cloud.db.all(model.HOSTS)] == ["fake-1"]


async def test_a_host_with_a_wrong_clock_keeps_what_it_has_and_gets_nothing_new(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert "3600 s ahead" in (await greet(cloud, at=clock.now() + timedelta(hours=1))).warning
    report = await cloud.house.state["compute"].agents[0].describe()
    late = msgspec.structs.replace(report.who, at=clock.now() - timedelta(hours=1))
    await HostDesk(cloud.house.state["compute"]).take_report(msgspec.structs.replace(report, who=late))
    refused = await cloud.make_server()
    await cloud.settle()
    assert "wrong clock" in (await cloud.server(refused))["fault"]["message"]
    assert (await cloud.server(server_id))["status"] == "ACTIVE"
    answer = await cloud.http.get("/compute/hosts", headers={"x-auth-token": "root"})
    assert "3600 s behind" in answer.json()["hosts"][0]["remark"]
    assert (await cloud.http.get("/compute/hosts", headers={"x-auth-token": "alice"})).status_code == 403


async def test_a_lost_host_is_forgotten_by_force_only(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    service = (await admin(cloud, "/os-services", "2.53"))["services"][0]["id"]
    path = f"/compute/v2.1/os-services/{service}"
    headers = {"x-auth-token": "root", "X-OpenStack-Nova-API-Version": "2.53"}
    assert (await cloud.http.delete(path, headers=headers)).status_code == 409
    answer = await cloud.http.delete(path, headers={**headers, "X-Aerostat-Force": "true"})
    assert answer.status_code == 204
    shown = await cloud.server(server_id)
    assert shown["status"] == "ERROR"
    assert "taken out of the cloud" in shown["fault"]["message"]
    assert cloud.world.allocations == {}
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert (await cloud.ask("GET", f"/servers/{server_id}")).status_code == 404
