"""The rest of the API: lists, previews, actions, adoption, types, validation, configurations, bad input."""

from typing import Any

import pytest

from .conftest import World
from .test_stack import SMALL

HOT = "2018-08-31"


def one(type: str, **properties: Any) -> dict[str, Any]:
    return {"heat_template_version": HOT, "resources": {"a": {"type": type, "properties": properties}}}


async def test_versions(world: World) -> None:
    for path in ("/orchestration/", "/orchestration/v1"):
        answer = await world.client.get(path)
        assert answer.status_code == 300
        (version,) = answer.json()["versions"]
        assert version["id"] == "v1.0"
        assert version["links"][0]["href"] == "http://cloud.test/orchestration/v1/"


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
async def test_lists_filter_page_and_count(world: World) -> None:
    for name, tags in (("one", "red,big"), ("two", "red"), ("three", None)):
        await world.create(name, SMALL, **({"tags": tags} if tags else {}))

    async def names(query: str) -> list[str]:
        return [each["stack_name"] for each in (await world.ask("GET", f"/stacks?{query}"))["stacks"]]

    assert await names("sort_keys=stack_name&sort_dir=asc") == ["one", "three", "two"]
    assert await names("name=two") == ["two"]
    assert await names("status=FAILED") == []
    assert len(await names("status=COMPLETE&action=CREATE")) == 3
    assert set(await names("tags=red")) == {"one", "two"}
    assert await names("tags=red,big") == ["one"]
    assert set(await names("not_tags=big")) == {"two", "three"}
    answer = await world.ask("GET", "/stacks?limit=2&sort_keys=stack_name&sort_dir=asc&with_count=true")
    assert answer["count"] == 3
    assert [each["stack_name"] for each in answer["stacks"]] == ["one", "three"]
    marker = answer["stacks"][-1]["id"]
    assert await names(f"limit=2&marker={marker}&sort_keys=stack_name&sort_dir=asc") == ["two"]
    assert answer["links"][0]["rel"] == "next"
    await world.ask("GET", "/stacks?limit=x", status=400)
    await world.ask("GET", "/stacks?sort_keys=odd", status=400)
    await world.ask("GET", "/stacks?global_tenant=true", status=403)
    everyones = await world.ask("GET", "/stacks?global_tenant=true", who="root")
    assert {each["project"] for each in everyones["stacks"]} == {"p1"}
    assert len((await world.ask("GET", "/stacks/detail"))["stacks"]) == 3


async def test_previews(world: World) -> None:
    body = {"stack_name": "one", "template": SMALL}
    preview = (await world.ask("POST", "/stacks/preview", body))["stack"]
    assert {each["resource_name"] for each in preview["resources"]} == {"secret", "twice"}
    assert (await world.ask("GET", "/stacks"))["stacks"] == []
    path = await world.create("one", SMALL)
    longer = {"template": SMALL, "parameters": {"length": 9}}
    changes = (await world.ask("PUT", f"{path}/preview", longer))["resource_changes"]
    assert [each["resource_name"] for each in changes["replaced"]] == ["secret"]
    assert [each["resource_name"] for each in changes["unchanged"]] == ["twice"]
    changes = (await world.ask("PATCH", f"{path}/preview", {"parameters": {}}))["resource_changes"]
    assert len(changes["unchanged"]) == 2


async def test_template_environment_files_outputs(world: World) -> None:
    path = await world.create("one", SMALL, parameters={"length": 9}, files={"a": "b"})
    assert (await world.ask("GET", f"{path}/template"))["resources"] == SMALL["resources"]
    assert (await world.ask("GET", f"{path}/environment"))["parameters"] == {"length": 9}
    assert await world.ask("GET", f"{path}/files") == {"a": "b"}
    assert (await world.ask("GET", f"{path}/outputs"))["outputs"] == [
        {"output_key": "text", "description": "No description given"}
    ]
    assert (await world.ask("GET", f"{path}/outputs/text"))["output"]["output_value"]
    answer = await world.ask("GET", f"{path}/outputs/absent", status=404)
    assert answer["error"]["message"] == "Specified output key absent not found."


async def test_secrets_stay_hidden(world: World) -> None:
    template = {
        "heat_template_version": HOT,
        "parameters": {"password": {"type": "string", "hidden": True}},
        "resources": {"a": {"type": "OS::Heat::Value", "properties": {"value": 1}}},
    }
    path = await world.create("one", template, parameters={"password": "swordfish"})
    assert (await world.stack(path))["parameters"]["password"] == "******"
    environment = await world.ask("GET", f"{path}/environment")
    assert "swordfish" not in str(environment)


async def test_check_finds_what_was_marked_broken_and_an_update_mends_it(world: World) -> None:
    path = await world.create("one", SMALL)
    before = (await world.resources(path))["secret"]["physical_resource_id"]
    body = {"mark_unhealthy": True, "resource_status_reason": "looks odd"}
    await world.ask("PATCH", f"{path}/resources/secret", body)
    secret = (await world.resources(path))["secret"]
    assert (secret["resource_status"], secret["resource_status_reason"]) == ("CHECK_FAILED", "looks odd")
    await world.ask("PATCH", path, {"parameters": {}}, status=202)
    await world.engine.settle()
    after = (await world.resources(path))["secret"]
    assert after["resource_status"] == "CREATE_COMPLETE"
    assert after["physical_resource_id"] != before
    await world.ask("POST", f"{path}/actions", {"check": None})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "CHECK_COMPLETE"
    await world.ask("PATCH", f"{path}/resources/absent", body, status=404)
    await world.ask("PATCH", f"{path}/resources/secret", {"mark_unhealthy": "x"}, status=400)


async def test_suspend_and_resume(world: World) -> None:
    path = await world.create("one", SMALL)
    await world.ask("POST", f"{path}/actions", {"suspend": None})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "SUSPEND_COMPLETE"
    await world.ask("PATCH", path, {"parameters": {}}, status=400)
    await world.ask("POST", f"{path}/actions", {"resume": None})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "RESUME_COMPLETE"
    for odd in ({}, {"dance": None}, {"check": None, "resume": None}, []):
        await world.ask("POST", f"{path}/actions", odd, status=400)


def slow(seconds: int) -> dict[str, Any]:
    return one(
        "OS::Heat::TestResource", value=f"{seconds}", action_wait_secs={"update": seconds, "create": 0}
    )


async def test_cancel_update_goes_back(world: World) -> None:
    path = await world.create("one", slow(0))
    await world.ask("POST", f"{path}/actions", {"cancel_update": None}, status=400)
    await world.ask("PUT", path, {"template": slow(3000)}, status=202)
    await world.engine.run_due()
    await world.ask("POST", f"{path}/actions", {"cancel_update": None})
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "ROLLBACK_COMPLETE", stack["stack_status_reason"]


async def test_cancel_without_rollback_leaves_it_as_it_is(world: World) -> None:
    path = await world.create("one", slow(0))
    await world.ask("PUT", path, {"template": slow(3000)}, status=202)
    await world.engine.run_due()
    await world.ask("POST", f"{path}/actions", {"cancel_without_rollback": None})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "UPDATE_FAILED"
    assert (await world.resources(path))["a"]["resource_status"] == "UPDATE_FAILED"
    await world.ask("PUT", path, {"template": slow(0)}, status=202)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"


async def test_abandon_and_adopt(world: World) -> None:
    path = await world.create("one", SMALL)
    text = (await world.outputs(path))["text"]
    exported = await world.ask("GET", f"{path}/export")
    abandoned = await world.ask("DELETE", f"{path}/abandon")
    assert abandoned["resources"].keys() == exported["resources"].keys()
    await world.engine.settle()
    assert (await world.ask("GET", "/stacks"))["stacks"] == []
    body = {"stack_name": "again", "adopt_stack_data": abandoned, "template": SMALL}
    answer = await world.ask("POST", "/stacks", body, status=201)
    await world.engine.settle()
    again = f"/stacks/again/{answer['stack']['id']}"
    stack = await world.stack(again)
    assert stack["stack_status"] == "ADOPT_COMPLETE", stack["stack_status_reason"]
    assert (await world.outputs(again))["text"] == text
    await world.ask("POST", "/stacks", {"stack_name": "x", "adopt_stack_data": "{}"}, status=400)


async def test_deletion_policy_retain(world: World) -> None:
    template = one("OS::Heat::SoftwareConfig", config="text")
    template["resources"]["a"]["deletion_policy"] = "retain"
    path = await world.create("one", template)
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert len((await world.ask("GET", "/software_configs"))["software_configs"]) == 1


async def test_resource_types(world: World) -> None:
    names = (await world.ask("GET", "/resource_types"))["resource_types"]
    assert "OS::Heat::RandomString" in names
    assert "OS::Nova::Server" not in names  # there is no compute room in this house
    shown = await world.ask("GET", "/resource_types/OS::Heat::RandomString")
    assert shown["properties"]["length"] == {
        "type": "integer",
        "required": False,
        "update_allowed": False,
        "immutable": False,
        "description": "Length of the string to generate.",
        "default": 32,
        "constraints": [{"range": {"min": 1, "max": 512}}],
    }
    assert set(shown["attributes"]) == {"value", "show"}
    for form in ("hot", "cfn"):
        await world.ask("GET", f"/resource_types/OS::Heat::RandomString/template?template_type={form}")
    await world.ask("GET", "/resource_types/OS::Heat::RandomString/template?template_type=x", status=400)
    answer = await world.ask("GET", "/resource_types/OS::Odd", status=404)
    assert answer["error"]["message"] == "The Resource Type (OS::Odd) could not be found."


async def test_every_type_shows_itself_and_its_template_parses(world: World) -> None:
    from aerostat.services.orchestration.kinds import all_kinds
    from aerostat.services.orchestration.resources.resource_type import _cfn_template, _hot_template
    from aerostat.services.orchestration.template import parse

    for name, kind in all_kinds().items():
        assert kind.description, name
        for shown in kind.properties.values():
            assert shown.view()["type"]
        parse(_hot_template(name, kind))
        parse(_cfn_template(name, kind))


async def test_template_versions_and_functions(world: World) -> None:
    versions = (await world.ask("GET", "/template_versions"))["template_versions"]
    assert {"hot", "cfn"} == {each["type"] for each in versions}
    found = await world.ask("GET", "/template_versions/heat_template_version.2018-08-31/functions")
    assert "get_attr" in {each["functions"] for each in found["template_functions"]}
    await world.ask("GET", "/template_versions/odd/functions", status=404)


async def test_validate(world: World) -> None:
    answer = await world.ask("POST", "/validate", {"template": SMALL})
    assert answer["Parameters"]["length"]["Type"] == "Number"
    needs = {
        "heat_template_version": HOT,
        "parameters": {"x": {"type": "string"}},
        "resources": {"a": {"type": "OS::Heat::Value", "properties": {"value": {"get_param": "x"}}}},
    }
    assert "x" in (await world.ask("POST", "/validate", {"template": needs}))["Parameters"]
    answer = await world.ask("POST", "/validate", {"template": one("OS::Heat::Value", odd=1)}, status=400)
    assert answer["error"]["type"] == "StackValidationFailed"


async def test_software_configs(world: World) -> None:
    body = {"name": "c", "group": "script", "config": "#!/bin/sh", "inputs": [], "outputs": [], "options": {}}
    made = (await world.ask("POST", "/software_configs", body))["software_config"]
    assert made["config"] == "#!/bin/sh"
    path = f"/software_configs/{made['id']}"
    assert (await world.ask("GET", path))["software_config"] == made
    await world.ask("GET", path, status=404, who="bob")
    assert len((await world.ask("GET", "/software_configs"))["software_configs"]) == 1
    await world.ask("DELETE", path, status=204)
    await world.ask("GET", path, status=404)
    await world.ask("POST", "/software_configs", {"name": 7}, status=400)


async def test_configs_become_user_data(world: World) -> None:
    template = {
        "heat_template_version": HOT,
        "resources": {
            "cloud": {
                "type": "OS::Heat::CloudConfig",
                "properties": {"cloud_config": {"packages": ["a", "b"]}},
            },
            "script": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": "#!/bin/sh\necho hi"}},
            "both": {
                "type": "OS::Heat::MultipartMime",
                "properties": {
                    "parts": [{"config": {"get_resource": "cloud"}}, {"config": {"get_resource": "script"}}]
                },
            },
        },
        "outputs": {
            "both": {"value": {"get_attr": ["both", "config"]}},
            "cloud": {"value": {"get_attr": ["cloud", "config"]}},
        },
    }
    path = await world.create("one", template)
    outputs = await world.outputs(path)
    assert outputs["cloud"] == "#cloud-config\npackages:\n- a\n- b\n"
    assert "text/cloud-config" in outputs["both"]
    assert "text/x-shellscript" in outputs["both"]


async def test_build_info_and_services(world: World) -> None:
    assert (await world.ask("GET", "/build_info"))["engine"]["revision"]
    await world.ask("GET", "/services", status=403)
    assert (await world.ask("GET", "/services", who="root"))["services"][0]["status"] == "up"


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"stack_name": "one"},
        {"template": SMALL},
        {"stack_name": "1one", "template": SMALL},
        {"stack_name": "o" * 256, "template": SMALL},
        {"stack_name": "o/ne", "template": SMALL},
        {"stack_name": 7, "template": SMALL},
        {"stack_name": "one", "template": 7},
        {"stack_name": "one", "template": []},
        {"stack_name": "one", "template_url": "file:///etc/passwd"},
        {"stack_name": "one", "template_url": "http://169.254.169.254/"},
        {"stack_name": "one", "template": SMALL, "odd": 1},
        {"stack_name": "one", "template": SMALL, "parameters": []},
        {"stack_name": "one", "template": SMALL, "parameters": {"odd": 1}},
        {"stack_name": "one", "template": SMALL, "parameters": {"length": "many"}},
        {"stack_name": "one", "template": SMALL, "environment": []},
        {"stack_name": "one", "template": SMALL, "environment": {"odd": {}}},
        {"stack_name": "one", "template": SMALL, "environment_files": ["absent"]},
        {"stack_name": "one", "template": SMALL, "environment_files": 7},
        {"stack_name": "one", "template": SMALL, "files": []},
        {"stack_name": "one", "template": SMALL, "files": {"a": 1}},
        {"stack_name": "one", "template": SMALL, "timeout_mins": "soon"},
        {"stack_name": "one", "template": SMALL, "timeout_mins": -1},
        {"stack_name": "one", "template": SMALL, "disable_rollback": "perhaps"},
        {"stack_name": "one", "template": SMALL, "tags": "x" * 81},
        {"stack_name": "one", "template": SMALL, "tags": 7},
        {"stack_name": "one", "template": "[" * 100_000},
        {"stack_name": "one", "template": BOMB},
        {"stack_name": "one", "template": "heat_template_version: 2018-08-31\nresources: [1]"},
        {"stack_name": "one", "template": "heat_template_version: 1999-01-01"},
        {"stack_name": "one", "template": one("OS::Heat::Value", value={"get_attr": ["b", "c"]})},
        {"stack_name": "one", "template": one("OS::Heat::Value", value={"get_file": "/etc/passwd"})},
        {
            "stack_name": "one",
            "template": one(
                "OS::Heat::RandomString", length=2, character_classes=[{"class": "digits", "min": 3}]
            ),
        },
    ],
)
async def test_odd_bodies_are_refused_and_nothing_is_half_made(world: World, body: Any) -> None:
    answer = await world.client.post(
        "/orchestration/v1/p1/stacks", json=body, headers={"x-auth-token": "alice"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
    assert answer.json()["explanation"]
    assert (await world.ask("GET", "/stacks?show_deleted=true"))["stacks"] == []


async def test_a_large_template_with_files_is_taken(world: World) -> None:
    files = {f"file-{index}": "x" * 100_000 for index in range(20)}
    path = await world.create("one", SMALL, files=files)
    assert len(await world.ask("GET", f"{path}/files")) == 20


async def test_hostile_patterns_do_not_hold_up_the_cloud(world: World) -> None:
    template = {
        "heat_template_version": HOT,
        "parameters": {"x": {"type": "string", "constraints": [{"allowed_pattern": "(a+)+$"}]}},
    }
    text = await world.create("one", template, parameters={"x": "a" * 40 + "!"}, status=400)
    assert "pattern" in text


@pytest.mark.parametrize("settings", [{"keep_deleted_s": 60.0}])
async def test_deleted_stacks_are_forgotten_in_time(world: World, settings: dict[str, Any]) -> None:
    from aerostat.kernel.clock import clock

    path = await world.create("one", SMALL)
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    await world.engine.run_one("orchestration.deleted_stacks")
    await world.ask("GET", path)
    clock.step(seconds=120)
    assert await world.engine.run_one("orchestration.deleted_stacks") == 1
    await world.ask("GET", path, status=404)
