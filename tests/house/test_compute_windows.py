"""The compute API's old windows on other rooms: what clients of before 2.36 see and do through them."""

import pytest

from tests.house.conftest import wait


def ask(connection, method: str, path: str, body=None, version: str = "2.1"):
    return connection.compute.request(path, method, json=body, microversion=version)


def test_security_groups(demo):
    body = {"security_group": {"name": "old", "description": "from before"}}
    made = ask(demo, "POST", "/os-security-groups", body)
    assert made.status_code == 200, made.text
    group = made.json()["security_group"]
    assert (group["name"], group["rules"]) == ("old", [])
    rule = {"parent_group_id": group["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 22}
    added = ask(demo, "POST", "/os-security-group-rules", {"security_group_rule": rule})
    assert added.json()["security_group_rule"]["ip_range"] == {"cidr": "0.0.0.0/0"}
    again = ask(demo, "POST", "/os-security-group-rules", {"security_group_rule": rule})
    assert again.status_code == 400
    ping = {**rule, "ip_protocol": "icmp", "from_port": -1, "to_port": -1, "group_id": group["id"]}
    pinged = ask(demo, "POST", "/os-security-group-rules", {"security_group_rule": ping})
    assert pinged.json()["security_group_rule"]["group"]["name"] == "old"
    shown = ask(demo, "GET", f"/os-security-groups/{group['id']}").json()["security_group"]
    assert sorted((one["ip_protocol"], one["from_port"]) for one in shown["rules"]) == [
        ("icmp", -1),
        ("tcp", 22),
    ]
    rule_id = added.json()["security_group_rule"]["id"]
    assert ask(demo, "DELETE", f"/os-security-group-rules/{rule_id}").status_code == 202
    body["security_group"]["name"] = "renamed"
    assert ask(demo, "PUT", f"/os-security-groups/{group['id']}", body).status_code == 200
    listed = ask(demo, "GET", "/os-security-groups").json()["security_groups"]
    assert {"renamed", "default"} <= {one["name"] for one in listed}
    assert ask(demo, "DELETE", "/os-security-groups/").status_code == 404
    assert ask(demo, "DELETE", f"/os-security-groups/{group['id']}").status_code == 202
    assert ask(demo, "GET", f"/os-security-groups/{group['id']}").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"parent_group_id": "no id"},
        {"from_port": 70000},
        {"to_port": 21},
        {"ip_protocol": "xyz"},
        {"from_port": None},
        {"cidr": "nonsense"},
        {"odd": 1},
    ],
    ids=str,
)
def test_rules_that_cannot_be(demo, wrong):
    groups = ask(demo, "GET", "/os-security-groups").json()["security_groups"]
    default = next(one["id"] for one in groups if one["name"] == "default")
    rule = {"parent_group_id": default, "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **wrong}
    answer = ask(demo, "POST", "/os-security-group-rules", {"security_group_rule": rule})
    assert answer.status_code == 400, answer.text


def test_floating_ips(demo, new_server):
    server = wait(demo, new_server(demo))
    pools = ask(demo, "GET", "/os-floating-ip-pools").json()["floating_ip_pools"]
    assert {"name": "public"} in pools
    assert ask(demo, "POST", "/os-floating-ips", {"pool": "nowhere"}).status_code == 404
    made = ask(demo, "POST", "/os-floating-ips", {"pool": "public"}).json()["floating_ip"]
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", None, None)
    act = f"/servers/{server.id}/action"
    assert ask(demo, "POST", act, {"removeFloatingIp": {"address": made["ip"]}}).status_code == 409
    assert ask(demo, "POST", act, {"addFloatingIp": {"address": "0.0.0.0"}}).status_code == 404
    assert ask(demo, "POST", act, {"addFloatingIp": {"address": "x"}}).status_code == 400
    assert ask(demo, "POST", act, {"addFloatingIp": {"address": made["ip"]}}).status_code == 202
    shown = ask(demo, "GET", f"/os-floating-ips/{made['id']}").json()["floating_ip"]
    assert shown["instance_id"] == server.id
    addresses = demo.compute.get_server(server.id).addresses["private"]
    assert made["ip"] in [one["addr"] for one in addresses]
    assert ask(demo, "POST", act, {"removeFloatingIp": {"address": made["ip"]}}).status_code == 202
    assert ask(demo, "POST", act, {"addFloatingIp": {"address": made["ip"]}}, "2.44").status_code == 400
    assert ask(demo, "DELETE", f"/os-floating-ips/{made['id']}").status_code == 202
    assert ask(demo, "GET", "/os-floating-ips").json() == {"floating_ips": []}


def test_networks(demo, admin):
    mine = {one["label"]: one["id"] for one in ask(demo, "GET", "/os-tenant-networks").json()["networks"]}
    assert "private" in mine
    shown = ask(demo, "GET", f"/os-networks/{mine['private']}").json()["network"]
    assert shown == {"id": mine["private"], "label": "private"}
    whole = ask(admin, "GET", f"/os-networks/{mine['private']}").json()["network"]
    assert whole["vlan"] is None
    assert ask(demo, "GET", "/os-networks/nothing").status_code == 404
    assert ask(demo, "GET", "/os-networks", version="2.36").status_code == 404


def test_image_metadata(demo):
    image = demo.image.create_image(name="m", data=b"x" * 600, disk_format="raw", container_format="bare")
    path = f"/images/{image.id}/metadata"
    assert ask(demo, "PUT", path, {"metadata": {"bad": 1}}).status_code == 400
    demo_first = ask(demo, "POST", path, {"metadata": {"colour": "red", "size.x": "c"}})
    assert demo_first.json()["metadata"].items() >= {"colour": "red", "size.x": "c"}.items()
    assert ask(demo, "POST", path, {"metadata": {"a/b": "c"}}).status_code == 400  # no slash in keys
    assert ask(demo, "PUT", f"{path}/colour", {"meta": {"colour": "blue"}}).json() == {
        "meta": {"colour": "blue"}
    }
    assert ask(demo, "PUT", f"{path}/colour", {"meta": {"other": "x"}}).status_code == 400
    assert ask(demo, "GET", f"{path}/colour").json() == {"meta": {"colour": "blue"}}
    assert ask(demo, "DELETE", f"{path}/colour").status_code == 204
    assert ask(demo, "GET", f"{path}/colour").status_code == 404
    assert ask(demo, "PUT", path, {"metadata": {"only": "one"}}).json() == {"metadata": {"only": "one"}}
    assert demo.image.get_image(image.id).properties["only"] == "one"
    demo.image.delete_image(image.id)


def test_hosts(admin, demo):
    assert ask(demo, "GET", "/os-hosts").status_code == 403
    hosts = ask(admin, "GET", "/os-hosts").json()["hosts"]
    names = [one["host_name"] for one in hosts if one["service"] == "compute"]
    assert "fake-1" in names
    assert ask(admin, "GET", "/os-hosts?zone=nowhere").json() == {"hosts": []}
    rows = [one["resource"] for one in ask(admin, "GET", "/os-hosts/fake-1").json()["host"]]
    assert [row["project"] for row in rows][:3] == ["(total)", "(used_now)", "(used_max)"]
    assert rows[0]["cpu"] >= 1
    assert ask(admin, "GET", "/os-hosts/nobody").status_code == 404
    assert ask(admin, "PUT", "/os-hosts/fake-1", {"status": "sleep"}).status_code == 400
    assert ask(admin, "PUT", "/os-hosts/fake-1", {"maintenance_mode": "enable"}).status_code == 501
    assert ask(admin, "PUT", "/os-hosts/fake-1", {"status": "enable"}).json()["status"] == "enabled"
    assert ask(admin, "GET", "/os-hosts/fake-1/reboot").status_code == 501


def test_usage_audits(admin, demo):
    log = ask(admin, "GET", "/os-instance_usage_audit_log").json()["instance_usage_audit_logs"]
    assert log["num_hosts"] == log["num_hosts_not_run"] == len(log["hosts_not_run"]) >= 1
    shown = ask(admin, "GET", "/os-instance_usage_audit_log/2024-03-05 01:02:03").json()
    assert shown["instance_usage_audit_log"]["period_beginning"] == "2024-02-01 00:00:00"
    assert ask(admin, "GET", "/os-instance_usage_audit_log/soon").status_code == 400
    assert ask(demo, "GET", "/os-instance_usage_audit_log").status_code == 403
