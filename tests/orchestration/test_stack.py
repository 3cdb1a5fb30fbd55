"""Stacks from their making to their end, over the API."""

from typing import Any

import pytest

from aerostat.services.orchestration import model

from .conftest import World

SMALL = {
    "heat_template_version": "2018-08-31",
    "parameters": {"length": {"type": "number", "default": 8}},
    "resources": {
        "secret": {"type": "OS::Heat::RandomString", "properties": {"length": {"get_param": "length"}}},
        "twice": {
            "type": "OS::Heat::Value",
            "properties": {"value": {"list_join": ["-", [{"get_attr": ["secret", "value"]}, "end"]]}},
        },
    },
    "outputs": {"text": {"value": {"get_attr": ["twice", "value"]}}},
}


BOTH = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)


@BOTH
async def test_create_show_delete(world: World) -> None:
    path = await world.create("one", SMALL)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    assert stack["stack_status_reason"] == "Stack CREATE completed successfully"
    assert stack["parameters"]["OS::stack_name"] == "one"
    assert stack["parameters"]["length"] == "8"
    (output,) = stack["outputs"]
    assert output["output_value"].endswith("-end")
    assert len(output["output_value"]) == 12
    resources = await world.resources(path)
    assert {one["resource_status"] for one in resources.values()} == {"CREATE_COMPLETE"}
    assert resources["secret"]["required_by"] == ["twice"]
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "DELETE_COMPLETE"
    assert (await world.ask("GET", "/stacks"))["stacks"] == []
    await world.ask("GET", "/stacks/one", status=404)
    await world.create("one", SMALL)


async def test_lookup_redirects_to_the_full_path(world: World) -> None:
    path = await world.create("one", SMALL)
    for short in ("/stacks/one", f"/stacks/{path.rsplit('/', 1)[1]}"):
        answer = await world.client.get(f"/orchestration/v1/p1{short}", headers={"x-auth-token": "alice"})
        assert answer.status_code == 302
        assert answer.headers["location"] == f"http://cloud.test/orchestration/v1/p1{path}"
    answer = await world.client.get(
        "/orchestration/v1/p1/stacks/one/resources", headers={"x-auth-token": "alice"}
    )
    assert answer.headers["location"] == f"http://cloud.test/orchestration/v1/p1{path}/resources"


async def test_events_tell_the_story(world: World) -> None:
    path = await world.create("one", SMALL)
    events = (await world.ask("GET", f"{path}/events"))["events"]
    story = [(one["resource_name"], one["resource_status"]) for one in events]
    assert story == [
        ("one", "CREATE_IN_PROGRESS"),
        ("secret", "CREATE_IN_PROGRESS"),
        ("secret", "CREATE_COMPLETE"),
        ("twice", "CREATE_IN_PROGRESS"),
        ("twice", "CREATE_COMPLETE"),
        ("one", "CREATE_COMPLETE"),
    ]
    of_one = (await world.ask("GET", f"{path}/resources/secret/events"))["events"]
    assert len(of_one) == 2
    shown = await world.ask("GET", f"{path}/resources/secret/events/{of_one[0]['id']}")
    assert shown["event"]["resource_type"] == "OS::Heat::RandomString"
    await world.ask("GET", f"{path}/resources/absent/events", status=404)


@BOTH
async def test_update_in_place_and_by_replacement(world: World) -> None:
    path = await world.create("one", SMALL)
    before = await world.resources(path)
    first = (await world.outputs(path))["text"]
    await world.ask("PATCH", path, {"parameters": {"length": 20}}, status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "UPDATE_COMPLETE", stack["stack_status_reason"]
    after = await world.resources(path)
    assert after["secret"]["physical_resource_id"] != before["secret"]["physical_resource_id"]
    assert after["twice"]["physical_resource_id"] == before["twice"]["physical_resource_id"]
    assert after["twice"]["resource_status"] == "UPDATE_COMPLETE"
    text = (await world.outputs(path))["text"]
    assert text != first
    assert len(text) == 24
    states = [
        (one["resource_name"], one["resource_status"])
        for one in (await world.ask("GET", f"{path}/events"))["events"]
    ]
    assert ("secret", "DELETE_COMPLETE") in states
    assert states.index(("twice", "UPDATE_COMPLETE")) < states.index(("secret", "DELETE_IN_PROGRESS"))


async def test_an_update_adds_and_removes(world: World) -> None:
    path = await world.create("one", SMALL)
    changed = {
        "heat_template_version": "2018-08-31",
        "resources": {
            "secret": SMALL["resources"]["secret"] | {"properties": {"length": 8}},  # type: ignore[index]
            "other": {"type": "OS::Heat::Value", "properties": {"value": 7}},
        },
    }
    secret = (await world.resources(path))["secret"]["physical_resource_id"]
    await world.ask("PUT", path, {"template": changed}, status=202)
    await world.engine.settle()
    resources = await world.resources(path)
    assert set(resources) == {"secret", "other"}
    assert resources["secret"]["physical_resource_id"] == secret


def failing(**properties: Any) -> dict[str, Any]:
    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "good": {"type": "OS::Heat::TestResource", "properties": {"value": "good"}},
            "bad": {
                "type": "OS::Heat::TestResource",
                "properties": {"fail": True, **properties},
                "depends_on": "good",
            },
        },
    }


async def test_a_failure_has_its_reason_in_the_stack(world: World) -> None:
    path = await world.create("one", failing())
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert (
        stack["stack_status_reason"]
        == "Resource CREATE failed: ValueError: resources.bad: Test Resource failed bad"
    )
    resources = await world.resources(path)
    assert resources["good"]["resource_status"] == "CREATE_COMPLETE"
    assert resources["bad"]["resource_status"] == "CREATE_FAILED"
    assert resources["bad"]["resource_status_reason"] == "ValueError: resources.bad: Test Resource failed bad"


async def test_a_failed_stack_is_mended_by_an_update(world: World) -> None:
    path = await world.create("one", failing())
    await world.ask("PUT", path, {"template": failing(fail=False)}, status=202)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"
    states = {name: one["resource_status"] for name, one in (await world.resources(path)).items()}
    assert states == {"good": "CREATE_COMPLETE", "bad": "CREATE_COMPLETE"}


async def test_a_failed_create_is_rolled_back(world: World) -> None:
    path = await world.create("one", failing(), disable_rollback=False)
    stack = await world.stack(path)
    assert stack["stack_status"] == "ROLLBACK_COMPLETE"
    assert await world.resources(path) == {}


@BOTH
async def test_a_failed_update_is_rolled_back(world: World) -> None:
    path = await world.create("one", failing(fail=False), disable_rollback=False)
    before = await world.resources(path)
    worse = failing(value="new")
    worse["resources"]["good"]["properties"] = {"value": "better", "update_replace_value": "x"}
    await world.ask("PUT", path, {"template": worse}, status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "ROLLBACK_COMPLETE", stack["stack_status_reason"]
    after = await world.resources(path)
    assert {name: one["physical_resource_id"] for name, one in after.items()} == {
        name: one["physical_resource_id"] for name, one in before.items()
    }
    assert (await world.ask("GET", f"{path}/template"))["resources"]["bad"]["properties"]["fail"] is False
    assert await world.store.count(model.RESOURCES) == 2


async def test_a_stack_that_takes_too_long_times_out(world: World) -> None:
    slow = {
        "heat_template_version": "2018-08-31",
        "resources": {"slow": {"type": "OS::Heat::TestResource", "properties": {"wait_secs": 3000}}},
    }
    path = await world.create("one", slow, timeout_mins=1)
    stack = await world.stack(path)
    assert (stack["stack_status"], stack["stack_status_reason"]) == ("CREATE_FAILED", "Timed out")


async def test_delete_wins_over_create(world: World) -> None:
    slow = {
        "heat_template_version": "2018-08-31",
        "resources": {
            "slow": {"type": "OS::Heat::TestResource", "properties": {"action_wait_secs": {"create": 3000}}}
        },
    }
    path = await world.create("one", slow, settle=False)
    await world.engine.run_due()
    assert (await world.resources(path))["slow"]["resource_status"] == "CREATE_IN_PROGRESS"
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "DELETE_COMPLETE"


async def test_an_update_overtakes_a_create(world: World) -> None:
    def template(seconds: int) -> dict[str, Any]:
        properties = {"action_wait_secs": {"create": seconds}}
        return {
            "heat_template_version": "2018-08-31",
            "resources": {"slow": {"type": "OS::Heat::TestResource", "properties": properties}},
        }

    path = await world.create("one", template(3000), settle=False)
    await world.engine.run_due()
    await world.ask("PUT", path, {"template": template(1)}, status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "UPDATE_COMPLETE", stack["stack_status_reason"]


async def test_strangers_and_readers(world: World) -> None:
    path = await world.create("one", SMALL)
    await world.ask("GET", path, who="carol")
    await world.ask("DELETE", path, who="carol", status=403)
    await world.ask("GET", path, who="bob", status=404)
    answer = await world.client.get(f"/orchestration/v1/p1{path}", headers={"x-auth-token": "bob"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("template", "kind", "words"),
    [
        ("{", "InvalidTemplateFormat", ""),
        (
            {"heat_template_version": "2018-08-31", "resources": {"a": {"type": "OS::Nope::Nope"}}},
            "EntityNotFound",
            "The Resource Type (OS::Nope::Nope) could not be found.",
        ),
        (
            {
                "heat_template_version": "2018-08-31",
                "resources": {
                    "a": {"type": "OS::Heat::Value", "properties": {"value": {"get_resource": "b"}}},
                    "b": {"type": "OS::Heat::Value", "properties": {"value": {"get_resource": "a"}}},
                },
            },
            "CircularDependencyException",
            "Circular Dependency Found",
        ),
        (
            {"heat_template_version": "2018-08-31", "resources": {"a": {"type": "OS::Heat::Value"}}},
            "StackValidationFailed",
            "Property error: resources.a.properties: Property value not assigned",
        ),
        (
            {
                "heat_template_version": "2018-08-31",
                "resources": {"a": {"type": "OS::Heat::RandomString", "properties": {"length": 9000}}},
            },
            "StackValidationFailed",
            "Property error: resources.a.properties.length: 9000 is out of range (min: 1, max: 512)",
        ),
        (
            {
                "heat_template_version": "2018-08-31",
                "resources": {"a": {"type": "OS::Heat::RandomString", "properties": {"odd": 1}}},
            },
            "StackValidationFailed",
            "Unknown Property odd",
        ),
        (
            {
                "heat_template_version": "2018-08-31",
                "resources": {"a": {"type": "OS::Heat::RandomString"}},
                "outputs": {"x": {"value": {"get_attr": ["a", "nope"]}}},
            },
            "InvalidTemplateAttribute",
            "The Referenced Attribute (a nope) is incorrect.",
        ),
        (
            {"heat_template_version": "2018-08-31", "parameters": {"x": {"type": "string"}}},
            "UserParameterMissing",
            "The Parameter (x) was not provided.",
        ),
    ],
)
async def test_templates_that_cannot_stand(world: World, template: Any, kind: str, words: str) -> None:
    status = 404 if kind == "EntityNotFound" else 400
    body = {"stack_name": "one", "template": template}
    answer = await world.ask("POST", "/stacks", body, status=status)
    assert answer["error"]["type"] == kind
    assert words in answer["error"]["message"]
    assert answer["code"] == status
    assert (await world.ask("GET", "/stacks"))["stacks"] == []


async def test_a_name_is_taken_once(world: World) -> None:
    await world.create("one", SMALL)
    answer = await world.ask("POST", "/stacks", {"stack_name": "one", "template": SMALL}, status=409)
    assert answer["error"] == {
        "type": "StackExists",
        "message": "The Stack (one) already exists.",
        "traceback": None,
    }
