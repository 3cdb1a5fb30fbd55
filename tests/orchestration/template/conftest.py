"""A stack that stands still: what templates in these tests are resolved against."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from aerostat.services.orchestration.template import Blueprint, StackIdentity, parse, select

STACK = StackIdentity(name="web", id="stack-1", project_id="project-1", region="here", arn="arn:stack-1")


class Made:
    """A running stack whose resources have the ids and attributes given."""

    def __init__(self, **attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.asked: list[tuple[str, str | None, tuple[str | int, ...]]] = []

    def reference_id(self, resource: str) -> str | None:
        return f"id-of-{resource}" if resource in self.attributes else None

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        self.asked.append((resource, name, tuple(path)))
        values = self.attributes.get(resource)
        if values is None:
            return None
        return values if name is None else select(values.get(name), path)

    def facade(self, kind: str) -> Any:
        return f"the {kind}"

    def zones(self) -> list[str]:
        return ["nova"]


@pytest.fixture
def blueprint() -> Callable[..., Blueprint]:
    """Make a blueprint from a template's text or data."""

    def make(source: Any, given: Mapping[str, Any] = {}, files: Mapping[str, str] | None = None) -> Blueprint:
        template = parse(source)
        return Blueprint(template, template.parameters(given, stack=STACK), files)

    return make


@pytest.fixture
def evaluate(blueprint: Callable[..., Blueprint]) -> Callable[..., Any]:
    """The value of one snippet in a template of some version, with resources `a` and `b` made."""

    def value(snippet: Any, version: str = "2021-04-16", **params: Any) -> Any:
        kinds = {str: "string", list: "comma_delimited_list", dict: "json", bool: "boolean", int: "number"}
        data = {
            "heat_template_version": version,
            "parameters": {name: {"type": kinds[type(one)]} for name, one in params.items()},
            "resources": {"a": {"type": "T"}, "b": {"type": "T"}},
            "outputs": {"o": {"value": snippet}},
        }
        if version >= "2016-10-14":
            data["conditions"] = {"yes": {"equals": [1, 1]}, "no": {"not": "yes"}}
        made = Made(a={"ips": ["10.0.0.1", "10.0.0.2"], "meta": {"k": {"deep": [1, 2]}}, "name": "A"}, b={})
        plan = blueprint(data, params, {"motd.txt": "hello"})
        plan.check()
        return plan.resolve(plan.outputs["o"].value, made)

    return value
