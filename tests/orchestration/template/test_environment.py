"""Environments: form, merging, and what stands for which type."""

import pytest

from aerostat.services.orchestration.template import Environment, TemplateError, merge_environments, parse
from aerostat.services.orchestration.template.environment import read_environment

SCHEMAS = parse(
    {
        "heat_template_version": "rocky",
        "parameters": {
            "s": {"type": "string"},
            "n": {"type": "number"},
            "l": {"type": "comma_delimited_list"},
            "j": {"type": "json"},
            "b": {"type": "boolean"},
        },
    }
).schemas


def merged(*environments):
    return merge_environments(
        [(f"env{i}", read_environment(one)) for i, one in enumerate(environments)], SCHEMAS
    )


REFUSED = [
    ("parametrs: {}", 'environment has wrong section "parametrs"'),
    ("parameters:", 'environment has empty section "parameters"'),
    ("parameters: []", 'environment section "parameters" must be a map'),
    ("event_sinks: {}", "must be a list"),
    ("- a", "The environment is not a JSON object or YAML mapping"),
    (
        "resource_registry: {resources: {a: {hooks: pre-boot}}}",
        'Invalid hook type "pre-boot" for resource breakpoint',
    ),
    ("resource_registry: {resources: {a: {hooks: []}}}", "Invalid hook type"),
    ("resource_registry: {resources: {a: {restricted_actions: [delete]}}}", "Invalid restricted_action type"),
    ("resource_registry: {A: 1}", "resource_registry.A: a resource type must be a string"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text, message):
    with pytest.raises(TemplateError, match=message):
        read_environment(text)


def test_nothing_is_an_environment_too():
    assert read_environment(None) == {}
    assert merged("").view() == {
        "parameters": {},
        "parameter_defaults": {},
        "resource_registry": {"resources": {}},
        "encrypted_param_names": [],
        "event_sinks": [],
    }


def test_later_ones_win():
    one = merged(
        {
            "parameters": {"s": "a", "n": 1},
            "parameter_defaults": {"other": 1},
            "encrypted_param_names": ["s"],
        },
        {"parameters": {"s": "b", "n": None}, "event_sinks": [{"type": "zaqar-queue", "target": "q"}]},
        {"parameter_defaults": {"more": 2}, "encrypted_param_names": ["s", "n"]},
    )
    assert one.parameters == {"s": "b", "n": 1}
    assert one.parameter_defaults == {"other": 1, "more": 2}
    assert one.encrypted_param_names == ["s", "n"]
    assert len(one.event_sinks) == 1


MERGING = [
    ("merge", "s", "a", "b", "ab"),
    ("merge", "n", 1, "2", 3),
    ("merge", "l", "a,b", ["c"], ["a", "b", "c"]),
    ("merge", "j", {"x": {"y": 1}, "k": 1}, '{"x": {"z": 2}}', {"x": {"z": 2}, "k": 1}),
    (
        "deep_merge",
        "j",
        {"x": {"y": 1, "l": [1], "s": "a"}},
        {"x": {"l": [2], "s": "b", "n": None}},
        {"x": {"y": 1, "l": [1, 2], "s": "ab"}},
    ),
    ("overwrite", "j", {"x": 1}, {"y": 1}, {"y": 1}),
    ("nonsense", "s", "a", "b", "b"),
]


@pytest.mark.parametrize(("strategy", "name", "first", "second", "expected"), MERGING)
@pytest.mark.parametrize("section", ["parameters", "parameter_defaults"])
def test_merging(section, strategy, name, first, second, expected):
    strategies = {"parameter_merge_strategies": {name: strategy}}
    one = merged({section: {name: first}, **strategies}, {section: {name: second}, **strategies})
    assert one.view()[section] == {name: expected}


def test_merging_refused():
    strategies = {"parameter_merge_strategies": {"default": "merge"}}
    with pytest.raises(TemplateError, match="Invalid merge strategy 'merge' for parameter 'b'"):
        merged({"parameters": {"b": True}, **strategies}, {"parameters": {"b": True}, **strategies})
    with pytest.raises(
        TemplateError, match="Conflicting merge strategy 'merge' for parameter 's' in file 'env1'"
    ):
        merged({"parameters": {"s": "a"}}, {"parameters": {"s": "b"}, **strategies})
    with pytest.raises(TemplateError, match="Invalid parameter in environment"):
        merged({"parameters": {"n": 1}, **strategies}, {"parameters": {"n": "x"}, **strategies})


REGISTRY = {
    "OS::Old": "OS::New",
    "OS::New": "OS::Newest",
    "My::Server": "server.yaml",
    "OS::Net*": "OS::Neutron*",
    "OS::Network::*": "OS::Heat::None",
    "Round::A": "Round::B",
    "Round::B": "Round::A",
    "*": "*",
    "resources": {
        "web": {"OS::Old": "web.yaml", "hooks": "pre-create"},
        "db_*": {"hooks": ["pre-update", "post-delete"], "restricted_actions": "replace"},
        "db_1": {"restricted_actions": ["update"], "inner": {"T": "inner.yaml"}},
    },
}

TYPES = [
    ("OS::Old", None, "OS::Newest"),
    ("OS::Old", "web", "web.yaml"),
    ("OS::Old", "other", "OS::Newest"),
    ("My::Server", None, "server.yaml"),
    ("OS::NetPort", None, "OS::NeutronPort"),
    ("OS::Network::Port", None, "OS::Heat::None"),
    ("OS::Nova::Server", None, "OS::Nova::Server"),
    ("Round::A", None, "Round::B"),
]


@pytest.mark.parametrize(("kind", "name", "expected"), TYPES)
def test_what_stands_for_a_type(kind, name, expected):
    assert merged({"resource_registry": REGISTRY}).type_for(kind, name) == expected


def test_hooks_and_restrictions():
    one = merged({"resource_registry": REGISTRY})
    assert one.has_hook("web", "pre-create")
    assert not one.has_hook("web", "pre-delete")
    assert one.has_hook("db_1", "post-delete")
    assert one.restricted_actions("db_1") == {"update", "replace"}
    assert one.restricted_actions("web") == frozenset()


def test_registries_are_merged():
    one = merged(
        {
            "resource_registry": {
                "A": "B",
                "X::1": "Y",
                "X::2": "Y",
                "resources": {"r": {"A": "C", "hooks": "pre-create"}},
            }
        },
        {"resource_registry": {"A": "D", "X::*": None, "resources": {"r": {"A": "E"}, "s": {"A": "F"}}}},
        {"resource_registry": {"resources": {"s": {"A": None}}}},
    )
    assert one.resource_registry == {"A": "D", "resources": {"r": {"A": "E", "hooks": "pre-create"}, "s": {}}}


def test_a_nested_stack_gets_what_lies_below_its_resource():
    one = Environment(parameters={"s": 1}, parameter_defaults={"d": 2}, resource_registry=REGISTRY)
    nested = one.for_nested("db_1")
    assert nested.parameters == {}
    assert nested.parameter_defaults == {"d": 2}
    assert nested.resource_registry["resources"] == {"inner": {"T": "inner.yaml"}}
    assert nested.type_for("T", "inner") == "inner.yaml"
