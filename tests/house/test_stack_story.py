"""Stacks of servers with all rooms in one process: what goes wrong is told, what changes is changed."""

from collections.abc import Iterator
from typing import Any

import pytest

from aerostat.cli.explain import story
from aerostat.kernel.errors import DriverError
from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S
from tests.waiting import eventually


def stack_in(heat: Any, path: str, state: str) -> dict[str, Any]:
    """The stack once it is in this state; fails with its reason when it came to a bad end instead."""

    def look() -> Any:
        now = heat.get(path).json()["stack"]
        return now if now["stack_status"] == state or now["stack_status"].endswith("FAILED") else None

    stack: dict[str, Any] = eventually(look, WAIT_S, every_s=0.05)
    assert stack["stack_status"] == state, stack["stack_status_reason"]
    return stack


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(log_level="error") as cloud:
        yield cloud


def template(**server: Any) -> dict[str, Any]:
    properties = {
        "image": "aerostat-test",
        "flavor": "m1.nano",
        "networks": [{"network": {"get_resource": "net"}}],
        **server,
    }
    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "net": {"type": "OS::Neutron::Net"},
            "subnet": {
                "type": "OS::Neutron::Subnet",
                "properties": {"network": {"get_resource": "net"}, "cidr": "10.60.0.0/24"},
            },
            "key": {
                "type": "OS::Nova::KeyPair",
                "properties": {"name": "of-a-stack", "save_private_key": True},
            },
            "server": {"type": "OS::Nova::Server", "properties": properties},
        },
        "outputs": {
            "name": {"value": {"get_attr": ["server", "name"]}},
            "networks": {"value": {"get_attr": ["server", "networks"]}},
            "addresses": {"value": {"get_attr": ["server", "addresses"]}},
            "consoles": {"value": {"get_attr": ["server", "console_urls"]}},
            "key": {"value": {"get_attr": ["key", "private_key"]}},
        },
    }


def test_a_server_is_made_changed_replaced_and_deleted(cloud: Cloud) -> None:
    demo = cloud.connect("demo")
    heat = demo.orchestration
    stack = heat.create_stack(name="servers", template=template(name="one", metadata={"a": 1}))
    path = f"/stacks/servers/{stack.id}"
    shown = stack_in(heat, path, "CREATE_COMPLETE")
    outputs = {one["output_key"]: one["output_value"] for one in shown["outputs"]}
    assert outputs["name"] == "one"
    (address,) = {one for found in outputs["networks"].values() for one in found}
    assert address.startswith("10.60.0.")
    assert all(one["port"] for found in outputs["addresses"].values() for one in found)
    assert "PRIVATE KEY" in outputs["key"]
    (server,) = demo.compute.servers()
    assert server.metadata == {"a": "1"}

    heat.put(path, json={"template": template(name="two", metadata={"b": "2"})})
    stack_in(heat, path, "UPDATE_COMPLETE")
    (same,) = demo.compute.servers()
    assert (same.id, same.name, same.metadata) == (server.id, "two", {"b": "2"})

    heat.put(path, json={"template": template(name="three", user_data="#!/bin/sh\n", user_data_format="RAW")})
    stack_in(heat, path, "UPDATE_COMPLETE")
    (other,) = demo.compute.servers()
    assert other.id != server.id

    heat.delete_stack(stack.id)
    stack_in(heat, path, "DELETE_COMPLETE")
    assert not [*demo.compute.servers()]
    assert not [*demo.compute.keypairs()]


def test_why_no_host_fits_is_in_the_stack(cloud: Cloud) -> None:
    cloud.connection.compute.create_flavor(name="giant", ram=512, vcpus=1, disk=10_000_000)
    heat = cloud.connect("demo").orchestration
    stack = heat.create_stack(name="giant", template=template(flavor="giant"))
    path = f"/stacks/giant/{stack.id}"
    with pytest.raises(AssertionError) as refusal:
        stack_in(heat, path, "CREATE_COMPLETE")
    assert "resources.server: Went to status ERROR" in str(refusal.value)
    assert "No valid host" in str(refusal.value)
    resource = heat.get(f"{path}/resources/server").json()["resource"]
    assert resource["resource_status"] == "CREATE_FAILED"
    assert resource["resource_status_reason"].startswith("ResourceInError: resources.server: ")
    heat.delete_stack(stack.id)
    stack_in(heat, path, "DELETE_COMPLETE")


def test_what_a_room_refuses_is_in_the_stack(cloud: Cloud) -> None:
    twice = template()
    del twice["resources"]["server"], twice["outputs"]
    twice["resources"]["again"] = {
        "type": "OS::Neutron::Subnet",
        "properties": {"network": {"get_resource": "net"}, "cidr": "10.60.0.128/25"},
        "depends_on": "subnet",
    }
    heat = cloud.connect("demo").orchestration
    stack = heat.create_stack(name="twice", template=twice, is_rollback_disabled=False)
    path = f"/stacks/twice/{stack.id}"
    shown = stack_in(heat, path, "ROLLBACK_COMPLETE")
    events = heat.get(f"{path}/events").json()["events"]
    (told,) = [
        one for one in events if one["resource_status"] == "CREATE_FAILED" and one["resource_name"] == "again"
    ]
    assert told["resource_status_reason"].startswith("BadRequest: resources.again: ")
    assert shown["stack_status"] == "ROLLBACK_COMPLETE"
    assert not [one for one in cloud.connect("demo").network.networks() if one.name.startswith("twice-")]


def on_a_port(**server: Any) -> dict[str, Any]:
    """A server on a port that the template names, which only one server can have at a time."""
    whole = template(networks=[{"port": {"get_resource": "port"}}], **server)
    whole["resources"]["port"] = {
        "type": "OS::Neutron::Port",
        "properties": {
            "network": {"get_resource": "net"},
            "fixed_ips": [{"subnet": {"get_resource": "subnet"}}],
        },
    }
    del whole["resources"]["key"], whole["outputs"]
    return whole


FAILING = {
    "type": "OS::Heat::TestResource",
    "properties": {"fail": True, "value": {"get_attr": ["server", "name"]}},
}


def test_a_server_that_was_replaced_gets_its_port_back_when_the_update_fails(cloud: Cloud) -> None:
    demo = cloud.connect("demo")
    heat = demo.orchestration
    stack = heat.create_stack(name="ports", template=on_a_port(), is_rollback_disabled=False)
    path = f"/stacks/ports/{stack.id}"
    stack_in(heat, path, "CREATE_COMPLETE")
    (before,) = demo.compute.servers()
    (port,) = demo.network.ports(device_id=before.id)

    # The new server is made, with the port; what comes after it fails.
    changed = on_a_port(user_data="#!/bin/sh\n", user_data_format="RAW")
    changed["resources"]["after"] = FAILING
    heat.put(path, json={"template": changed})
    stack_in(heat, path, "ROLLBACK_COMPLETE")
    (after,) = demo.compute.servers()
    assert after.id == before.id
    assert [one.id for one in demo.network.ports(device_id=after.id)] == [port.id]
    assert [one.port_id for one in demo.compute.server_interfaces(after.id)] == [port.id]
    assert demo.compute.get_server(after.id).addresses == before.addresses
    server = heat.get(f"{path}/resources/server").json()["resource"]
    assert server["physical_resource_id"] == before.id
    assert server["resource_status"].endswith("_COMPLETE")

    # The new server cannot be made at all: it ends in an error, with the port.
    del changed["resources"]["after"]
    cloud.faults.fail("compute", "ensure_domain", error=DriverError("the disk is broken", retry=False))
    heat.put(path, json={"template": changed})
    shown = stack_in(heat, path, "ROLLBACK_COMPLETE")
    cloud.faults.heal("compute")
    (after,) = demo.compute.servers()
    assert after.id == before.id, shown["stack_status_reason"]
    events = heat.get(f"{path}/resources/server/events").json()["events"]
    assert "the disk is broken" in next(
        one["resource_status_reason"] for one in events if one["resource_status"] == "CREATE_FAILED"
    )
    assert [one.id for one in demo.network.ports(device_id=after.id)] == [port.id]

    # And a replacement that works still does.
    heat.put(path, json={"template": on_a_port(user_data="#!/bin/sh\n", user_data_format="RAW")})
    stack_in(heat, path, "UPDATE_COMPLETE")
    (new,) = demo.compute.servers()
    assert new.id != before.id
    assert [one.id for one in demo.network.ports(device_id=new.id)] == [port.id]
    heat.delete_stack(stack.id)
    stack_in(heat, path, "DELETE_COMPLETE")


def test_explain_tells_what_the_things_of_a_stack_did(cloud: Cloud) -> None:
    cloud.connection.compute.create_flavor(name="vast", ram=512, vcpus=1, disk=10_000_000)
    heat = cloud.connect("demo").orchestration
    whole = template(flavor="vast")
    whole["resources"]["group"] = {
        "type": "OS::Heat::ResourceGroup",
        "properties": {"count": 2, "resource_def": {"type": "OS::Heat::RandomString"}},
    }
    whole["resources"]["server"]["depends_on"] = "group"
    stack = heat.create_stack(name="told", template=whole)
    path = f"/stacks/told/{stack.id}"
    eventually(
        lambda: heat.get(path).json()["stack"]["stack_status"] == "CREATE_FAILED", WAIT_S, every_s=0.05
    )

    session = cloud.connect("demo").session
    answer = session.get(f"{cloud.url}/aerostat/v1/explain/told").json()
    tree = answer["stack"]
    assert tree["status"] == "CREATE_FAILED"
    assert "No valid host" in tree["failure"]
    first, *others = tree["resources"]
    assert (first["name"], first["status"]) == ("server", "CREATE_FAILED")
    (verdict,) = [
        one for one in first["records"] if one["step"] == "claim_host" and one["verdict"] == "refused"
    ]
    assert "disk" in str(verdict["data"]).lower()
    (group,) = [one for one in others if one["name"] == "group"]
    assert {one["name"] for one in group["resources"]} == {"0", "1"}
    (net,) = [one for one in others if one["name"] == "net"]
    assert [one["action"] for one in net["records"]] == ["network.network.create"]

    lines = list(story(answer))
    assert lines[0] == "told   CREATE_FAILED"
    assert lines[1].startswith("  ! Resource CREATE failed: ")
    assert any("server   OS::Nova::Server   CREATE_FAILED" in line for line in lines[:6])
    assert max(map(len, lines)) < 600

    # After a rollback nothing of it is left, but why still is.
    del whole["resources"]["key"], whole["outputs"]
    stack = heat.create_stack(name="gone", template=whole, is_rollback_disabled=False)
    stack_in(heat, f"/stacks/gone/{stack.id}", "ROLLBACK_COMPLETE")
    tree = session.get(f"{cloud.url}/aerostat/v1/explain/{stack.id}").json()["stack"]
    assert "No valid host" in tree["failure"]
    assert tree["resources"] == []
    told = [one for thing in tree["gone"] for one in thing["records"] if one["verdict"] == "failed"]
    assert any(one["step"] == "claim_host" for one in told)
    # Others see nothing of it, administrators all.
    everything = cloud.connection.session.get(f"{cloud.url}/aerostat/v1/explain/{stack.id}").json()
    assert everything["stack"]["failure"] == tree["failure"]
    for name in ("told", "gone"):
        heat.delete_stack(name)
