"""Hidden parameters: whatever happens to a stack, their values never lie in clear in the database."""

from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel.db import SealBroken
from aerostat.kernel.db.sealing import Seal

from .conftest import World

SECRET = "hunter2-0x51de"
OTHER = "correct-horse-77"
INNER = """
heat_template_version: 2018-08-31
parameters: {word: {type: string}}
resources:
  deep: {type: OS::Heat::TestResource, properties: {value: {get_param: word}}}
  num: {type: OS::Heat::Value, properties: {type: string, value: {get_param: word}}}
outputs: {word: {value: {get_attr: [num, value]}}}
"""


def template(**more: Any) -> dict[str, Any]:
    word = {"get_param": "password"}
    text = {"str_replace": {"template": "echo PW | passwd", "params": {"PW": word}}}
    return {
        "heat_template_version": "2018-08-31",
        "parameters": {"password": {"type": "string", "hidden": True}},
        "resources": {
            "plain": {
                "type": "OS::Heat::TestResource",
                "properties": {"value": word},
                "metadata": {"m": word},
            },
            "config": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": text}},
            "nested": {"type": "inner.yaml", "properties": {"word": word}},
            "group": {
                "type": "OS::Heat::ResourceGroup",
                "properties": {
                    "count": 2,
                    "resource_def": {"type": "OS::Heat::TestResource", "properties": {"value": text}},
                },
            },
            "stack": {
                "type": "OS::Heat::Stack",
                "properties": {"template": INNER, "parameters": {"word": word}},
            },
            **more,
        },
        "outputs": {"inner": {"value": {"get_attr": ["nested", "word"]}}},
    }


def body(password: str, **more: Any) -> dict[str, Any]:
    return {
        "template": template(**more),
        "files": {"inner.yaml": INNER},
        "parameters": {"password": password},
    }


async def journaled(world: World) -> None:
    """Let the notes of requests reach the operation record."""
    await world.house.dispatch.journal.flush()


def traces(folder: Path, *words: str) -> list[str]:
    """Where the database's files hold one of the words, with what stands around it."""
    found = []
    for path in folder.glob("*.sqlite*"):
        content = path.read_bytes()
        for word in words:
            place = content.find(word.encode())
            if place >= 0:
                found.append(f"{path.name}: {content[max(0, place - 200) : place + 80]!r}")
    return found


async def test_no_trace_of_a_stack_that_is_made_updated_and_deleted(world: World, tmp_path: Path) -> None:
    path = await world.create("s", **body(SECRET))
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_COMPLETE", stack["stack_status_reason"]
    assert stack["parameters"]["password"] == "******"
    assert (await world.outputs(path))["inner"] == SECRET
    assert traces(tmp_path, "OS::Heat::TestResource"), "the database is not where this test looks"
    assert traces(tmp_path, SECRET) == []

    await world.ask("PUT", path, body(OTHER), status=202)
    await world.engine.settle()
    assert (await world.outputs(path))["inner"] == OTHER
    environment = await world.ask("GET", f"{path}/environment")
    assert environment["parameters"] == {"password": "******"}
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    await journaled(world)
    assert traces(tmp_path, SECRET, OTHER) == []


async def test_no_trace_in_reasons_and_records(world: World, tmp_path: Path) -> None:
    """A value that is quoted by what refuses it: at once, and when the resource is made."""
    path = await world.create("s", **body(SECRET), disable_rollback=False)
    bad = {
        "type": "OS::Heat::Value",
        "properties": {"type": "number", "value": {"get_attr": ["plain", "output"]}},
    }
    await world.ask("PUT", path, body(OTHER, bad=bad), status=202)
    await world.engine.settle()
    stack = await world.stack(path)
    assert stack["stack_status"] == "ROLLBACK_COMPLETE"
    events = (await world.ask("GET", f"{path}/events"))["events"]
    reasons = [one["resource_status_reason"] for one in events if "FAILED" in one["resource_status"]]
    assert any("******" in one for one in reasons), reasons

    refused = body("hunter2-refused")
    refused["template"]["parameters"]["password"]["constraints"] = [{"length": {"max": 3}}]
    refused["template"]["parameters"]["again"] = {
        "type": "string",
        "hidden": True,
        "default": "default-refused",
        "constraints": [{"allowed_values": ["x"]}],
    }
    told = await world.create("t", **refused, status=400)
    assert "refused" not in told
    del refused["template"]["parameters"]["again"]
    refused["template"]["parameters"]["password"]["constraints"] = [{"allowed_pattern": "[a-z]+"}]
    told = await world.create("t", **refused, status=400)
    assert "******" in told
    await journaled(world)
    assert traces(tmp_path, SECRET, OTHER, "hunter2-refused", "default-refused") == []


async def test_a_nested_stack_does_not_quote_what_its_parent_hides(world: World, tmp_path: Path) -> None:
    inner = INNER.replace(
        "type: string, value: {get_param: word}", "type: number, value: {get_attr: [deep, output]}"
    )
    whole = body(SECRET)
    whole["files"]["inner.yaml"] = inner
    path = await world.create("s", **whole)
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert "******" in stack["stack_status_reason"]
    assert traces(tmp_path, SECRET) == []


async def test_no_trace_of_an_adopted_stack(world: World, tmp_path: Path) -> None:
    path = await world.create("s", **body(SECRET))
    abandoned = await world.ask("DELETE", f"{path}/abandon")
    await world.engine.settle()
    again = body(SECRET)
    for one in abandoned["resources"].values():
        one["resource_data"]["note"] = SECRET
    del again["template"]["resources"]["nested"], again["template"]["resources"]["stack"]
    del again["template"]["resources"]["group"], again["template"]["outputs"]
    made = await world.ask(
        "POST", "/stacks", {**again, "stack_name": "again", "adopt_stack_data": abandoned}, status=201
    )
    await world.engine.settle()
    stack = await world.stack(f"/stacks/again/{made['stack']['id']}")
    assert stack["stack_status"] == "ADOPT_COMPLETE", stack["stack_status_reason"]
    assert traces(tmp_path, SECRET) == []


def test_short_and_many_valued_secrets_are_taken_out_of_messages() -> None:
    from aerostat.services.orchestration.template import StackIdentity, parse

    parsed = parse(
        {
            "heat_template_version": "2018-08-31",
            "parameters": {
                "pin": {"type": "number", "hidden": True},
                "many": {"type": "json", "hidden": True},
                "list": {"type": "comma_delimited_list", "hidden": True},
                "open": {"type": "string"},
            },
        }
    )
    given = {
        "pin": 42,
        "many": '{"a": ["swordfish", {"b": "tunafish"}]}',
        "list": "redherring,x",
        "open": "open",
    }
    parameters = parsed.parameters(given, {}, StackIdentity())
    text = "42 of 1426: swordfish, tunafish, redherring and max are open"
    assert parameters.conceal(text) == "****** of 1426: ******, ******, ****** and max are open"


def test_a_seal_opens_only_what_it_closed() -> None:
    seal = Seal("one")
    closed = seal.close({"a": [1, "ü"]})
    assert seal.open(closed) == {"a": [1, "ü"]}
    assert seal.open(seal.close({})) == {}
    assert seal.close({}) == "{}"
    with pytest.raises(SealBroken, match=r"secrets\.toml"):
        Seal("two").open(closed)
    with pytest.raises(SealBroken):
        seal.open(closed[:-8] + "AAAAAAA=")
