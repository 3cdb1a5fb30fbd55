"""Stacks in stacks: template resources, groups, chains, and what may not grow without end."""

from typing import Any

import pytest

from aerostat.services.orchestration import model

from .conftest import World

HOT = "2018-08-31"
INNER = """
heat_template_version: 2018-08-31
parameters:
  text: {type: string}
resources:
  one: {type: 'OS::Heat::TestResource', properties: {value: {get_param: text}}}
outputs:
  said: {value: {get_attr: [one, output]}}
"""


def group(count: int = 2, **more: Any) -> dict[str, Any]:
    properties = {
        "count": count,
        "resource_def": {"type": "OS::Heat::TestResource", "properties": {"value": "no-%index%"}},
        **more,
    }
    return {
        "heat_template_version": HOT,
        "resources": {"group": {"type": "OS::Heat::ResourceGroup", "properties": properties}},
        "outputs": {
            "all": {"value": {"get_attr": ["group", "output"]}},
            "first": {"value": {"get_attr": ["group", "resource.0.output"]}},
            "map": {"value": {"get_attr": ["group", "attributes", "output"]}},
            "refs": {"value": {"get_attr": ["group", "refs"]}},
            "refs_map": {"value": {"get_attr": ["group", "refs_map"]}},
        },
    }


async def test_a_template_as_a_type(world: World) -> None:
    outer = {
        "heat_template_version": HOT,
        "resources": {"a": {"type": "inner.yaml", "properties": {"text": "hello"}}},
        "outputs": {"said": {"value": {"get_attr": ["a", "said"]}}},
    }
    path = await world.create("one", outer, files={"inner.yaml": INNER})
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    assert await world.outputs(path) == {"said": "hello"}
    outer["resources"]["a"]["properties"]["text"] = "bye"  # type: ignore[index]
    nested = (await world.resources(path))["a"]["physical_resource_id"]
    await world.ask("PUT", path, {"template": outer, "files": {"inner.yaml": INNER}}, status=202)
    await world.engine.settle()
    assert await world.outputs(path) == {"said": "bye"}
    assert (await world.resources(path))["a"]["physical_resource_id"] == nested
    deep = await world.ask("GET", f"{path}/resources?nested_depth=2")
    assert {(one["resource_name"], one.get("parent_resource")) for one in deep["resources"]} == {
        ("a", None),
        ("one", "a"),
    }
    assert len((await world.ask("GET", "/stacks"))["stacks"]) == 1
    assert len((await world.ask("GET", "/stacks?show_nested=true"))["stacks"]) == 2
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert await world.store.count(model.RESOURCES) == 0
    assert await world.store.count(model.STACKS, deleted_at=None) == 0


async def test_a_type_through_the_registry(world: World) -> None:
    outer = {
        "heat_template_version": HOT,
        "resources": {"a": {"type": "My::Own::Type", "properties": {"text": "x"}}},
    }
    environment = {"resource_registry": {"My::Own::*": "inner.yaml"}}
    path = await world.create("one", outer, files={"inner.yaml": INNER}, environment=environment)
    resources = await world.resources(path)
    assert resources["a"]["resource_type"] == "My::Own::Type"
    assert resources["a"]["resource_status"] == "CREATE_COMPLETE"
    switched_off = {"resource_registry": {"My::Own::Type": "OS::Heat::None"}}
    await world.ask("PATCH", path, {"environment": switched_off}, status=202)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"


async def test_a_failure_below_is_told_above(world: World) -> None:
    inner = INNER.replace("{value: {get_param: text}}", "{value: {get_param: text}, fail: true}")
    outer = {
        "heat_template_version": HOT,
        "resources": {"a": {"type": "inner.yaml", "properties": {"text": "x"}}},
    }
    path = await world.create("one", outer, files={"inner.yaml": inner})
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert (
        stack["stack_status_reason"]
        == "Resource CREATE failed: ValueError: resources.a.resources.one: Test Resource failed one"
    )


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
async def test_group(world: World) -> None:
    path = await world.create("one", group())
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    outputs = await world.outputs(path)
    assert outputs["all"] == ["no-0", "no-1"]
    assert outputs["first"] == "no-0"
    assert outputs["map"] == {"0": "no-0", "1": "no-1"}
    assert len(outputs["refs"]) == 2
    kept = outputs["refs_map"]["1"]
    await world.ask(
        "PUT", path, {"template": group(3, removal_policies=[{"resource_list": ["0"]}])}, status=202
    )
    await world.engine.settle()
    outputs = await world.outputs(path)
    assert outputs["all"] == ["no-1", "no-2", "no-3"]
    assert outputs["refs_map"]["1"] == kept
    await world.ask("PUT", path, {"template": group(1)}, status=202)
    await world.engine.settle()
    assert (await world.outputs(path))["all"] == ["no-1"]


async def test_group_in_batches(world: World) -> None:
    template = group(5)
    template["resources"]["group"]["update_policy"] = {
        "batch_create": {"max_batch_size": 2},
        "rolling_update": {"max_batch_size": 2},
    }
    path = await world.create("one", template)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    assert len((await world.outputs(path))["all"]) == 5
    template["resources"]["group"]["properties"]["resource_def"]["properties"]["value"] = "new-%index%"
    await world.ask("PUT", path, {"template": template}, status=202)
    await world.engine.settle()
    assert (await world.outputs(path))["all"] == [f"new-{index}" for index in range(5)]


async def test_chain_and_stack(world: World) -> None:
    template = {
        "heat_template_version": HOT,
        "resources": {
            "chain": {
                "type": "OS::Heat::ResourceChain",
                "properties": {
                    "resources": ["OS::Heat::TestResource", "OS::Heat::TestResource"],
                    "resource_properties": {"value": "x"},
                },
            },
            "own": {
                "type": "OS::Heat::Stack",
                "properties": {"template": INNER, "parameters": {"text": "deep"}},
            },
        },
        "outputs": {
            "chain": {"value": {"get_attr": ["chain", "output"]}},
            "said": {"value": {"get_attr": ["own", "outputs", "said"]}},
        },
    }
    path = await world.create("one", template)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    assert await world.outputs(path) == {"chain": ["x", "x"], "said": "deep"}


async def test_a_template_that_holds_itself_is_refused(world: World) -> None:
    loop = "heat_template_version: 2018-08-31\nresources: {again: {type: loop.yaml}}"
    text = await world.create("one", loop, files={"loop.yaml": loop}, status=400)
    assert "Recursion depth exceeds" in text


@pytest.mark.parametrize("settings", [{"most_resources": 20}])
async def test_groups_of_groups_meet_the_limit(world: World, settings: dict[str, Any]) -> None:
    inner = {
        "type": "OS::Heat::ResourceGroup",
        "properties": {"count": 10, "resource_def": {"type": "OS::Heat::None"}},
    }
    template = {
        "heat_template_version": HOT,
        "resources": {
            "bomb": {"type": "OS::Heat::ResourceGroup", "properties": {"count": 10, "resource_def": inner}},
        },
    }
    path = await world.create("one", template)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert "Maximum resources per stack exceeded" in stack["stack_status_reason"]


async def test_missing_parameters_of_nested_templates_are_refused_at_once(world: World) -> None:
    outer = {"heat_template_version": HOT, "resources": {"a": {"type": "inner.yaml"}}}
    text = await world.create("one", outer, files={"inner.yaml": INNER}, status=400)
    assert "Property text not assigned" in text
    text = await world.create("one", outer, status=400)
    assert "inner.yaml" in text
