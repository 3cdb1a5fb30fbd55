"""Configurations given to servers: by the API, by stacks, and what the servers' agents say and read."""

import json
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import pytest

from aerostat.services.orchestration import model
from aerostat.services.orchestration.agent_keys import signature

from .conftest import World

HOT = "2018-08-31"


def template(config: dict[str, Any] | None = None, **deployment: Any) -> dict[str, Any]:
    return {
        "heat_template_version": HOT,
        "resources": {
            "server": {"type": "OS::Heat::DeployedServer"},
            "config": {
                "type": "OS::Heat::SoftwareConfig",
                "properties": {
                    "group": "script",
                    "config": "echo $who",
                    "inputs": [{"name": "who", "default": "nobody"}, {"name": "other"}],
                    "outputs": [{"name": "result"}, {"name": "trouble", "error_output": True}],
                    **(config or {}),
                },
            },
            "deployment": {
                "type": "OS::Heat::SoftwareDeployment",
                "properties": {
                    "config": {"get_resource": "config"},
                    "server": {"get_resource": "server"},
                    "input_values": {"who": "you", "extra": 1},
                    **deployment,
                },
            },
        },
        "outputs": {
            "result": {"value": {"get_attr": ["deployment", "result"]}},
            "stdout": {"value": {"get_attr": ["deployment", "deploy_stdout"]}},
            "code": {"value": {"get_attr": ["deployment", "deploy_status_code"]}},
            "settings": {"value": {"get_attr": ["server", "os_collect_config"]}},
        },
    }


async def told(world: World, path: str, name: str = "server") -> list[dict[str, Any]]:
    """What the server's agent reads."""
    metadata = (await world.ask("GET", f"{path}/resources/{name}/metadata"))["metadata"]
    deployments: list[dict[str, Any]] = metadata["deployments"]
    return deployments


def inputs(config: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in config["inputs"]}


async def answer(world: World, config: dict[str, Any], body: Any, status: int = 200) -> None:
    """As the agent of a server does."""
    sent = await world.client.post(inputs(config)["deploy_signal_id"], json=body)
    assert sent.status_code == status, sent.text
    await world.engine.run_due()


async def begun(world: World, body: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    path = await world.create("one", body or template(), settle=False)
    await world.engine.run_due()
    (config,) = await told(world, path)
    return path, config


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
async def test_a_server_does_what_it_is_told(world: World) -> None:
    path, config = await begun(world)
    assert (config["group"], config["config"]) == ("script", "echo $who")
    values = inputs(config)
    assert (values["who"], values["other"], values["extra"]) == ("you", None, 1)
    assert values["deploy_action"] == "CREATE"
    assert values["deploy_resource_name"] == "deployment"
    assert values["deploy_stack_id"] == path.removeprefix("/stacks/")
    assert values["deploy_signal_verb"] == "POST"
    assert (await world.stack(path))["stack_status"] == "CREATE_IN_PROGRESS"
    (listed,) = (await world.ask("GET", "/software_deployments"))["software_deployments"]
    assert (listed["status"], listed["status_reason"]) == ("IN_PROGRESS", "Deploy data available")

    await answer(world, config, {"result": "done", "deploy_stdout": "hello", "deploy_status_code": 0})
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    outputs = await world.outputs(path)
    assert (outputs["result"], outputs["stdout"], outputs["code"]) == ("done", "hello", 0)
    shown = await world.ask("GET", f"/software_deployments/{listed['id']}")
    assert shown["software_deployment"]["status"] == "COMPLETE"
    assert shown["software_deployment"]["output_values"]["result"] == "done"

    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert await world.store.count(model.SOFTWARE_DEPLOYMENTS) == 0
    assert await world.store.count(model.SOFTWARE_CONFIGS) == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            {"deploy_status_code": 2},
            "deploy_status_code : Deployment exited with non-zero status code: 2",
        ),
        ({"trouble": "no disk"}, "trouble : no disk"),
    ],
)
async def test_a_server_that_fails(world: World, body: dict[str, Any], reason: str) -> None:
    path, config = await begun(world)
    await answer(world, config, body)
    stack = await world.stack(path)
    assert stack["stack_status_reason"] == (
        f"Resource CREATE failed: Error: resources.deployment: Deployment to server failed: {reason}"
    )
    events = (await world.ask("GET", f"{path}/resources/deployment/events"))["events"]
    assert "deployment failed" in " ".join(one["resource_status_reason"] for one in events)


async def test_a_server_that_never_answers(world: World) -> None:
    path = await world.create("one", template(), timeout_mins=1)
    assert (await world.stack(path))["stack_status"] == "CREATE_FAILED"
    (listed,) = (await world.ask("GET", "/software_deployments"))["software_deployments"]
    assert listed["status"] == "FAILED"


async def test_an_update_is_another_deployment(world: World) -> None:
    path, config = await begun(world)
    await answer(world, config, {})
    await world.ask("PUT", path, {"template": template(input_values={"who": "me"})}, status=202)
    await world.engine.run_due()
    (again,) = await told(world, path)
    assert again["id"] != config["id"]
    assert (inputs(again)["who"], inputs(again)["deploy_action"]) == ("me", "UPDATE")
    await answer(world, again, {"result": "changed"})
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"
    assert (await world.outputs(path))["result"] == "changed"
    assert (
        await world.store.count(model.SOFTWARE_CONFIGS) == 2
    )  # the one of the template, and what is deployed


async def test_an_input_that_asks_for_a_new_deployment(world: World) -> None:
    config = {"inputs": [{"name": "who", "replace_on_change": True}]}
    path, first = await begun(world, template(config, signal_transport="NO_SIGNAL"))
    before = (await world.resources(path))["deployment"]["physical_resource_id"]
    changed = template(config, signal_transport="NO_SIGNAL", input_values={"who": "me"})
    await world.ask("PUT", path, {"template": changed}, status=202)
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"
    assert (await world.resources(path))["deployment"]["physical_resource_id"] != before
    assert "deploy_signal_id" not in inputs(first)


async def test_only_the_actions_that_are_named(world: World) -> None:
    path = await world.create("one", template(actions=["DELETE"]))
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    assert await told(world, path) == []
    await world.ask("DELETE", path, status=204)
    await world.engine.run_due()
    (config,) = await told(world, path)
    assert inputs(config)["deploy_action"] == "DELETE"
    assert (await world.stack(path))["stack_status"] == "DELETE_IN_PROGRESS"
    await answer(world, config, {})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "DELETE_COMPLETE"
    assert await world.store.count(model.SOFTWARE_DEPLOYMENTS) == 0


async def test_a_component_says_itself_for_which_actions(world: World) -> None:
    body = template(signal_transport="NO_SIGNAL")
    configs = [
        {"actions": ["CREATE"], "config": "install", "tool": "script"},
        {"actions": ["SUSPEND"], "config": "rest", "tool": "script"},
    ]
    body["resources"]["config"] = {"type": "OS::Heat::SoftwareComponent", "properties": {"configs": configs}}
    path = await world.create("one", body)
    (config,) = await told(world, path)
    assert config["group"] == "component"
    await world.ask("POST", f"{path}/actions", {"suspend": None})
    await world.engine.settle()
    (config,) = await told(world, path)
    assert inputs(config)["deploy_action"] == "SUSPEND"
    configs[1]["actions"] = ["CREATE"]
    assert "more than one configuration for the same action" in await world.create("two", body, status=400)


async def test_structured(world: World) -> None:
    body = template()
    body["resources"]["config"] = {
        "type": "OS::Heat::StructuredConfig",
        "properties": {"config": {"a": [{"get_input": "who"}], "b": {"get_input": "absent"}, "c": "x"}},
    }
    body["resources"]["deployment"]["type"] = "OS::Heat::StructuredDeployment"
    _, config = await begun(world, body)
    assert config["config"] == {"a": ["you"], "b": None, "c": "x"}
    body["resources"]["deployment"]["properties"]["input_values_validate"] = "STRICT"
    path = await world.create("two", body)
    assert "The Parameter (absent) was not provided." in (await world.stack(path))["stack_status_reason"]


@pytest.mark.parametrize("kind", ["OS::Heat::SoftwareDeploymentGroup", "OS::Heat::SoftwareDeployments"])
async def test_a_group_of_servers(world: World, kind: str) -> None:
    body = template()
    resources = body["resources"]
    resources["second"] = {"type": "OS::Heat::DeployedServer"}
    deployment = resources["deployment"]
    deployment["type"] = kind
    del deployment["properties"]["server"]
    deployment["properties"]["servers"] = {
        "a": {"get_resource": "server"},
        "b": {"get_resource": "second"},
    }
    body["outputs"] = {
        "stdouts": {"value": {"get_attr": ["deployment", "deploy_stdouts"]}},
        "results": {"value": {"get_attr": ["deployment", "result"]}},
    }
    path = await world.create("one", body, settle=False)
    await world.engine.run_due()
    for name in ("server", "second"):
        (config,) = await told(world, path, name)
        await answer(world, config, {"deploy_stdout": f"of {name}", "result": name})
    await world.engine.settle()
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    assert await world.outputs(path) == {
        "stdouts": {"a": "of server", "b": "of second"},
        "results": {"a": "server", "b": "second"},
    }


async def test_the_agent_reads_with_its_key(world: World) -> None:
    path, config = await begun(world)
    outputs = await world.outputs(path)
    cfn = outputs["settings"]["cfn"]
    assert outputs["settings"]["collectors"] == ["cfn", "local"]

    async def read(resource: str = "server", secret: str = cfn["secret_access_key"]) -> Any:
        params = {
            "Action": "DescribeStackResource",
            "StackName": cfn["stack_name"],
            "LogicalResourceId": resource,
            "AWSAccessKeyId": cfn["access_key_id"],
            "SignatureVersion": "2",
            "SignatureMethod": "HmacSHA256",
        }
        where = urlsplit(cfn["metadata_url"])
        params["Signature"] = signature(secret, "GET", where.netloc, where.path, params)
        query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
        return await world.client.get(f"{cfn['metadata_url']}?{query}")

    got = await read()
    assert got.status_code == 200
    detail = ElementTree.fromstring(got.text).find("DescribeStackResourceResult/StackResourceDetail")
    assert detail is not None
    metadata = json.loads(detail.findtext("Metadata") or "")
    assert [one["id"] for one in metadata["deployments"]] == [config["id"]]
    assert metadata["os-collect-config"]["cfn"] == cfn
    assert (await read("config")).status_code == 404
    assert (await read(secret="wrong")).status_code == 401
    assert (await world.client.get(cfn["metadata_url"])).status_code == 400


@pytest.mark.parametrize(
    ("where", "value", "text"),
    [
        ("deployment", {"signal_transport": "ZAQAR_SIGNAL"}, "no messaging service"),
        ("deployment", {"signal_transport": "TEMP_URL_SIGNAL"}, "no object store"),
        ("server", {"software_config_transport": "ZAQAR_MESSAGE"}, "no messaging service"),
        ("server", {"software_config_transport": "POLL_TEMP_URL"}, "no object store"),
    ],
)
async def test_transports_that_are_refused(
    world: World, where: str, value: dict[str, Any], text: str
) -> None:
    body = template()
    properties = body["resources"][where].setdefault("properties", {})
    properties |= value
    for name, one in properties.items():
        if isinstance(one, dict) and "get_resource" in one:
            properties[name] = "known-beforehand"
    assert text in await world.create("one", body, status=400)


async def test_the_api(world: World) -> None:
    config = (
        await world.ask("POST", "/software_configs", {"name": "c", "outputs": [{"name": "o"}], "config": "x"})
    )["software_config"]
    made = await world.ask(
        "POST",
        "/software_deployments",
        {
            "config_id": config["id"],
            "server_id": "s1",
            "action": "CREATE",
            "status": "IN_PROGRESS",
            "status_reason": "Deploy data available",
            "input_values": {"a": 1},
        },
    )
    deployment = made["software_deployment"]
    assert deployment["updated_time"] is None
    assert deployment["input_values"] == {"a": 1}
    one = f"/software_deployments/{deployment['id']}"
    changed = await world.ask("PUT", one, {"status": "COMPLETE", "output_values": {"o": "2"}})
    assert changed["software_deployment"]["status"] == "COMPLETE"
    assert changed["software_deployment"]["output_values"] == {"o": "2"}
    listed = await world.ask("GET", "/software_deployments?server_id=s1")
    assert [each["id"] for each in listed["software_deployments"]] == [deployment["id"]]
    assert (await world.ask("GET", "/software_deployments?server_id=s2"))["software_deployments"] == []
    metadata = await world.ask("GET", "/software_deployments/metadata/s1")
    assert [each["id"] for each in metadata["metadata"]] == [config["id"]]
    referenced = await world.ask("DELETE", f"/software_configs/{config['id']}", status=400)
    assert "can not be deleted as it is referenced" in referenced["error"]["message"]

    await world.ask("GET", one, status=404, who="bob")
    await world.ask("PUT", one, {"status": "FAILED"}, status=404, who="bob")
    await world.ask("DELETE", one, status=404, who="bob")
    assert (await world.ask("GET", "/software_deployments", who="bob"))["software_deployments"] == []
    assert (await world.ask("GET", "/software_deployments/metadata/s1", who="bob"))["metadata"] == []
    await world.ask("DELETE", one, status=403, who="carol")
    await world.ask("POST", "/software_deployments", {"server_id": "s1"}, status=400)
    await world.ask("POST", "/software_deployments", {"server_id": "s1", "config_id": "x"}, status=404)
    await world.ask("POST", "/software_deployments", {"config_id": 7}, status=400)
    await world.ask("DELETE", one, status=204)
    await world.ask("DELETE", f"/software_configs/{config['id']}", status=204)
