"""Hooks: resources wait where the environment says so, until a user clears the hook."""

from typing import Any

import pytest

from .conftest import World


def template(length: int = 8, steps: int = 3) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for step in range(1, steps + 1):
        resources[f"step{step}"] = {"type": "OS::Heat::RandomString", "properties": {"length": length}}
        if step > 1:
            resources[f"step{step}"]["depends_on"] = f"step{step - 1}"
    return {"heat_template_version": "2018-08-31", "resources": resources}


def hooks(pattern: str, *names: str) -> dict[str, Any]:
    return {"resource_registry": {"resources": {pattern: {"hooks": list(names)}}}}


async def states(world: World, path: str) -> dict[str, str]:
    return {name: one["resource_status"] for name, one in (await world.resources(path)).items()}


async def reasons(world: World, path: str, name: str) -> list[str]:
    events = (await world.ask("GET", f"{path}/resources/{name}/events"))["events"]
    return [f"{one['resource_status']} {one['resource_status_reason']}" for one in events]


async def clear(world: World, path: str, name: str, hook: str, status: int = 200) -> Any:
    answer = await world.ask("POST", f"{path}/resources/{name}/signal", {"unset_hook": hook}, status=status)
    await world.engine.run_due()
    return answer


async def test_before_and_after_a_creation(world: World) -> None:
    environment = hooks("step2", "pre-create", "post-create")
    path = await world.create("s", template(), environment=environment, settle=False)
    await world.engine.run_due()
    assert await states(world, path) == {
        "step1": "CREATE_COMPLETE", "step2": "INIT_COMPLETE", "step3": "INIT_COMPLETE",
    }  # fmt: skip
    await world.engine.run_due()
    assert await reasons(world, path, "step2") == [
        "INIT_COMPLETE CREATE paused until Hook pre-create is cleared"
    ]
    await clear(world, path, "step2", "pre-create")
    assert (await states(world, path))["step3"] == "INIT_COMPLETE"
    assert (await reasons(world, path, "step2"))[1:] == [
        "INIT_COMPLETE Hook pre-create is cleared",
        "CREATE_IN_PROGRESS state changed",
        "CREATE_COMPLETE state changed",
        "CREATE_COMPLETE CREATE paused until Hook post-create is cleared",
    ]
    await clear(world, path, "step2", "post-create")
    assert set((await states(world, path)).values()) == {"CREATE_COMPLETE"}
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"


async def test_what_cannot_be_cleared(world: World) -> None:
    path = await world.create("s", template(), environment=hooks("step*", "pre-create"), settle=False)
    await world.engine.run_due()
    for name, hook, why in (
        ("step1", "pre-lunch", "Invalid hook type"),
        ("step1", ["pre-create"], "Invalid hook type"),
        ("step1", "pre-update", "is not defined"),
        ("step2", "pre-create", "is not defined"),
    ):
        answer = await clear(world, path, name, hook, 400)  # type: ignore[arg-type]
        assert why in answer["error"]["message"]
        assert answer["error"]["type"] == "InvalidBreakPointHook"
    for name in ("step1", "step2", "step3"):
        await clear(world, path, name, "pre-create")
    await clear(world, path, "step1", "pre-create", 400)
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("length", [8, 9], ids=["nothing changed", "replaced"])
async def test_before_an_update(world: World, length: int) -> None:
    environment = hooks("step2", "pre-update")
    path = await world.create("s", template(), environment=environment)
    before = (await world.resources(path))["step2"]["physical_resource_id"]
    for again in range(2):  # a hook is met anew by each update
        body = {"template": template(length), "environment": environment}
        await world.ask("PUT", path, body, status=202)
        await world.engine.run_due()
        assert (await states(world, path))["step2"] == "CREATE_COMPLETE"
        assert (await reasons(world, path, "step2"))[-1].endswith("paused until Hook pre-update is cleared")
        assert (await world.stack(path))["stack_status"] == "UPDATE_IN_PROGRESS", again
        await clear(world, path, "step2", "pre-update")
        assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"
    after = (await world.resources(path))["step2"]["physical_resource_id"]
    assert (before == after) == (length == 8)


async def test_around_a_deletion(world: World) -> None:
    environment = hooks("step2", "pre-delete", "post-delete")
    path = await world.create("s", template(), environment=environment)
    await world.ask("DELETE", path, status=204)
    await world.engine.run_due()
    assert await states(world, path) == {"step1": "CREATE_COMPLETE", "step2": "CREATE_COMPLETE"}
    await clear(world, path, "step2", "pre-delete")
    assert await states(world, path) == {"step1": "CREATE_COMPLETE", "step2": "DELETE_IN_PROGRESS"}
    await clear(world, path, "step2", "post-delete")
    assert (await world.stack(path))["stack_status"] == "DELETE_COMPLETE"


async def test_a_hook_does_not_hold_up_a_rollback_nor_a_delete(world: World) -> None:
    broken = template()
    broken["resources"]["bad"] = {"type": "OS::Heat::TestResource", "properties": {"fail": True}}
    environment = hooks("step2", "pre-update")
    path = await world.create("s", template(), environment=environment, disable_rollback=False)
    await world.ask("PUT", path, {"template": broken, "environment": environment}, status=202)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "ROLLBACK_COMPLETE"
    await world.ask("PUT", path, {"template": template(9), "environment": environment}, status=202)
    await world.engine.run_due()
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "DELETE_COMPLETE"


async def test_a_hook_that_nobody_clears_ends_with_the_stack_s_time(world: World) -> None:
    path = await world.create("s", template(), environment=hooks("step1", "pre-create"), timeout_mins=5)
    stack = await world.stack(path)
    assert (stack["stack_status"], stack["stack_status_reason"]) == ("CREATE_FAILED", "Timed out")


async def test_in_a_nested_stack(world: World) -> None:
    import json

    outer = {"heat_template_version": "2018-08-31", "resources": {"nested": {"type": "in.yaml"}}}
    environment = {"resource_registry": {"resources": {"nested": {"step2": {"hooks": "pre-create"}}}}}
    files = {"in.yaml": json.dumps(template())}
    path = await world.create("s", outer, environment=environment, files=files, settle=False)
    await world.engine.run_due()
    nested = (await world.resources(path))["nested"]
    link = next(one["href"] for one in nested["links"] if one["rel"] == "nested")
    child = link[link.index("/stacks/") :]
    assert (await states(world, child))["step2"] == "INIT_COMPLETE"
    await clear(world, child, "step2", "pre-create")
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
