"""Sections of a template: their form, conditions, references, and what hangs on what."""

import pytest

from aerostat.services.orchestration.graph import Graph
from aerostat.services.orchestration.template import TemplateError, parse
from aerostat.services.orchestration.template.errors import (
    CircularDependencyException,
    InvalidTemplateReference,
    InvalidTemplateSection,
    InvalidTemplateVersion,
    StackValidationFailed,
)

from .conftest import Made

WHOLE = """
heat_template_version: rocky
description: Ünïcode ☃
parameters:
  size: {type: number, default: 2}
  place: {type: string, default: ""}
conditions:
  big: {not: {equals: [{get_param: size}, 1]}}
  placed: {and: [big, {not: {equals: [{get_param: place}, ""]}}]}
resources:
  net: {type: OS::Neutron::Net, properties: {name: "網"}}
  subnet:
    type: OS::Neutron::Subnet
    depends_on: net
    properties: {network: {get_resource: net}}
  extra: {type: OS::Heat::None, condition: placed}
  server:
    type: OS::Nova::Server
    depends_on: [subnet, extra]
    description: the one
    metadata: {net: {get_attr: [net, mtu]}}
    deletion_policy: retain
    update_policy: {x: 1}
    properties:
      zone: {if: [placed, {get_attr: [extra, zone]}, {get_param: place}]}
outputs:
  address: {description: where, value: {get_attr: [server, first_address]}}
  zone: {condition: placed, value: {get_attr: [extra, zone]}}
"""


def test_a_whole_template(blueprint):
    plan = blueprint(WHOLE)
    plan.check()
    template = plan.template
    assert template.version.number == "2018-08-31"
    assert template.description == "Ünïcode ☃"
    assert template.data["heat_template_version"] == "rocky"
    server = plan.resources["server"]
    assert (server.type, server.description, server.depends_on) == (
        "OS::Nova::Server",
        "the one",
        ("subnet", "extra"),
    )
    assert plan.deletion_policy("server") == "Retain"
    assert plan.deletion_policy("net") == "Delete"
    assert plan.dependencies == {"net": set(), "subnet": {"net"}, "server": {"subnet", "net"}}
    assert plan.attributes_needed == {"net": {("mtu", ())}, "server": {("first_address", ())}}
    assert list(plan.outputs) == ["address"]
    assert plan.is_constant(server.properties)
    assert not plan.is_constant(server.metadata)
    assert plan.resolve(server.metadata) == {"net": None}
    assert plan.resolve(server.metadata, Made(net={"mtu": 1450})) == {"net": 1450}


def test_conditions_decide_what_there_is(blueprint):
    plan = blueprint(WHOLE, {"place": "here"})
    plan.check()
    assert "extra" in plan.resources
    assert plan.dependencies["server"] == {"subnet", "extra", "net"}
    assert plan.attributes_needed["extra"] == {("zone", ())}
    assert list(plan.outputs) == ["address", "zone"]
    assert plan.resolve(plan.resources["server"].properties, Made(extra={"zone": "z"})) == {"zone": "z"}
    assert plan.is_enabled("big")


VERSIONS = [
    ({}, "Template version was not provided"),
    ({"heat_template_version": 5}, "Template version was not provided"),
    (
        {"heat_template_version": "2013-05-24"},
        '"heat_template_version: 2013-05-24". "heat_template_version" should be one of: 2013-.*wallaby',
    ),
    (
        {"AWSTemplateFormatVersion": "x"},
        '"AWSTemplateFormatVersion: x". "AWSTemplateFormatVersion" should be: 2010-09-09',
    ),
    (
        {"heat_template_version": "rocky", "AWSTemplateFormatVersion": "2010-09-09"},
        "Ambiguous versions",
    ),
]


@pytest.mark.parametrize(("data", "message"), VERSIONS)
def test_versions(data, message):
    with pytest.raises(InvalidTemplateVersion, match=f"The template version is invalid: {message}"):
        parse(data)


@pytest.mark.parametrize("alias", ["newton", "ocata", "pike", "queens", "rocky", "wallaby"])
def test_aliases(alias):
    assert alias in parse(f"heat_template_version: {alias}").version.aliases


def with_resource(**definition):
    return {"resources": {"r": definition}}


FORMS = [
    ({"resorces": {}}, "The template section is invalid: resorces"),
    ({"description": ["x"]}, "The description must be a string"),
    ({"resources": []}, '"resources" must be a map'),
    ({"resources": {"r": None}}, "Each resource must contain a type key"),
    ({"resources": {"r": "x"}}, r'"resources" must contain a map of resource maps. Found a \[str\] instead'),
    ({"resources": {"a/b": {"type": "T"}}}, "Resource name may not"),
    (with_resource(properties={}), 'Resource r is missing "type"'),
    (with_resource(type=["T"]), "Resource r type type must be string"),
    (with_resource(type="T", propertis={}), r"Invalid keyword\(s\) inside a resource definition: propertis"),
    (with_resource(type="T", properties=[]), "Resource r properties type must be object"),
    (with_resource(type="T", metadata="x"), "Resource r metadata type must be object"),
    (with_resource(type="T", depends_on={}), "Resource r depends_on type must be list or string"),
    (with_resource(type="T", depends_on=[1]), "Resource r depends_on must be a list of strings"),
    (with_resource(type="T", deletion_policy="keep"), 'Invalid deletion policy "keep"'),
    (with_resource(type="T", update_policy=1), "Resource r update_policy type must be object"),
    (with_resource(type="T", external_id=1), "Resource r external_id type must be string"),
    (with_resource(type="T", description=1), "Resource r description type must be string"),
    (with_resource(type="T", condition=1), "condition type must be string or boolean"),
    ({"outputs": {"o": "x"}}, "Output definitions must be a map. Found a str instead"),
    ({"outputs": {"o": {"description": "x"}}}, "Each output definition must contain a value key"),
    (
        {"outputs": {"o": {"value": 1, "vlaue": 2}}},
        '"vlaue" is not a valid keyword inside a output definition',
    ),
    ({"parameters": []}, '"parameters" must be a map'),
    ({"conditions": []}, "Condition definitions must be a map. Found a list instead"),
    ({"conditions": {"c": "d"}}, 'The definition of condition "c" is invalid: d'),
    ({"conditions": {"c": {"get_attr": ["r", "x"]}}}, 'The function "get_attr" is invalid in this context'),
    (
        {"conditions": {"c": {"equals": [1]}}},
        'conditions.c.equals: Arguments to "equals" must be of the form',
    ),
    ({"conditions": {"c": {"and": [True]}}}, 'minimum number of condition arguments to "and" is 2'),
    ({"conditions": {"c": {"or": "x"}}}, 'Arguments to "or" must be a list of conditions'),
    ({"conditions": {"c": {"not": None}}}, 'Argument to "not" must be a condition'),
]


@pytest.mark.parametrize(("data", "message"), FORMS)
def test_forms_refused(data, message):
    with pytest.raises(TemplateError) as caught:
        parse({"heat_template_version": "wallaby", **data})
    assert caught.match(message)


CONDITIONS = [
    ({"a": {"not": "b"}, "b": {"not": "a"}}, 'Circular definition for condition "a"'),
    ({"a": {"not": "a"}}, 'Circular definition for condition "a"'),
    ({"a": {"not": "gone"}}, 'conditions.a.not: Invalid condition "gone"'),
    ({"a": {"get_param": "word"}}, "The definition of condition \"a\" is invalid: 'x' is not a boolean"),
    ({"a": {"get_param": "nobody"}}, r"The Parameter \(nobody\) was not provided"),
]


@pytest.mark.parametrize(("conditions", "message"), CONDITIONS)
def test_conditions_refused(blueprint, conditions, message):
    data = {
        "heat_template_version": "2016-10-14",
        "parameters": {"word": {"type": "string"}},
        "conditions": conditions,
    }
    with pytest.raises(TemplateError, match=message):
        blueprint(data, {"word": "x"}).check()


@pytest.mark.parametrize(
    ("condition", "there"),
    [(True, True), (False, False), ("flag", True), ({"not": "flag"}, False), ({"get_param": "on"}, True)],
)
def test_a_resource_has_a_condition(blueprint, condition, there):
    data = {
        "heat_template_version": "2016-10-14",
        "parameters": {"on": {"type": "boolean", "default": True}},
        "conditions": {"flag": {"get_param": "on"}},
        "resources": {"r": {"type": "T", "condition": condition}},
        "outputs": {"o": {"value": 1, "condition": condition}},
    }
    plan = blueprint(data)
    assert ("r" in plan.resources, "o" in plan.outputs) == (there, there)


def test_an_unknown_condition_of_a_resource(blueprint):
    data = {"heat_template_version": "pike", "resources": {"r": {"type": "T", "condition": "gone"}}}
    with pytest.raises(StackValidationFailed, match=r'resources\.r\.condition: Invalid condition "gone"'):
        blueprint(data).check()


@pytest.mark.parametrize("key", ["condition", "external_id"])
def test_older_versions_have_no_conditions(key):
    with pytest.raises(StackValidationFailed, match="Invalid keyword"):
        parse({"heat_template_version": "2016-04-08", "resources": {"r": {"type": "T", key: "x"}}})
    with pytest.raises(InvalidTemplateSection):
        parse({"heat_template_version": "2016-04-08", "conditions": {}})


@pytest.mark.parametrize(("version", "fine"), [("2016-04-08", False), ("2016-10-14", True)])
def test_deletion_policy_in_lower_case(version, fine):
    for word in ("Delete", "Retain", "Snapshot"):
        parse({"heat_template_version": version, **with_resource(type="T", deletion_policy=word)})
        data = {"heat_template_version": version, **with_resource(type="T", deletion_policy=word.lower())}
        if fine:
            assert parse(data).resources["r"].deletion_policy == word
        else:
            with pytest.raises(StackValidationFailed, match="Invalid deletion policy"):
                parse(data)


def test_a_deletion_policy_can_be_computed(blueprint):
    data = {
        "heat_template_version": "pike",
        "parameters": {"keep": {"type": "string"}},
        **with_resource(type="T", deletion_policy={"get_param": "keep"}),
    }
    assert blueprint(data, {"keep": "retain"}).deletion_policy("r") == "Retain"
    with pytest.raises(StackValidationFailed, match='Invalid deletion policy "no"'):
        blueprint(data, {"keep": "no"}).check()


REFERENCES = [
    (
        {"properties": {"x": [{"get_resource": "gone"}]}},
        r'"gone" \(in resources.r.properties.x\[0\].get_resource\)',
    ),
    ({"metadata": {"x": {"get_attr": ["gone", "y"]}}}, '"gone" .in resources.r.metadata.x.get_attr'),
    ({"depends_on": "gone"}, '"gone" .in resources.r.depends_on'),
    ({"properties": {"x": {"get_resource": "off"}}}, '"off" .in resources.r'),
]


@pytest.mark.parametrize(("definition", "message"), REFERENCES)
def test_references_to_nothing(blueprint, definition, message):
    resources = {"r": {"type": "T", **definition}, "off": {"type": "T", "condition": False}}
    plan = blueprint({"heat_template_version": "pike", "resources": resources})
    with pytest.raises(InvalidTemplateReference, match=f"The specified reference {message}"):
        plan.check()
    with pytest.raises(InvalidTemplateReference):
        _ = plan.dependencies


def test_the_branch_not_taken_is_not_looked_at(blueprint):
    for flag, needed in ((False, "a"), (True, "b")):
        data = {
            "heat_template_version": "pike",
            "resources": {
                "a": {"type": "T", "condition": not flag},
                "b": {"type": "T", "condition": flag},
                "r": {
                    "type": "T",
                    "properties": {"x": {"if": [flag, {"get_resource": "b"}, {"get_resource": "a"}]}},
                },
            },
        }
        plan = blueprint(data)
        plan.check()
        assert plan.dependencies["r"] == {needed}


def test_a_reference_can_be_computed(blueprint):
    data = {
        "heat_template_version": "pike",
        "parameters": {"which": {"type": "string"}},
        "resources": {
            "a": {"type": "T"},
            "r": {"type": "T", "properties": {"x": {"get_resource": {"get_param": "which"}}}},
        },
    }
    assert blueprint(data, {"which": "a"}).dependencies["r"] == {"a"}
    with pytest.raises(InvalidTemplateReference):
        blueprint(data, {"which": "b"}).check()


def test_an_attribute_whose_path_is_not_known_yet(blueprint):
    value = {"get_attr": ["a", "list", {"get_attr": ["b", "index"]}, "x"]}
    data = {
        "heat_template_version": "pike",
        "resources": {"a": {"type": "T"}, "b": {"type": "T"}},
        "outputs": {"o": {"value": value}},
    }
    plan = blueprint(data)
    assert plan.attributes_needed == {"a": {("list", ())}, "b": {("index", ())}}
    made = Made(a={"list": [0, {"x": "found"}]}, b={"index": 1})
    assert plan.resolve(plan.outputs["o"].value, made) == "found"


def test_a_circle_of_resources(blueprint):
    data = {
        "heat_template_version": "pike",
        "resources": {
            "a": {"type": "T", "depends_on": "b"},
            "b": {"type": "T", "properties": {"x": {"get_attr": ["c", "y"]}}},
            "c": {"type": "T", "metadata": {"x": {"get_resource": "a"}}},
        },
    }
    with pytest.raises(CircularDependencyException, match="Circular Dependency Found: "):
        Graph(blueprint(data).dependencies)
    data["resources"]["a"] = {"type": "T", "properties": {"x": {"get_resource": "a"}}}
    with pytest.raises(CircularDependencyException, match="a -> a"):
        Graph(blueprint(data).dependencies)


CFN = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "old",
    "Parameters": {"Env": {"Type": "String", "Default": "prod"}},
    "Mappings": {"Sizes": {"prod": {"flavor": "big"}}},
    "Conditions": {
        "Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
        "Other": {"Fn::Not": ["Prod"]},
        "Both": {"Fn::And": ["Prod", {"Fn::Not": ["Other"]}]},
        "Any": {"Fn::Or": ["Other", "Prod"]},
    },
    "Resources": {
        "Group": {"Type": "T"},
        "Server": {
            "Type": "AWS::EC2::Instance",
            "DependsOn": ["Group"],
            "DeletionPolicy": "Retain",
            "Condition": "Both",
            "Properties": {
                "Flavor": {"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "flavor"]},
                "Group": {"Ref": "Group"},
                "Data": {"Fn::Base64": {"Fn::Join": ["", ["#!", {"Ref": "AWS::StackName"}]]}},
                "Zone": {"Fn::Select": ["0", {"Fn::GetAZs": ""}]},
                "If": {"Fn::If": ["Other", 1, {"Fn::GetAtt": ["Group", "name"]}]},
            },
        },
        "Off": {"Type": "T", "Condition": "Other"},
    },
    "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Group", "name"]}, "Condition": "Any"}},
}


def test_cloudformation(blueprint):
    plan = blueprint(CFN)
    plan.check()
    assert set(plan.resources) == {"Group", "Server"}
    assert plan.dependencies["Server"] == {"Group"}
    assert plan.deletion_policy("Server") == "Retain"
    made = Made(Group={"name": "g"})
    assert plan.resolve(plan.resources["Server"].properties, made) == {
        "Flavor": "big",
        "Group": "id-of-Group",
        "Data": "#!web",
        "Zone": "nova",
        "If": "g",
    }
    assert plan.resolve(plan.outputs["Name"].value, made) == "g"


CFN_REFUSED = [
    ({"Ref": "Nobody"}, r"The Parameter \(Nobody\) was not provided|reference \"Nobody\""),
    ({"Fn::GetAtt": ["Group"]}, r"must be of the form \[resource_name, attribute\]"),
    ({"Fn::FindInMap": ["Sizes", "test", "flavor"]}, "finds nothing at Sizes.test.flavor"),
    ({"Fn::Select": ["x", ["a"]]}, 'Index to "Fn::Select" must be an integer'),
    ({"Fn::Join": [","]}, 'Incorrect arguments to "Fn::Join"'),
    ({"Fn::MemberListToMap": ["Name", "Value"]}, "Wrong Arguments try"),
]


@pytest.mark.parametrize(("value", "message"), CFN_REFUSED)
def test_cloudformation_refused(blueprint, value, message):
    data = {**CFN, "Outputs": {"O": {"Value": value}}}

    def read():
        plan = blueprint(data)
        plan.check()
        plan.resolve(plan.outputs["O"].value)

    with pytest.raises(TemplateError, match=message):
        read()


@pytest.mark.parametrize(
    ("select", "value"),
    [
        (["1", '["a", "b"]'], "b"),
        (["k", {"k": 1}], 1),
        (["x", {"k": 1}], ""),
        (["7", ["a"]], ""),
        (["0", ""], ""),
    ],
)
def test_select(blueprint, select, value):
    plan = blueprint({**CFN, "Outputs": {"O": {"Value": {"Fn::Select": select}}}})
    assert plan.resolve(plan.outputs["O"].value) == value


def test_heats_own_cloudformation_version_has_no_conditions(blueprint):
    base = {"HeatTemplateFormatVersion": "2012-12-12"}
    with pytest.raises(InvalidTemplateSection):
        parse({**base, "Conditions": {}})
    plan = blueprint({**base, "Outputs": {"O": {"Value": {"Fn::Split": [",", "a,b"]}}}})
    assert plan.resolve(plan.outputs["O"].value) == ["a", "b"]


def test_a_hundred_resources_take_a_few_milliseconds(blueprint):
    import time

    text = "heat_template_version: rocky\nresources:\n  r0: {type: T}\n" + "".join(
        f"  r{i}: {{type: T, properties: {{n: {i}, before: {{get_resource: r{i - 1}}}}}}}\n"
        for i in range(1, 100)
    )
    best = 1.0
    for _ in range(5):
        started = time.process_time()
        plan = blueprint(text)
        Graph(plan.dependencies)
        for one in plan.resources.values():
            plan.resolve(one.properties)
        best = min(best, time.process_time() - started)
    assert best < 0.05
