"""The example stack with all rooms in one process and fakes for the hardware: made, called back, deleted."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aerostat.testing import Cloud

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(log_level="error") as cloud:
        yield cloud


def until(look: Callable[[], Any]) -> Any:
    """What `look` answers once it is true; the last answer when it never is."""
    give_up_at = time.monotonic() + LIMIT_S
    while not (found := look()) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return found


def stack_in(heat: Any, path: str, *states: str) -> dict[str, Any]:
    def look() -> Any:
        stack = heat.get(path).json()["stack"]
        return stack if stack["stack_status"] in states or stack["stack_status"].endswith("FAILED") else None

    stack: dict[str, Any] = until(look) or heat.get(path).json()["stack"]
    assert stack["stack_status"] in states, stack["stack_status_reason"]
    return stack


def call_back(cloud: Cloud, heat: Any, path: str, data: str) -> None:
    """What the guest would do."""
    handle = heat.get(f"{path}/resources/ready").json()["resource"]["attributes"]
    request = urllib.request.Request(
        handle["endpoint"],
        data=json.dumps({"status": "SUCCESS", "data": data}).encode(),
        headers={"X-Auth-Token": handle["token"], "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_first_flight(cloud: Cloud) -> None:
    demo = cloud.connect("demo")
    heat = demo.orchestration
    demo.compute.create_keypair(name="pilot")
    ports_before = {port.id for port in demo.network.ports()}
    stack = heat.create_stack(
        name="first", template=(EXAMPLES / "first-flight.yaml").read_text(), parameters={"key_name": "pilot"}
    )
    path = f"/stacks/first/{stack.id}"

    def waits() -> bool:
        states = {one.name: one.status for one in heat.resources(stack.id)}
        return states.get("called_back") == "CREATE_IN_PROGRESS"

    assert until(waits), heat.get(path).json()["stack"]["stack_status_reason"]
    (server,) = demo.compute.servers()
    assert server.status == "ACTIVE"
    call_back(cloud, heat, path, "all is well")
    shown = stack_in(heat, path, "CREATE_COMPLETE")
    outputs = {one["output_key"]: one["output_value"] for one in shown["outputs"]}
    assert json.loads(outputs["message"]) == {"1": "all is well"}
    assert outputs["private_address"].startswith("10.20.0.")
    assert outputs["floating_address"].startswith("172.24.4.")

    heat.delete_stack(stack.id)
    stack_in(heat, path, "DELETE_COMPLETE")
    assert not [*demo.compute.servers()]
    assert {port.id for port in demo.network.ports()} == ports_before
    assert not [one for one in demo.network.routers() if one.name.startswith("first-")]
    assert not [*demo.network.ips()]


@pytest.mark.parametrize("example", ["resource-group.yaml", "conditions.yaml"])
def test_small_examples(cloud: Cloud, example: str) -> None:
    heat = cloud.connect("demo").orchestration
    name = example.removesuffix(".yaml")
    stack = heat.create_stack(name=name, template=(EXAMPLES / example).read_text())
    shown = stack_in(heat, f"/stacks/{name}/{stack.id}", "CREATE_COMPLETE")
    assert all(one["output_value"] for one in shown["outputs"])
    heat.delete_stack(stack.id)
    stack_in(heat, f"/stacks/{name}/{stack.id}", "DELETE_COMPLETE")


def test_nested_example(cloud: Cloud) -> None:
    heat = cloud.connect("demo").orchestration
    outer = (EXAMPLES / "nested.yaml").read_text()
    inner = (EXAMPLES / "nested-room.yaml").read_text()
    stack = heat.create_stack(name="nested", template=outer, files={"nested-room.yaml": inner})
    shown = stack_in(heat, f"/stacks/nested/{stack.id}", "CREATE_COMPLETE")
    outputs = {one["output_key"]: one["output_value"] for one in shown["outputs"]}
    assert outputs["ranges"] == ["10.31.0.0/24", "10.32.0.0/24"]
    heat.delete_stack(stack.id)
    stack_in(heat, f"/stacks/nested/{stack.id}", "DELETE_COMPLETE")
