"""Groups that scale: their steps as numbers, and as members of a nested stack."""

from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.services.orchestration import model
from aerostat.services.orchestration.types.scaling.capacity import (
    CHANGE,
    EXACT,
    PERCENT,
    adjusted,
    batches,
    next_members,
)

from .conftest import World

HOT = "2018-08-31"


def template(
    desired: int | None = 2, value: str = "v1", cooldown: int | None = None, **more: Any
) -> dict[str, Any]:
    group = {
        "min_size": 1,
        "max_size": 5,
        "resource": {"type": "OS::Heat::TestResource", "properties": {"value": value}},
        **more,
    }
    if desired is not None:
        group["desired_capacity"] = desired
    if cooldown is not None:
        group["cooldown"] = cooldown

    def policy(kind: str, adjustment: float, **properties: Any) -> dict[str, Any]:
        return {
            "type": "OS::Heat::ScalingPolicy",
            "properties": {
                "auto_scaling_group_id": {"get_resource": "group"},
                "adjustment_type": kind,
                "scaling_adjustment": adjustment,
                **properties,
            },
        }

    return {
        "heat_template_version": HOT,
        "resources": {
            "group": {"type": "OS::Heat::AutoScalingGroup", "properties": group},
            "up": policy(CHANGE, 1),
            "down": policy(CHANGE, -1),
            "double": policy(PERCENT, 100, min_adjustment_step=3),
            "slow": policy(CHANGE, 1, cooldown=60),
        },
        "outputs": {
            "list": {"value": {"get_attr": ["group", "outputs_list", "output"]}},
            "map": {"value": {"get_attr": ["group", "outputs", "output"]}},
            "size": {"value": {"get_attr": ["group", "current_size"]}},
            "refs": {"value": {"get_attr": ["group", "refs"]}},
            "refs_map": {"value": {"get_attr": ["group", "refs_map"]}},
            "first": {"value": {"get_attr": ["group", "resource.0.output"]}},
            "url": {"value": {"get_attr": ["up", "alarm_url"]}},
        },
    }


@pytest.mark.parametrize(
    ("current", "adjustment", "kind", "step", "size"),
    [
        (3, 2, CHANGE, None, 5),
        (3, -2, CHANGE, None, 1),
        (3, 4, EXACT, None, 4),
        (3, 99, EXACT, None, 9),
        (3, -9, CHANGE, None, 1),
        (4, 50, PERCENT, None, 6),
        (3, 50, PERCENT, None, 4),
        (3, 10, PERCENT, None, 4),
        (3, -10, PERCENT, None, 2),
        (3, -50, PERCENT, None, 2),
        (3, 10, PERCENT, 2, 5),
        (5, -10, PERCENT, 3, 2),
    ],
)
def test_new_sizes(current: int, adjustment: float, kind: str, step: int | None, size: int) -> None:
    assert adjusted(current, adjustment, kind, 1, 9, step) == size


def test_batches() -> None:
    assert batches(4, 4, 2, 0) == [(4, 2), (4, 2)]
    assert batches(5, 5, 2, 0) == [(5, 2), (5, 2), (5, 1)]
    # Three are to stay in service while two change: one more for a while, which goes at the end.
    assert batches(4, 4, 2, 3) == [(5, 2), (5, 2), (4, 0)]
    assert batches(0, 0, 1, 0) == []


def test_members_of_a_step() -> None:
    old = [("a", {"v": 1}), ("b", {"v": 1}), ("c", {"v": 1})]
    new = {"v": 2}
    assert list(next_members(old, new, 2, 0, "xy")) == [("b", {"v": 1}), ("c", {"v": 1})]
    assert list(next_members(old, new, 4, 2, "xy")) == [
        ("a", new),
        ("b", {"v": 1}),
        ("c", {"v": 1}),
        ("x", new),
    ]
    assert list(next_members(old, new, 0, 0, "xy")) == []


async def signal(world: World, path: str, name: str, body: Any = None, **how: Any) -> Any:
    answer = await world.ask("POST", f"{path}/resources/{name}/signal", body, **how)
    await world.engine.settle()
    return answer


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
async def test_a_group_scales(world: World) -> None:
    path = await world.create("one", template())
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    outputs = await world.outputs(path)
    assert outputs["size"] == 2
    assert outputs["list"] == ["v1", "v1"]
    assert outputs["first"] == "v1"
    assert len(outputs["map"]) == 2
    assert sorted(outputs["refs"]) == sorted(outputs["refs_map"].values())
    before = outputs["refs"]

    clock.step(seconds=10)
    await signal(world, path, "up")
    outputs = await world.outputs(path)
    assert outputs["size"] == 3
    assert outputs["refs"][:2] == before
    clock.step(seconds=10)
    await signal(world, path, "double")  # three more, cut to the most
    assert (await world.outputs(path))["size"] == 5
    await signal(world, path, "up")
    assert (await world.outputs(path))["size"] == 5
    await signal(world, path, "down")
    outputs = await world.outputs(path)
    assert outputs["size"] == 4
    assert before[0] not in outputs["refs"]  # the oldest goes first
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    events = (await world.ask("GET", f"{path}/events"))["events"]
    told = [one["resource_name"] for one in events if one["resource_status"] == "SIGNAL_COMPLETE"]
    assert sorted(told) == ["double", "down", "up"]  # what changed nothing is not an event

    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert await world.store.count(model.RESOURCES) == 0
    assert await world.store.count(model.STACKS, deleted_at=None) == 0


async def test_the_alarm_url_needs_no_account(world: World) -> None:
    path = await world.create("one", template())
    url = (await world.outputs(path))["url"]
    assert (await world.client.post(url, json={"current": "ok"})).status_code == 200
    await world.engine.settle()
    assert (await world.outputs(path))["size"] == 2
    assert (await world.client.post(url, json={"current": "alarm"})).status_code == 200
    await world.engine.settle()
    assert (await world.outputs(path))["size"] == 3
    assert (await world.client.post(url.split("?")[0])).status_code == 401
    assert (await world.client.post(url + "x")).status_code == 401
    child = (await world.resources(path))["group"]["physical_resource_id"]
    row = await world.store.find(model.STACKS, id=child)
    assert row is not None
    assert (row.project_id, row.user_id) == ("p1", "alice")


async def test_cooldowns(world: World) -> None:
    path = await world.create("one", template(cooldown=60))
    await signal(world, path, "up")
    assert (await world.outputs(path))["size"] == 2  # it was made just now
    metadata = (await world.ask("GET", f"{path}/resources/group/metadata"))["metadata"]
    assert metadata["scaling_in_progress"] is False
    clock.step(seconds=61)
    await signal(world, path, "up")
    assert (await world.outputs(path))["size"] == 3

    path = await world.create("two", template())
    await signal(world, path, "slow")
    await signal(world, path, "slow")
    assert (await world.outputs(path))["size"] == 3
    clock.step(seconds=61)
    await signal(world, path, "slow")
    assert (await world.outputs(path))["size"] == 4


async def test_a_group_that_is_being_changed_is_left_alone(world: World) -> None:
    path = await world.create("one", template())
    await world.ask("POST", f"{path}/resources/up/signal")
    await world.ask("POST", f"{path}/resources/up/signal")  # the first is still going on
    await world.engine.settle()
    assert (await world.outputs(path))["size"] == 3


async def test_a_suspended_policy_is_deaf(world: World) -> None:
    path = await world.create("one", template())
    await world.ask("POST", f"{path}/actions", {"suspend": None}, status=200)
    await world.engine.settle()
    answer = await signal(world, path, "up", status=400)
    assert answer["error"]["message"] == "Signal resource during SUSPEND is not supported."


async def test_members_change_in_batches(world: World) -> None:
    rolling = {"max_batch_size": 2, "min_in_service": 0, "pause_time": 30}
    path = await world.create("one", template(4, rolling_updates=rolling))
    refs = (await world.outputs(path))["refs_map"]
    start = clock.now()
    await world.ask("PUT", path, {"template": template(4, "v2", rolling_updates=rolling)}, status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "UPDATE_COMPLETE", stack["stack_status_reason"]
    outputs = await world.outputs(path)
    assert outputs["list"] == ["v2"] * 4
    assert set(outputs["refs_map"]) == set(refs)
    assert (clock.now() - start).total_seconds() >= 30  # between the two batches


async def test_as_many_as_asked_stay_in_service(world: World) -> None:
    rolling = {"max_batch_size": 2, "min_in_service": 3}
    path = await world.create("one", template(4, rolling_updates=rolling))
    child = (await world.resources(path))["group"]["physical_resource_id"]
    await world.ask("PUT", path, {"template": template(4, "v2", rolling_updates=rolling)}, status=202)
    await world.engine.settle()
    events = await world.store.all(model.EVENTS, {"stack_id": child})
    members = [one for one in events if one.resource_type == "OS::Heat::TestResource"]
    made = {one.resource_name for one in members if one.state == "CREATE_COMPLETE"}
    assert len(made) == 5  # one more for as long as it takes
    assert (await world.outputs(path))["size"] == 4
    outputs = await world.outputs(path)
    assert outputs["list"] == ["v2"] * 4


async def test_update_of_size(world: World) -> None:
    path = await world.create("one", template(2))
    await signal(world, path, "up")
    await world.ask("PUT", path, {"template": template(None)}, status=202)
    await world.engine.settle()
    assert (await world.outputs(path))["size"] == 3  # nothing is asked: it stays as it is
    await world.ask("PUT", path, {"template": template(1)}, status=202)
    await world.engine.settle()
    assert (await world.outputs(path))["size"] == 1


async def test_a_member_that_cannot_be_made(world: World) -> None:
    broken = {"type": "OS::Heat::TestResource", "properties": {"fail": True}}
    path = await world.create("one", template(resource=broken))
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert "Test Resource failed" in stack["stack_status_reason"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"min_size": 6}, "MinSize can not be greater than MaxSize"),
        ({"desired_capacity": 7}, "DesiredCapacity must be between MinSize and MaxSize"),
        ({"resource": {"properties": {}}}, "type"),
    ],
)
async def test_refused(world: World, more: dict[str, Any], text: str) -> None:
    body = template()
    body["resources"]["group"]["properties"] |= more
    assert text in await world.create("one", body, status=400)


async def test_a_step_is_for_percentages(world: World) -> None:
    body = template()
    body["resources"]["up"]["properties"] |= {"min_adjustment_step": 2, "auto_scaling_group_id": "x"}
    message = await world.create("one", body, status=400)
    assert "min_adjustment_step property should only be specified for adjustment_type" in message
