"""Guests that call back, guests that do not, and who may speak for them."""

import json
from typing import Any

import pytest

from .conftest import World


def template(count: int = 1, timeout: int = 60) -> dict[str, Any]:
    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "ready": {"type": "OS::Heat::WaitConditionHandle"},
            "wait": {
                "type": "OS::Heat::WaitCondition",
                "properties": {"handle": {"get_resource": "ready"}, "timeout": timeout, "count": count},
            },
        },
        "outputs": {"data": {"value": {"get_attr": ["wait", "data"]}}},
    }


async def begun(world: World, **options: Any) -> tuple[str, dict[str, Any]]:
    """A stack that waits, and the attributes of its handle."""
    path = await world.create("one", template(**options), settle=False)
    await world.engine.run_due()
    handle = (await world.ask("GET", f"{path}/resources/ready"))["resource"]["attributes"]
    return path, handle


async def tell(world: World, handle: dict[str, Any], body: Any, token: str | None = None) -> int:
    answer = await world.client.post(
        handle["endpoint"], json=body, headers={"x-auth-token": token or handle["token"]}
    )
    return answer.status_code


async def test_the_guest_calls_back(world: World) -> None:
    path, handle = await begun(world)
    assert handle["curl_cli"] == (
        f"curl -i -X POST -H 'X-Auth-Token: {handle['token']}' -H 'Content-Type: application/json'"
        f" -H 'Accept: application/json' {handle['endpoint']}"
    )
    assert await tell(world, handle, {"status": "SUCCESS", "data": "up"}) == 200
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"
    assert json.loads((await world.outputs(path))["data"]) == {"1": "up"}
    told = await world.ask("GET", f"{path}/resources/ready/metadata")
    assert told["metadata"] == {"1": {"status": "SUCCESS", "reason": "", "data": "up"}}


async def test_several_signals_and_repeated_ones(world: World) -> None:
    path, handle = await begun(world, count=2)
    for data in ("first", "first again"):
        await tell(world, handle, {"id": "a", "data": data})
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "CREATE_IN_PROGRESS"
    await tell(world, handle, {"id": "b"})
    await world.engine.run_due()
    assert json.loads((await world.outputs(path))["data"]) == {"a": "first again", "b": None}


async def test_a_guest_that_says_that_it_failed(world: World) -> None:
    path, handle = await begun(world)
    await tell(world, handle, {"status": "FAILURE", "reason": "disk full"})
    await world.engine.run_due()
    stack = await world.stack(path)
    assert (
        stack["stack_status_reason"]
        == "Resource CREATE failed: WaitConditionFailure: resources.wait: disk full"
    )


async def test_a_guest_that_never_calls_back(world: World) -> None:
    path, _ = await begun(world)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert (
        stack["stack_status_reason"]
        == "Resource CREATE failed: WaitConditionTimeout: resources.wait: 0 of 1 received"
    )


async def test_who_may_signal(world: World) -> None:
    path, handle = await begun(world)
    assert await tell(world, handle, {}, token="nonsense") == 401
    assert await tell(world, handle, {}, token=handle["token"][:-1] + "x") == 401
    assert await tell(world, handle, {}, token="carol") == 403
    assert await tell(world, handle, {}, token="bob") == 403
    # The token opens this one door only.
    url = f"http://cloud.test/orchestration/v1/p1{path}"
    assert (await world.client.get(url, headers={"x-auth-token": handle["token"]})).status_code == 401
    other = handle["endpoint"].replace("/ready/", "/wait/")
    assert (await world.client.post(other, headers={"x-auth-token": handle["token"]})).status_code == 401
    assert await tell(world, handle, ["no", "object"]) == 400
    assert await tell(world, handle, {"odd": 1}) == 400
    assert await tell(world, handle, {}, token="alice") == 200
    await world.engine.run_due()
    assert (await world.stack(path))["stack_status"] == "CREATE_COMPLETE"


async def test_in_the_words_of_cloudformation(world: World) -> None:
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
            "Wait": {
                "Type": "AWS::CloudFormation::WaitCondition",
                "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": 60},
            },
        },
        "Outputs": {
            "Url": {"Value": {"Ref": "Handle"}},
            "Data": {"Value": {"Fn::GetAtt": ["Wait", "Data"]}},
        },
    }
    path = await world.create("one", template, settle=False)
    await world.engine.run_due()
    url = (await world.outputs(path))["Url"]
    body = {"Status": "SUCCESS", "Reason": "done", "UniqueId": "x", "Data": "hi"}
    assert (await world.client.post(url, json=body)).status_code == 200
    await world.engine.run_due()
    assert json.loads((await world.outputs(path))["Data"]) == {"x": "hi"}


async def test_a_guest_cannot_fill_the_database(world: World) -> None:
    path, handle = await begun(world)
    assert await tell(world, handle, {"data": "x" * (1 << 20)}) == 413, "one signal"
    large = {"id": "a", "data": "x" * 700_000}
    for _ in range(8):
        assert await tell(world, handle, large) == 200, "told again, it takes the place of the one before"
    assert [await tell(world, handle, {"data": "x" * 700_000}) for _ in range(6)] == [200] * 4 + [400] * 2
    assert await tell(world, handle, {"id": "a"}) == 200
    told = await world.ask("GET", f"{path}/resources/ready/metadata")
    assert len(told["metadata"]) == 5


@pytest.mark.parametrize("settings", [{"most_signals_bytes": 10_240}])
async def test_many_small_signals_are_many(world: World) -> None:
    _, handle = await begun(world)
    assert [await tell(world, handle, {}) for _ in range(11)] == [200] * 10 + [400]


async def test_an_event_quotes_the_beginning_of_a_reason(world: World) -> None:
    path, handle = await begun(world)
    assert await tell(world, handle, {"reason": "y" * 100_000}) == 200
    events = (await world.ask("GET", f"{path}/resources/ready/events"))["events"]
    reason = next(
        one["resource_status_reason"] for one in events if one["resource_status"] == "SIGNAL_COMPLETE"
    )
    assert reason.startswith("status:SUCCESS reason:yyy")
    assert len(reason) < 1100


async def test_a_stranger_is_refused_before_the_body_is_read(world: World) -> None:
    _, handle = await begun(world)
    answer = await world.client.post(handle["endpoint"], content=b"{" * 100)
    assert answer.status_code == 401
