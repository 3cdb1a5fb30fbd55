"""Servers over HTTP: lists and filters, showing, changing, and the actions that need no word of their own."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from aerostat.services.compute.model import SERVERS
from aerostat.services.compute.resources.server.create import hostname_of

from .conftest import NANO, Cloud

BASE = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress",
    "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at", "security_groups", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state", "os-extended-volumes:volumes_attached",
}  # fmt: skip
ADMIN = {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:instance_name", "OS-EXT-SRV-ATTR:hypervisor_hostname"}
ADMIN_2_3 = {
    f"OS-EXT-SRV-ATTR:{name}"
    for name in (
        "reservation_id",
        "launch_index",
        "hostname",
        "kernel_id",
        "ramdisk_id",
        "root_device_name",
        "user_data",
    )
}


@pytest.mark.parametrize(
    ("version", "user", "fields"),
    [
        ("2.1", "alice", BASE),
        ("2.1", "root", BASE | ADMIN),
        ("2.3", "root", BASE | ADMIN | ADMIN_2_3),
        ("2.9", "alice", BASE | {"locked"}),
        ("2.16", "root", BASE | ADMIN | ADMIN_2_3 | {"locked", "host_status"}),
        ("2.26", "alice", BASE | {"locked", "description", "tags"}),
        ("2.63", "alice", BASE | {"locked", "description", "tags", "trusted_image_certificates"}),
        (
            "2.73",
            "alice",
            BASE
            | {
                "locked",
                "description",
                "tags",
                "trusted_image_certificates",
                "server_groups",
                "locked_reason",
            },
        ),
    ],
)
async def test_fields_by_version(cloud: Cloud, version: str, user: str, fields: set[str]) -> None:
    server_id = await cloud.active_server()
    shown = await cloud.server(server_id, version=version, user=user)
    assert set(shown) == fields


async def test_the_flavor_is_embedded_since_2_47(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert set((await cloud.server(server_id, version="2.46"))["flavor"]) == {"id", "links"}
    assert (await cloud.server(server_id, version="2.47"))["flavor"] == {
        "vcpus": 1, "ram": NANO, "disk": 1, "ephemeral": 0, "swap": 0, "original_name": "m1.nano", "extra_specs": {}
    }  # fmt: skip


async def test_strangers_see_nothing(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/ips"),
        ("GET", "/metadata"),
        ("GET", "/os-interface"),
        ("GET", "/os-instance-actions"),
        ("GET", "/os-security-groups"),
    ):
        answer = await cloud.ask(method, f"/servers/{server_id}{path}", user="bob")
        assert answer.status_code == 404, (method, path)
    assert (await cloud.act(server_id, "os-stop", user="bob")).status_code == 404
    assert (await cloud.get("/servers", user="bob"))["servers"] == []
    assert (await cloud.act(server_id, "os-stop", user="ann")).status_code == 403


async def test_update(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    url = f"/servers/{server_id}"
    changed = await cloud.ask(
        "PUT", url, {"server": {"name": "two", "accessIPv4": "192.0.2.1", "accessIPv6": "2001:db8::1"}}
    )
    assert changed.status_code == 200
    server = changed.json()["server"]
    assert (server["name"], server["accessIPv4"]) == ("two", "192.0.2.1")
    assert "OS-EXT-STS:vm_state" not in server
    whole = await cloud.ask("PUT", url, {"server": {"description": "fine"}}, version="2.75")
    assert whole.json()["server"]["description"] == "fine"
    assert "OS-EXT-STS:vm_state" in whole.json()["server"]
    for bad in ({"name": ""}, {"name": "x" * 256}, {"accessIPv4": "1.2.3"}, {"accessIPv6": "x"}, {"odd": 1}):
        assert (await cloud.ask("PUT", url, {"server": bad})).status_code == 400
    assert (await cloud.ask("PUT", url, {"server": {"description": "x"}})).status_code == 400  # 2.19
    assert (await cloud.ask("PUT", "/servers/odd", {"server": {"name": "x"}})).status_code == 404


async def make_three(cloud: Cloud) -> dict[str, str]:
    ids = {
        "one": await cloud.make_server(name="web-one", version="2.52", tags=["a", "b"]),
        "two": await cloud.make_server(name="web-two", version="2.52", tags=["b"]),
        "three": await cloud.make_server(name="db", flavorRef="84"),
    }
    await cloud.settle()
    await cloud.act(ids["two"], "os-stop")
    await cloud.settle()
    return ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"one", "two", "three"}),
        ("name=web", {"one", "two"}),
        ("name=" + quote("^web-o"), {"one"}),
        ("name=" + quote("e$"), {"one"}),
        ("name=nothing", set()),
        ("status=ACTIVE", {"one", "three"}),
        ("status=shutoff", {"two"}),
        ("status=odd", set()),
        ("flavor=84", {"three"}),
        ("flavor=odd", set()),
        ("image=00000000-0000-0000-0000-000000000000", set()),
        ("ip=" + quote("10.0.0.1[12]$"), {"one", "two"}),
        ("ip=10.0.0.13", {"three"}),
        ("host=odd", {"one", "two", "three"}),  # not for users: passed over
        ("tags=b", {"one", "two"}),
        ("tags=a,b", {"one"}),
        ("tags-any=a,c", {"one"}),
        ("not-tags=a,b", {"two", "three"}),
        ("not-tags-any=a,b", {"three"}),
        ("changes-since=2020-01-01T00:00:00Z", {"one", "two", "three"}),
        ("changes-since=2099-01-01T00:00:00Z", set()),
        ("sort_key=display_name&sort_dir=asc&limit=1", {"three"}),
    ],
)
async def test_filters(cloud: Cloud, query: str, found: set[str]) -> None:
    ids = await make_three(cloud)
    for path in ("/servers", "/servers/detail"):
        listed = {one["id"] for one in (await cloud.get(f"{path}?{query}", version="2.26"))["servers"]}
        assert listed == {ids[name] for name in found}, path


@pytest.mark.parametrize(
    ("query", "version", "status"),
    [
        ("limit=-1", "2.1", 400),
        ("limit=x", "2.1", 400),
        ("marker=odd", "2.1", 400),
        ("changes-since=never", "2.1", 400),
        ("sort_key=odd", "2.1", 400),
        ("sort_key=vm_state&sort_dir=up", "2.1", 400),
        ("status=odd", "2.38", 400),
        ("status=deleted", "2.1", 403),
        ("all_tenants=1", "2.1", 403),
        ("all_tenants=odd", "2.1", 400),
        ("odd=1", "2.1", 200),
        ("odd=1", "2.75", 400),
        ("changes-since=2021-01-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z", "2.66", 400),
    ],
)
async def test_odd_queries(cloud: Cloud, query: str, version: str, status: int) -> None:
    assert (await cloud.ask("GET", f"/servers?{query}", version=version)).status_code == status


async def test_administrators_see_all_projects_and_deleted_servers(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.ask("DELETE", f"/servers/{server_id}")
    other = await cloud.make_server()
    await cloud.settle()
    assert (await cloud.get("/servers", user="root"))["servers"] == []
    every = (await cloud.get("/servers/detail?all_tenants=1", user="root"))["servers"]
    assert [one["id"] for one in every] == [other]
    gone = (await cloud.get("/servers/detail?all_tenants=1&deleted=true", user="root"))["servers"]
    assert [(one["id"], one["status"]) for one in gone] == [(server_id, "DELETED")]
    since = await cloud.get("/servers/detail?changes-since=2020-01-01T00:00:00Z")
    assert {one["id"] for one in since["servers"]} == {server_id, other}
    here = (await cloud.get("/servers?all_tenants=1&host=fake-1", user="root"))["servers"]
    assert [one["id"] for one in here] == [other]


async def test_pages(cloud: Cloud) -> None:
    await make_three(cloud)
    seen, path = [], "/servers?limit=2"
    while path:
        page = await cloud.get(path)
        seen += [one["name"] for one in page["servers"]]
        links = page.get("servers_links", [])
        path = links[0]["href"].split("/v2.1")[1] if links else ""
    assert seen == ["db", "web-two", "web-one"]


async def test_the_power_actions(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    story = [
        ("pause", None, "PAUSED", "paused"),
        ("unpause", None, "ACTIVE", "running"),
        ("suspend", None, "SUSPENDED", "suspended"),
        ("resume", None, "ACTIVE", "running"),
        ("os-stop", None, "SHUTOFF", "shutoff"),
        ("os-start", None, "ACTIVE", "running"),
        ("reboot", {"type": "SOFT"}, "ACTIVE", "running"),
        ("reboot", {"type": "HARD"}, "ACTIVE", "running"),
    ]
    for action, argument, status, power in story:
        answer = await cloud.act(server_id, action, argument)
        assert answer.status_code == 202, (action, answer.text)
        await cloud.settle()
        assert (await cloud.server(server_id))["status"] == status, action
        assert (await cloud.host().inspect_domain(server_id)).state == power, action


@pytest.mark.parametrize("action", ["os-start", "unpause", "resume", "confirmResize", "revertResize"])
async def test_what_an_active_server_refuses(cloud: Cloud, action: str) -> None:
    server_id = await cloud.active_server()
    answer = await cloud.act(server_id, action)
    assert answer.status_code == 409
    assert "vm_state active" in answer.json()["conflictingRequest"]["message"]


async def test_a_server_that_is_built_refuses_everything_but_deletion(cloud: Cloud) -> None:
    server_id = await cloud.make_server()
    for action, argument in (("os-stop", None), ("reboot", {"type": "SOFT"}), ("pause", None)):
        assert (await cloud.act(server_id, action, argument)).status_code == 409
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204
    await cloud.settle()
    assert cloud.world.ports == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"odd": None},
        {"os-stop": None, "os-start": None},
        {"reboot": {"type": "warm"}},
        {"reboot": {}},
        {"os-stop": {"a": 1}},
        {"os-resetState": {"state": "odd"}},
        {"addSecurityGroup": {}},
        [],
        "os-stop",
    ],
)
async def test_odd_actions(cloud: Cloud, body: Any) -> None:
    server_id = await cloud.active_server()
    answer = await cloud.ask("POST", f"/servers/{server_id}/action", body, user="root")
    assert answer.status_code == 400


async def test_locks(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "lock", {"locked_reason": "mine"}, version="2.73")).status_code == 202
    shown = await cloud.server(server_id, version="2.73")
    assert (shown["locked"], shown["locked_reason"]) == (True, "mine")
    refused = await cloud.act(server_id, "os-stop")
    assert refused.status_code == 409
    assert refused.json()["conflictingRequest"]["message"] == f"Instance {server_id} is locked"
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 409
    assert (await cloud.act(server_id, "unlock")).status_code == 202
    assert (await cloud.act(server_id, "lock", user="root")).status_code == 202
    assert (await cloud.act(server_id, "unlock")).status_code == 403
    assert (await cloud.act(server_id, "os-stop", user="root")).status_code == 202
    assert (await cloud.act(server_id, "unlock", user="root")).status_code == 202
    for body in ({"locked_reason": ""}, {"locked_reason": "x", "why": "y"}, [], "mine", 0, True):
        assert (await cloud.act(server_id, "lock", body, version="2.73")).status_code == 400, body


async def test_reset_state(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "os-resetState", {"state": "error"})).status_code == 403
    assert (await cloud.act(server_id, "os-resetState", {"state": "error"}, user="root")).status_code == 202
    broken = await cloud.server(server_id)
    assert broken["status"] == "ERROR"
    assert broken["fault"]["code"] == 500
    assert (await cloud.act(server_id, "os-resetState", {"state": "active"}, user="root")).status_code == 202
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def test_what_is_not_deleted_is_not_restored(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "restore")).status_code == 409


async def test_metadata(cloud: Cloud) -> None:
    server_id = await cloud.active_server(metadata={"a": "1"})
    url = f"/servers/{server_id}/metadata"
    assert (await cloud.ask("POST", url, {"metadata": {"b": "2"}})).json() == {
        "metadata": {"a": "1", "b": "2"}
    }
    assert (await cloud.ask("PUT", url, {"metadata": {"c": "3"}})).json() == {"metadata": {"c": "3"}}
    assert (await cloud.get(f"{url}/c")) == {"meta": {"c": "3"}}
    assert (await cloud.ask("PUT", f"{url}/c", {"meta": {"c": "4"}})).json() == {"meta": {"c": "4"}}
    assert (await cloud.ask("PUT", f"{url}/c", {"meta": {"d": "4"}})).status_code == 400
    assert (await cloud.ask("GET", f"{url}/z")).status_code == 404
    assert (await cloud.ask("DELETE", f"{url}/c")).status_code == 204
    assert (await cloud.ask("DELETE", f"{url}/c")).status_code == 404
    assert (await cloud.get(url)) == {"metadata": {}}
    for bad in ({"": "x"}, {"k" * 256: "x"}, {"k": "x" * 256}, {"k": 1}, None):
        assert (await cloud.ask("POST", url, {"metadata": bad})).status_code == 400
    many = {f"k{number}": "v" for number in range(129)}
    assert (await cloud.ask("POST", url, {"metadata": many})).status_code == 403


async def test_tags(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    url = f"/servers/{server_id}/tags"
    assert (await cloud.ask("GET", url, version="2.25")).status_code == 404
    assert (await cloud.ask("PUT", url, {"tags": ["b", "a"]}, version="2.26")).json() == {"tags": ["a", "b"]}
    added = await cloud.ask("PUT", f"{url}/c", version="2.26")
    assert added.status_code == 201
    assert added.headers["location"].endswith(f"{url}/c")
    assert (await cloud.ask("PUT", f"{url}/c", version="2.26")).status_code == 204
    assert (await cloud.ask("GET", f"{url}/c", version="2.26")).status_code == 204
    assert (await cloud.ask("DELETE", f"{url}/c", version="2.26")).status_code == 204
    assert (await cloud.ask("GET", f"{url}/c", version="2.26")).status_code == 404
    assert (await cloud.ask("DELETE", f"{url}/c", version="2.26")).status_code == 404
    assert (await cloud.ask("PUT", f"{url}/{'x' * 61}", version="2.26")).status_code == 400
    assert (await cloud.ask("PUT", url, {"tags": ["a,b"]}, version="2.26")).status_code == 400
    assert (await cloud.ask("DELETE", url, version="2.26")).status_code == 204
    assert (await cloud.get(url, version="2.26")) == {"tags": []}


async def test_addresses(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert await cloud.get(f"/servers/{server_id}/ips") == {
        "addresses": {"private": [{"version": 4, "addr": "10.0.0.11"}]}
    }
    assert await cloud.get(f"/servers/{server_id}/ips/private") == {
        "private": [{"version": 4, "addr": "10.0.0.11"}]
    }
    assert (await cloud.ask("GET", f"/servers/{server_id}/ips/odd")).status_code == 404


async def test_a_floating_ip_shows_after_the_network_room_spoke(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    (port,) = cloud.world.ports.values()
    cloud.world.floating_ips["f"] = {"id": "f", "port_id": port["id"], "floating_ip_address": "172.24.4.9"}
    assert len((await cloud.server(server_id))["addresses"]["private"]) == 1
    await cloud.house.bus.publish("network.ports_changed", {"device_ids": [server_id, "router-1"]})
    for _ in range(10):
        if (await cloud.db.get(SERVERS, id=server_id)).interfaces_stale:
            break
        await asyncio.sleep(0.01)
    entries = (await cloud.server(server_id))["addresses"]["private"]
    assert [(one["addr"], one["OS-EXT-IPS:type"]) for one in entries] == [
        ("10.0.0.11", "fixed"),
        ("172.24.4.9", "floating"),
    ]


async def test_instance_actions(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    url = f"/servers/{server_id}/os-instance-actions"
    actions = (await cloud.get(url))["instanceActions"]
    assert [one["action"] for one in actions] == ["stop", "create"]
    assert set(actions[0]) == {
        "action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"
    }  # fmt: skip
    assert actions[1]["user_id"] == "alice"
    one = (await cloud.get(f"{url}/{actions[1]['request_id']}", version="2.84"))["instanceAction"]
    assert [event["event"] for event in one["events"]] == [
        "compute_claim_host",
        "compute_claim_host",
        "compute_make_ports",
        "compute_fetch_image",
        "compute_boot",
    ]
    assert all(event["result"] == "Success" for event in one["events"])
    assert "events" not in (await cloud.get(f"{url}/{actions[1]['request_id']}"))["instanceAction"]
    assert (await cloud.ask("GET", f"{url}/req-odd")).status_code == 404
    page = await cloud.get(f"{url}?limit=1", version="2.58")
    assert [one["action"] for one in page["instanceActions"]] == ["stop"]
    assert page["links"]
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert (await cloud.ask("GET", url)).status_code == 404
    after = (await cloud.get(url, version="2.21"))["instanceActions"]
    assert [one["action"] for one in after] == ["delete", "stop", "create"]


async def test_security_groups(cloud: Cloud) -> None:
    group = cloud.world.add_group("web")
    server_id = await cloud.active_server()
    url = f"/servers/{server_id}/os-security-groups"
    assert [one["name"] for one in (await cloud.get(url))["security_groups"]] == ["default"]
    assert (await cloud.act(server_id, "addSecurityGroup", {"name": "web"})).status_code == 202
    assert {one["name"] for one in (await cloud.get(url))["security_groups"]} == {"default", "web"}
    assert {"name": "web"} in (await cloud.server(server_id))["security_groups"]
    assert (await cloud.act(server_id, "removeSecurityGroup", {"name": group["id"]})).status_code == 202
    assert (await cloud.act(server_id, "removeSecurityGroup", {"name": "web"})).status_code == 404
    assert (await cloud.act(server_id, "addSecurityGroup", {"name": "odd"})).status_code == 404


async def test_diagnostics_and_password(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.ask("GET", f"/servers/{server_id}/diagnostics")).status_code == 403
    shown = await cloud.get(f"/servers/{server_id}/diagnostics", user="root", version="2.48")
    assert (shown["state"], shown["num_cpus"], shown["num_nics"]) == ("running", 1, 1)
    assert "memory" in await cloud.get(f"/servers/{server_id}/diagnostics", user="root")
    assert await cloud.get(f"/servers/{server_id}/os-server-password") == {"password": ""}
    assert (await cloud.ask("DELETE", f"/servers/{server_id}/os-server-password")).status_code == 204


async def test_external_events(cloud: Cloud) -> None:
    server_id = await cloud.active_server()

    async def tell(*events: dict[str, str], user: str = "root") -> Any:
        return await cloud.ask("POST", "/os-server-external-events", {"events": list(events)}, user=user)

    good = {"name": "network-changed", "server_uuid": server_id}
    absent = {"name": "network-changed", "server_uuid": "00000000-0000-0000-0000-000000000000"}
    assert (await tell(good)).json()["events"][0]["code"] == 200
    assert (await tell(good, absent)).status_code == 207
    assert (await tell(absent)).status_code == 404
    assert (await tell(good, user="alice")).status_code == 403
    assert (await tell({**good, "name": "odd"})).status_code == 400


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web", "web"),
        ("My Server_1.example", "my-server-1-example"),
        ("--a--", "a"),
        ("x" * 100, "x" * 63),
        ("日本", "server-id"),
    ],
)
def test_host_names(name: str, hostname: str) -> None:
    assert hostname_of(name, "id") == hostname
