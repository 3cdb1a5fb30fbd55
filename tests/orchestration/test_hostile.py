"""Templates that are made to hurt: each is refused, or fails, within a bounded time, and the process stays small."""

import asyncio
import json
import time
from itertools import pairwise
from typing import Any

import pytest

from aerostat.services.orchestration import model
from aerostat.services.orchestration.template import constraints

from .conftest import World

HOT = {"heat_template_version": "2018-08-31"}
LIMIT_S = 8.0  # of CPU, for what takes a fraction of it on a quiet machine


def resources(**given: Any) -> dict[str, Any]:
    return {**HOT, "resources": given}


def value(snippet: Any) -> dict[str, Any]:
    return resources(a={"type": "OS::Heat::Value", "properties": {"value": snippet}})


def parameter(pattern: str, text: str, times: int = 1, each: int = 1) -> dict[str, Any]:
    one = {"type": "string", "default": text, "constraints": [{"allowed_pattern": pattern}] * each}
    return {**HOT, "parameters": {f"p{number}": one for number in range(times)}}


def yaql(expression: str, data: Any = None) -> dict[str, Any]:
    return value({"yaql": {"expression": expression, "data": data if data is not None else {}}})


def repeated(depth: int, count: int) -> Any:
    snippet: Any = "x"
    for name in "abcdefgh"[:depth]:
        snippet = {"repeat": {"template": snippet, "for_each": {f"%{name}%": list(range(count))}}}
    return snippet


def grouped(depth: int, count: int) -> dict[str, Any]:
    definition: dict[str, Any] = {"type": "OS::Heat::None"}
    for _ in range(depth):
        definition = {
            "type": "OS::Heat::ResourceGroup",
            "properties": {"count": count, "resource_def": definition},
        }
    return resources(g=definition)


WIDE = {
    f"{level}.yaml": json.dumps(
        resources(
            **{f"r{n}": {"type": f"{level + 1}.yaml" if level < 3 else "OS::Heat::None"} for n in range(60)}
        )
    )
    for level in range(4)
}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join(['*' + before] * 9)}]\n" for before, after in pairwise("abcdefghi")
)
SIXTIES = "heat_template_version: 2018-08-31\ndescription: " + ":".join(["1"] * 50_000)
MANY = {f"k{number}": "v" for number in range(20_000)}
THOUSANDS = {f"%{name}%": list(range(1000)) for name in "abc"}
LOOPS = "range(0,199).select(" * 4 + "1" + ").sum()" * 4
DISTINCT = {chr(0x100 + number): "v" for number in range(3_000)}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "aliases": ({"template": f"heat_template_version: 2018-08-31\n{BOMB}"}, "more than 100000 values"),
    "aliases in an environment": ({"template": HOT, "environment": BOMB}, "more than 100000 values"),
    "deep": ({"template": "a: " + "[" * 50_000}, "deeper than 100 levels"),
    "numbers to the base of 60": ({"template": SIXTIES}, "too many digits"),
    "10,000 resources": (
        {"template": resources(**{f"r{number}": {"type": "OS::Heat::None"} for number in range(10_000)})},
        "Maximum resources",
    ),
    "nested in itself": (
        {
            "template": resources(a={"type": "a.yaml"}),
            "files": {"a.yaml": json.dumps(resources(a={"type": "a.yaml"}))},
        },
        "Recursion depth",
    ),
    "nested widely": (
        {"template": resources(**{f"r{n}": {"type": "0.yaml"} for n in range(60)}), "files": WIDE},
        "Maximum resources",
    ),
    "a group of a billion": ({"template": grouped(1, 10**9)}, "Maximum resources"),
    "a product": (
        {
            "template": value(
                {"repeat": {"template": "%a%%b%%c%", "for_each": {f"%{v}%": [*range(1000)] for v in "abc"}}}
            )
        },
        "more than 10000 times",
    ),
    "repeat in repeat": ({"template": value(repeated(8, 100))}, "larger than"),
    "growing text": (
        {"template": value({"str_replace": {"template": "a" * 200_000, "params": {"a": "b" * 200_000}}})},
        "larger than",
    ),
    "many placeholders": (
        {"template": value({"str_replace": {"template": "q" * 100_000, "params": MANY}})},
        "too many params",
    ),
    "deep placeholders": (
        {"template": value({"str_replace": {"template": "".join(DISTINCT) * 5, "params": DISTINCT}})},
        "too many params",
    ),
    "one file joined a thousand times": (
        {"template": value({"list_join": ["", [{"get_file": "f"}] * 1000]}), "files": {"f": "x" * 3_000_000}},
        "larger than",
    ),
    "one file in each of a thousand resources": (
        {
            "template": resources(
                **{
                    f"r{n}": {"type": "OS::Heat::Value", "properties": {"value": {"get_file": "f"}}}
                    for n in range(1000)
                }
            ),
            "files": {"f": "x" * 3_000_000},
        },
        "too large together",
    ),
    "yaql: a power of powers": ({"template": yaql("pow(9, pow(9, 9))")}, "takes too long"),
    "yaql: loops in loops": (
        {
            "template": yaql(
                "range(0,199).select(range(0,199).select(range(0,199).select(range(0,199).sum()).sum()).sum()).sum()"
            )
        },
        "takes too long",
    ),
    "yaql: without end": ({"template": yaql("[1].cycle().len()")}, "takes too long"),
    "yaql: a pattern": (
        {"template": yaql("regex('(a+)+$').matches($.data)", "a" * 40 + "b")},
        "takes too long",
    ),
    "yaql: a shift": (
        {"template": yaql("shiftBitsLeft(1, 100000000000)")},
        "memory|Memory|too long|Overflow",
    ),
    "yaql: brackets": ({"template": yaql("(" * 5000 + "1" + ")" * 5000)}, "recursion|Bad expression"),
    "a pattern": ({"template": parameter("(a|aa)+$", "a" * 60 + "b")}, "takes too long|does not match"),
    "a deep pattern": ({"template": parameter("(" * 20_000 + ")" * 20_000, "x")}, "not a regular expression"),
    "one environment a hundred thousand times": (
        {"template": HOT, "environment_files": ["e"] * 100_000, "files": {"e": "parameters: {}"}},
        "at most 100",
    ),
    "conditions in a circle": (
        {"template": {**HOT, "conditions": {"a": {"not": "b"}, "b": {"not": "a"}}}},
        "Circular",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_in_time(world: World, name: str) -> None:
    body, why = REFUSED[name]
    began_s = time.process_time()
    answer = await world.ask("POST", "/stacks", {"stack_name": "s", **body}, status=400)
    assert time.process_time() - began_s < LIMIT_S
    message = answer["error"]["message"]
    assert any(one in message for one in why.split("|")), message[:300]
    assert len(message) < 70_000
    assert not (await world.ask("GET", "/stacks"))["stacks"]


async def test_many_patterns_have_one_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "CHECK_LIMIT_S", 0.005)
    body = {"stack_name": "s", "template": parameter("(a|a|a?)+b", "a" * 17 + "b", 500, 50)}
    answer = await world.ask("POST", "/stacks", body, status=400)
    assert "take too long to check" in answer["error"]["message"]


async def test_yaql_goes_on_after_an_expression_was_ended(world: World) -> None:
    await world.ask(
        "POST", "/stacks", {"stack_name": "bad", "template": yaql("[1].cycle().len()")}, status=400
    )
    path = await world.create(
        "good", {**yaql("$.data.sum()", [1, 2]), "outputs": {"o": {"value": {"get_attr": ["a", "value"]}}}}
    )
    assert (await world.outputs(path))["o"] == 3


@pytest.mark.parametrize("settings", [{"most_resources": 30}], ids=[""])
@pytest.mark.parametrize(("depth", "count"), [(2, 10), (8, 2)])
async def test_groups_in_groups_have_one_limit(world: World, depth: int, count: int) -> None:
    """Only while it is made it is known how many there are."""
    path = await world.create("s", grouped(depth, count))
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert "Request limit exceeded" in stack["stack_status_reason"]
    assert await world.store.count(model.RESOURCES) <= 30
    await world.ask(
        "POST", "/stacks/preview", {"stack_name": "t", "template": grouped(depth, count)}, status=400
    )
    await world.ask("DELETE", path, status=204)
    await world.engine.settle()
    assert await world.store.count(model.RESOURCES) == 0


@pytest.mark.parametrize("settings", [{"most_value_chars": 1_000_000}], ids=[""])
async def test_what_grows_only_when_it_is_made(world: World) -> None:
    """Each resource doubles what the one before it was."""
    chain: dict[str, Any] = {"r0": {"type": "OS::Heat::Value", "properties": {"value": "x" * 1000}}}
    for number in range(1, 20):
        before = {"get_attr": [f"r{number - 1}", "value"]}
        chain[f"r{number}"] = {
            "type": "OS::Heat::Value",
            "properties": {"value": {"list_join": ["", [before, before]]}},
        }
    path = await world.create("s", resources(**chain))
    stack = await world.stack(path)
    assert stack["stack_status"] == "CREATE_FAILED"
    assert "too large together" in stack["stack_status_reason"]


async def test_outputs_that_no_answer_can_hold(world: World) -> None:
    big = {"type": "OS::Heat::Value", "properties": {"value": "x" * 500_000}}
    outputs = {f"o{number}": {"value": {"get_attr": ["a", "value"]}} for number in range(100)}
    path = await world.create("s", {**resources(a=big), "outputs": outputs})
    shown = (await world.stack(path))["outputs"]
    assert len(shown) == 100
    assert "too large to be shown together" in shown[-1]["output_error"]
    alone = await world.ask("GET", f"{path}/outputs/o99")
    assert len(alone["output"]["output_value"]) == 500_000


async def test_others_are_answered_while_a_large_template_is_looked_at(world: World) -> None:
    slow = {
        f"r{n}": value({"list_concat_unique": [[str(i) for i in range(90)]]})["resources"]["a"]
        for n in range(900)
    }
    asking = asyncio.create_task(
        world.ask("POST", "/stacks/preview", {"stack_name": "s", "template": resources(**slow)})
    )
    worst_s = 0.0
    while not asking.done():
        began_s = time.thread_time()
        await asyncio.sleep(0)
        worst_s = max(worst_s, time.thread_time() - began_s)
    await asking
    assert worst_s < 1.5
