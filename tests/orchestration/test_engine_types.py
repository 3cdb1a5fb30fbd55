"""Types that need no other room: pauses, handles that change, groups of instances, stacks by address."""

import json
from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.services.orchestration import model
from aerostat.services.orchestration.errors import ResourceFailure
from aerostat.services.orchestration.types.scaling.instances import duration_s

from .conftest import World

HOT = "2018-08-31"
PROVIDER = """
heat_template_version: 2018-08-31
parameters:
  ImageId: {type: string}
  InstanceType: {type: string}
  SecurityGroups: {type: comma_delimited_list}
  UserData: {type: string}
  Tags: {type: json, default: []}
resources:
  one: {type: 'OS::Heat::RandomString', properties: {salt: {get_param: UserData}}}
outputs:
  PublicIp: {value: {get_attr: [one, value]}}
"""


def hot(resources: dict[str, Any], **outputs: Any) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in outputs.items()}
    return {"heat_template_version": HOT, "resources": resources, "outputs": shown}


async def test_delay(world: World) -> None:
    delay = {"min_wait": 40, "actions": ["CREATE", "DELETE", "SUSPEND"]}
    path = await world.create(
        "one", hot({"pause": {"type": "OS::Heat::Delay", "properties": delay}}), settle=False
    )

    async def passes(state: str) -> None:
        await world.engine.run_due()
        assert (await world.stack(path))["stack_status"] == f"{state}_IN_PROGRESS"
        start = clock.now()
        await world.engine.settle()
        assert (await world.stack(path))["stack_status"] == f"{state}_COMPLETE"
        assert 40 <= (clock.now() - start).total_seconds() < 70

    await passes("CREATE")
    await world.ask("POST", f"{path}/actions", {"suspend": None})
    await passes("SUSPEND")
    await world.ask("POST", f"{path}/actions", {"resume": None})
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "RESUME_COMPLETE"
    await world.ask("DELETE", path, status=204)
    await passes("DELETE")


async def test_access_policy(world: World) -> None:
    def policy(*names: str) -> dict[str, Any]:
        return hot(
            {
                "value": {"type": "OS::Heat::Value", "properties": {"value": 1}},
                "policy": {"type": "OS::Heat::AccessPolicy", "properties": {"AllowedResources": [*names]}},
            }
        )

    path = await world.create("one", policy("value"))
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    path = await world.create("two", policy("absent"))
    assert "AccessPolicy resource absent not in stack" in (await world.stack(path))["stack_status_reason"]


async def test_a_handle_that_changes_with_each_update(world: World) -> None:
    template = hot(
        {
            "handle": {"type": "OS::Heat::UpdateWaitConditionHandle"},
            "wait": {
                "type": "AWS::CloudFormation::WaitCondition",
                "properties": {"Handle": {"get_resource": "handle"}, "Timeout": 60},
            },
        },
        url={"get_resource": "handle"},
    )
    signal = {"Data": "x", "Reason": "", "Status": "SUCCESS", "UniqueId": "1"}
    path = await world.create("one", template, settle=False)
    await world.engine.run_due()
    url = (await world.outputs(path))["url"]
    assert (await world.client.post(url, json=signal)).status_code == 200
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"

    await world.ask("PUT", path, {"template": template}, status=202)
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "UPDATE_IN_PROGRESS"
    fresh = (await world.outputs(path))["url"]
    assert fresh != url
    assert (await world.client.post(url, json=signal)).status_code == 401
    assert (await world.client.post(fresh, json=signal)).status_code == 200
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "UPDATE_COMPLETE"


def instances(kind: str, user_data: str = "a", **group: Any) -> dict[str, Any]:
    sizes = {"Size": 3} if kind == "OS::Heat::InstanceGroup" else {"MinSize": 2, "MaxSize": 5}
    return {
        "HeatTemplateFormatVersion": "2012-12-12",
        "Resources": {
            "Group": {
                "Type": kind,
                "Properties": {
                    "AvailabilityZones": ["nova"],
                    "LaunchConfigurationName": {"Ref": "Config"},
                    **sizes,
                    **group,
                },
                "UpdatePolicy": {
                    name: {"MinInstancesInService": "1", "MaxBatchSize": "2", "PauseTime": "PT1S"}
                    for name in ("RollingUpdate", "AutoScalingRollingUpdate")
                },
            },
            "Config": {
                "Type": "AWS::AutoScaling::LaunchConfiguration",
                "Properties": {
                    "ImageId": "image",
                    "InstanceType": "flavor",
                    "SecurityGroups": ["sg"],
                    "UserData": user_data,
                },
            },
        },
        "Outputs": {
            "List": {"Value": {"Fn::GetAtt": ["Group", "InstanceList"]}},
            "Config": {"Value": {"Ref": "Config"}},
        },
    }


ENVIRONMENT = {"resource_registry": {"AWS::EC2::Instance": "provider.yaml"}}
FILES = {"provider.yaml": PROVIDER}


@pytest.mark.parametrize("kind", ["OS::Heat::InstanceGroup", "AWS::AutoScaling::AutoScalingGroup"])
async def test_groups_of_instances(world: World, kind: str) -> None:
    path = await world.create("one", instances(kind), environment=ENVIRONMENT, files=FILES)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    outputs = await world.outputs(path)
    size = 3 if kind == "OS::Heat::InstanceGroup" else 2
    assert len(outputs["List"].split(",")) == size
    group = (await world.resources(path))["Group"]["physical_resource_id"]
    before = await world.store.all(model.RESOURCES, {"stack_id": group})
    assert {one.type for one in before} == {"OS::Heat::ScaledResource"}
    tags = before[0].properties["Tags"]
    assert tags[0]["Key"] == "metering.groupname"

    body = {"environment": ENVIRONMENT, "files": FILES}
    await world.ask("PUT", path, {"template": instances(kind, "b"), **body}, status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "UPDATE_COMPLETE", stack["stack_status_reason"]
    changed = await world.outputs(path)
    assert changed["Config"] != outputs["Config"]
    after = await world.store.all(model.RESOURCES, {"stack_id": group})
    assert [one.properties["UserData"] for one in after] == ["b"] * size
    assert not set(changed["List"].split(",")) & set(outputs["List"].split(","))


async def test_a_policy_in_cloudformations_words(world: World) -> None:
    template = instances("AWS::AutoScaling::AutoScalingGroup")
    template["Resources"]["Up"] = {
        "Type": "AWS::AutoScaling::ScalingPolicy",
        "Properties": {
            "AutoScalingGroupName": {"Ref": "Group"},
            "AdjustmentType": "PercentChangeInCapacity",
            "ScalingAdjustment": "50",
            "MinAdjustmentStep": 2,
        },
    }
    template["Outputs"]["Url"] = {"Value": {"Fn::GetAtt": ["Up", "AlarmUrl"]}}
    template["Outputs"]["Ref"] = {"Value": {"Ref": "Up"}}
    path = await world.create("one", template, environment=ENVIRONMENT, files=FILES)
    outputs = await world.outputs(path)
    assert outputs["Url"] == outputs["Ref"]
    clock.step(seconds=1)
    assert (await world.client.post(outputs["Url"])).status_code == 200
    await world.engine.settle()
    assert len((await world.outputs(path))["List"].split(",")) == 4


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ({"LaunchConfigurationName": "absent"}, "reference can not be found"),
        ({"InstanceId": "x"}, "Either 'InstanceId' or 'LaunchConfigurationName' must be provided."),
        ({"LoadBalancerNames": ["x"]}, "no load balancer service"),
        ({"VPCZoneIdentifier": ["a", "b"]}, "Anything other than one VPCZoneIdentifier"),
        ({"MaxSize": 1}, "MinSize can not be greater than MaxSize"),
    ],
)
async def test_groups_that_are_refused(world: World, group: dict[str, Any], text: str) -> None:
    body = {"LaunchConfigurationName": "known", **group}
    template = instances("AWS::AutoScaling::AutoScalingGroup", **body)
    answer = await world.ask("POST", "/stacks", _new(template), status=_status(group))
    if "error" in answer:
        assert text in answer["error"]["message"]
        return
    await world.engine.settle()
    path = f"/stacks/one/{answer['stack']['id']}"
    assert text in (await world.stack(path))["stack_status_reason"]


def _new(template: dict[str, Any]) -> dict[str, Any]:
    return {"stack_name": "one", "template": template, "environment": ENVIRONMENT, "files": FILES}


def _status(group: dict[str, Any]) -> int:
    return 201 if group.get("LaunchConfigurationName") == "absent" else 400


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT0S", 0), ("PT1M30S", 90), ("PT1H", 3600), ("P1H", 3600), ("PT5M", 300)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["PT61M", "x", "", "PT"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ResourceFailure):
        duration_s(text)


async def test_a_stack_by_address(world: World) -> None:
    url = "http://elsewhere.test/inner.yaml"
    inner = hot({"v": {"type": "OS::Heat::Value", "properties": {"value": {"get_param": "x"}}}})
    inner["parameters"] = {"x": {"type": "string"}}
    inner["outputs"] = {"said": {"value": {"get_attr": ["v", "value"]}}}
    template = {
        "HeatTemplateFormatVersion": "2012-12-12",
        "Resources": {
            "Inner": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"TemplateURL": url, "Parameters": {"x": "hello"}},
            }
        },
        "Outputs": {"Said": {"Value": {"Fn::GetAtt": ["Inner", "Outputs.said"]}}},
    }
    path = await world.create("one", template, files={url: json.dumps(inner)})
    assert await world.outputs(path) == {"Said": "hello"}
    path = await world.create("two", template)
    assert "which is not among the files" in (await world.stack(path))["stack_status_reason"]


async def test_hidden_types_are_not_listed(world: World) -> None:
    names = (await world.ask("GET", "/resource_types"))["resource_types"]
    assert "OS::Heat::SoftwareDeploymentGroup" in names
    assert "OS::Heat::SoftwareDeployments" not in names
    shown = await world.ask("GET", "/resource_types/OS::Heat::SoftwareDeployments")
    assert shown["support_status"]["status"] == "HIDDEN"
