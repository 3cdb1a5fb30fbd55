"""The first-flight template on a fake cloud: made, asked, changed and taken away again by official clients."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import openstack.exceptions
import pytest

from aerostat.testing import Cloud
from tests.house import command_line
from tests.house.conftest import WAIT_S
from tests.house.simulated_guest import boot_guests
from tests.house.world import assert_nothing_is_left, explain
from tests.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
TEMPLATE = EXAMPLES / "first-flight.yaml"


@pytest.fixture
def demo(aerostat_cloud: Cloud) -> Any:
    connection = aerostat_cloud.connect("demo")
    connection.compute.create_keypair(name="mine")
    return connection


def ended(demo: Any, stack_id: str, status: str = "COMPLETE") -> Any:
    """The stack when nothing is done with it any more; fails with its reason if it is not as wished."""
    stack = eventually(
        lambda: (
            (now := demo.orchestration.get_stack(stack_id)).status.endswith(("COMPLETE", "FAILED")) and now
        ),
        WAIT_S,
        every_s=0.02,
    )
    assert stack.status.endswith(status), stack.status_reason
    return stack


def launch(demo: Any, name: str = "first", **parameters: Any) -> Any:
    return demo.orchestration.create_stack(
        name=name, template=TEMPLATE.read_text(), parameters={"key_name": "mine", **parameters}
    )


def outputs(stack: Any) -> dict[str, Any]:
    return {one["output_key"]: one["output_value"] for one in stack.outputs}


def test_the_machine_calls_back_and_is_taken_away_again(aerostat_cloud, demo):
    statuses = boot_guests(aerostat_cloud)
    stack = ended(demo, launch(demo, message="hello there").id)
    assert stack.status == "CREATE_COMPLETE"
    assert statuses == [200]
    said = outputs(stack)
    assert "hello there" in json.dumps(said["message"])
    assert said["floating_address"].startswith("172.24.4.")

    (server,) = demo.compute.servers()
    assert server.status == "ACTIVE"
    addresses = [one["addr"] for many in server.addresses.values() for one in many]
    assert addresses == [said["private_address"], said["floating_address"]]
    resources = {one.name: one.status for one in demo.orchestration.resources(stack)}
    assert set(resources.values()) == {"CREATE_COMPLETE"}
    assert resources.keys() >= {"network", "router", "machine", "called_back"}
    events = [(one.resource_name, one.resource_status) for one in demo.orchestration.stack_events(stack)]
    assert events[0] == ("first", "CREATE_IN_PROGRESS")
    assert events[-1] == ("first", "CREATE_COMPLETE")
    assert events.index(("machine", "CREATE_COMPLETE")) < events.index(("called_back", "CREATE_COMPLETE"))
    assert explain(aerostat_cloud, stack.id)

    demo.orchestration.delete_stack(stack)
    eventually(lambda: demo.orchestration.find_stack("first") is None, WAIT_S, every_s=0.05)
    assert [one.name for one in demo.network.networks() if one.name not in ("public", "private")] == []
    assert [one.name for one in demo.network.routers()] == ["router1"]
    assert list(demo.network.ips()) == []
    assert [one.name for one in demo.network.security_groups()] == ["default"]
    assert_nothing_is_left(aerostat_cloud)


def test_an_update_changes_what_changed_and_nothing_else(aerostat_cloud, demo):
    boot_guests(aerostat_cloud)
    stack = ended(demo, launch(demo).id)
    (server,) = demo.compute.servers()
    template = TEMPLATE.read_text().replace("port_range_min: 22", "port_range_min: 20")
    demo.orchestration.update_stack(stack, name="first", template=template, parameters={"key_name": "mine"})
    stack = eventually(
        lambda: (
            (now := demo.orchestration.get_stack(stack.id)).status.startswith("UPDATE_")
            and not now.status.endswith("PROGRESS")
            and now
        ),
        WAIT_S,
        every_s=0.02,
    )
    assert stack.status == "UPDATE_COMPLETE", stack.status_reason
    assert [one.id for one in demo.compute.servers()] == [server.id]
    (group,) = [one for one in demo.network.security_groups() if one.name != "default"]
    ranges = {rule["port_range_min"] for rule in group.security_group_rules if rule["protocol"] == "tcp"}
    assert ranges == {20}


def test_a_machine_that_never_calls_back_is_told_of(aerostat_cloud, demo):
    stack = ended(demo, launch(demo, timeout=1).id, "FAILED")
    assert stack.status == "CREATE_FAILED"
    assert "called_back" in stack.status_reason
    assert "WaitConditionTimeout" in stack.status_reason


def test_the_reason_of_a_room_is_the_reason_of_the_stack(aerostat_cloud, demo):
    aerostat_cloud.faults.set_quota("compute", demo.current_project_id, instances=0)
    stack = ended(demo, launch(demo).id, "FAILED")
    assert "resources.machine" in stack.status_reason
    assert "Quota exceeded for instances" in stack.status_reason


def test_deleted_while_it_waits_nothing_is_left(aerostat_cloud, demo):
    stack = launch(demo)
    eventually(lambda: list(demo.compute.servers()), WAIT_S, every_s=0.01)
    demo.orchestration.delete_stack(stack)
    eventually(lambda: demo.orchestration.find_stack("first") is None, WAIT_S, every_s=0.05)
    assert list(demo.network.ips()) == []
    assert_nothing_is_left(aerostat_cloud)


def test_a_wrong_template_makes_nothing(demo):
    with pytest.raises(openstack.exceptions.BadRequestException, match="key_name"):
        launch(demo, key_name="nobody's")
    assert list(demo.orchestration.stacks()) == []


def test_the_command_line_client_flies(aerostat_cloud, demo):
    """The words of the README."""
    boot_guests(aerostat_cloud)
    cli = partial(command_line.openstack, aerostat_cloud)
    create = ["--wait", "-t", str(TEMPLATE), "--parameter", "key_name=mine"]
    assert "CREATE_COMPLETE" in cli("stack", "create", *create, "first")
    assert "hello from the other side" in cli("stack", "output", "show", "first", "--all")
    assert "CREATE_COMPLETE" in cli("stack", "event", "list", "first")
    cli("stack", "delete", "--yes", "--wait", "first")
    assert_nothing_is_left(aerostat_cloud)


@pytest.mark.parametrize("name", ["conditions.yaml", "nested.yaml", "resource-group.yaml"])
def test_the_other_examples_work_as_they_are(aerostat_cloud, demo, name):
    stack = demo.orchestration.create_stack(
        name="example",
        **demo.orchestration.read_env_and_templates(template_file=str(EXAMPLES / name)),
    )
    assert ended(demo, stack.id).status == "CREATE_COMPLETE"
