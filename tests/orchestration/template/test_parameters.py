"""Parameters: types, constraints, where a value comes from, what clients are shown."""

import pytest

from aerostat.services.orchestration.template import StackIdentity, TemplateError, parse
from aerostat.services.orchestration.template.errors import (
    InvalidSchemaError,
    StackValidationFailed,
    UnknownUserParameter,
    UserParameterMissing,
)

STACK = StackIdentity(name="web", id="1", project_id="p", region="r", arn="arn:1")


def template(version="2021-04-16", **parameters):
    return parse({"heat_template_version": version, "parameters": parameters})


def value(definition, given):
    values = template(p=definition).parameters({"p": given})
    values.check()
    return values["p"]


VALUES = [
    ("string", "x", "x"),
    ("string", 1, "1"),
    ("string", "", ""),
    ("number", "2", 2),
    ("number", "0.5", 0.5),
    ("number", -3, -3),
    ("boolean", "On", True),
    ("boolean", "n", False),
    ("boolean", 0, False),
    ("boolean", True, True),
    ("comma_delimited_list", "a, b", ["a", " b"]),
    ("comma_delimited_list", [1, "b"], ["1", "b"]),
    ("comma_delimited_list", "", []),
    ("json", '{"a": [1]}', {"a": [1]}),
    ("json", [{"a": 1}], [{"a": 1}]),
]


@pytest.mark.parametrize(("kind", "given", "expected"), VALUES)
def test_types(kind, given, expected):
    found = value({"type": kind}, given)
    assert found == expected
    assert type(found) is type(expected)


BAD_VALUES = [
    ("string", {"a": 1}, "Value must be a string"),
    ("number", "two", "could not convert"),
    ("number", "inf", "is not a number"),
    ("number", [1], "is not a number"),
    ("boolean", "maybe", "Unrecognized value 'maybe', acceptable values are: '0', '1'"),
    ("comma_delimited_list", 5, "must be a comma-delimited list string"),
    ("json", "{", "Value must be valid JSON"),
]


@pytest.mark.parametrize(("kind", "given", "message"), BAD_VALUES)
def test_values_of_the_wrong_type(kind, given, message):
    with pytest.raises(StackValidationFailed, match=f"Parameter 'p' is invalid: .*{message}"):
        value({"type": kind}, given)


CONSTRAINTS = [
    ("string", {"length": {"min": 2, "max": 3}}, ["ab", "abc"], ["a", "abcd"], "length .* is out of range"),
    ("comma_delimited_list", {"length": {"max": 2}}, ["a,b"], ["a,b,c"], r"length \(3\) is out of range"),
    ("json", {"length": {"min": 1}}, [{"a": 1}], [{}], r"\(min: 1, max: None\)"),
    ("number", {"range": {"min": 1, "max": 2.5}}, [1, "2.5"], [0, 3], "is out of range"),
    (
        "number",
        {"modulo": {"step": 3, "offset": 1}},
        [4, "1"],
        [3],
        "is not a multiple of 3 with an offset of 1",
    ),
    ("string", {"allowed_values": ["a", 1]}, ["a", "1"], ["b"], r'"b" is not an allowed value \[a, 1\]'),
    ("number", {"allowed_values": [1, "2"]}, ["1", 2], [3], "is not an allowed value"),
    ("boolean", {"allowed_values": [True]}, ["yes"], ["no"], "is not an allowed value"),
    (
        "comma_delimited_list",
        {"allowed_values": ["a", "b"]},
        ["a,b,a", ""],
        ["a,c"],
        "is not an allowed value",
    ),
    ("string", {"allowed_pattern": "[a-z]+"}, ["abc"], ["abc1", ""], "does not match pattern"),
]


@pytest.mark.parametrize(("kind", "constraint", "good", "bad", "message"), CONSTRAINTS)
def test_constraints(kind, constraint, good, bad, message):
    definition = {"type": kind, "constraints": [constraint]}
    for one in good:
        value(definition, one)
    for one in bad:
        with pytest.raises(StackValidationFailed, match=message):
            value(definition, one)


def test_the_description_of_a_constraint_is_the_message():
    definition = {"type": "string", "constraints": [{"length": {"min": 6}, "description": "six at least"}]}
    with pytest.raises(StackValidationFailed, match=r"^Parameter 'p' is invalid: six at least$"):
        value(definition, "x")


BAD_SCHEMAS = [
    ({"type": "strng"}, "Invalid type"),
    ({"type": "String"}, "Invalid type"),
    ({}, "Missing parameter type for parameter: p"),
    ("string", "expected a mapping"),
    ({"type": "string", "defualt": 1}, "Invalid key 'defualt' for parameter"),
    ({"type": "string", "constraints": {}}, "expected a list"),
    ({"type": "string", "constraints": [{}]}, "No constraint expressed"),
    ({"type": "string", "constraints": [{"lenght": {}}]}, "Invalid key 'lenght' for parameter constraints"),
    ({"type": "string", "constraints": [{"length": {}}]}, "must have a min value and/or a max"),
    ({"type": "string", "constraints": [{"length": {"min": 1.5}}]}, "min/max length must be integral"),
    ({"type": "string", "constraints": [{"range": {"min": 1}}]}, "Range constraint invalid for string"),
    ({"type": "json", "constraints": [{"allowed_values": []}]}, "AllowedValues constraint invalid for json"),
    ({"type": "number", "constraints": [{"range": {"min": "x"}}]}, "min/max must be numeric"),
    ({"type": "number", "constraints": [{"range": {"mn": 1}}]}, "Invalid key 'mn' for range constraint"),
    ({"type": "number", "constraints": [{"modulo": {"step": 0, "offset": 0}}]}, "step cannot be 0"),
    ({"type": "number", "constraints": [{"modulo": {"step": 2, "offset": 2}}]}, "must be smaller"),
    (
        {"type": "number", "constraints": [{"modulo": {"step": 2, "offset": -1}}]},
        "both positive or both negative",
    ),
    ({"type": "number", "constraints": [{"modulo": {"step": 2}}]}, "a step value and an offset value"),
    ({"type": "string", "constraints": [{"allowed_values": "a"}]}, "AllowedValues must be a list"),
    ({"type": "string", "constraints": [{"allowed_pattern": "["}]}, "is not a regular expression"),
    ({"type": "string", "constraints": [{"custom_constraint": 1}]}, "custom_constraint must be a string"),
    ({"type": "string", "default": "x", "constraints": [{"length": {"min": 2}}]}, "Invalid default x"),
    ({"type": "number", "default": "x"}, "Invalid default x"),
    ({"type": "string", "hidden": "perhaps"}, "hidden: Unrecognized value"),
    ({"type": "string", "tags": "a"}, "Tags property should be a list"),
]


@pytest.mark.parametrize(("definition", "message"), BAD_SCHEMAS)
def test_definitions_refused(definition, message):
    with pytest.raises(InvalidSchemaError, match=f"Parameter 'p' is invalid: .*{message}"):
        template(p=definition)


@pytest.mark.parametrize(
    ("version", "definition"),
    [
        ("2016-10-14", {"type": "number", "constraints": [{"modulo": {"step": 2, "offset": 0}}]}),
        ("2017-09-01", {"type": "string", "tags": ["a"]}),
    ],
)
def test_what_older_versions_do_not_know(version, definition):
    with pytest.raises(InvalidSchemaError):
        template(version, p=definition)


def test_where_a_value_comes_from():
    one = template(p={"type": "string", "default": "schema"})
    assert one.parameters({})["p"] == "schema"
    assert one.parameters({}, {"p": "environment"})["p"] == "environment"
    assert one.parameters({"p": "given"}, {"p": "environment"})["p"] == "given"
    assert one.parameters({"p": None})["p"] == "schema"
    assert one.parameters({"p": ""})["p"] == ""


def test_missing_and_unknown():
    one = template(p={"type": "string"})
    with pytest.raises(UserParameterMissing, match=r"^The Parameter \(p\) was not provided\.$"):
        one.parameters({}).check()
    one.parameters({}).check(values_needed=False)
    with pytest.raises(UnknownUserParameter, match=r"^The Parameter \(q\) was not defined in template\.$"):
        one.parameters({"p": "x", "q": 1}).check()
    with pytest.raises(KeyError):
        one.parameters({})["q"]
    assert "q" not in one.parameters({})
    one.parameters({"p": "x"}, {"q": "defaults may be for others"}).check()


def test_placeholders_for_looking_without_values():
    kinds = {"s": "string", "n": "number", "l": "comma_delimited_list", "j": "json", "b": "boolean"}
    one = template(
        **{name: {"type": kind} for name, kind in kinds.items()}, d={"type": "string", "default": "x"}
    )
    values = one.parameters({"n": 5}).with_placeholders()
    assert {name: values[name] for name in one.schemas} == {
        "s": "",
        "n": 5,
        "l": [],
        "j": {},
        "b": False,
        "d": "x",
    }


async def test_custom_constraints():
    asked = []

    async def check(name, value):
        asked.append((name, value))
        if name == "no.such":
            raise LookupError
        return None if value.startswith("good") else f"The Key ({value}) could not be found."

    def values(given, constraint="nova.keypair", kind="string", **more):
        definition = {"type": kind, "constraints": [{"custom_constraint": constraint, **more}]}
        return template(p=definition).parameters({"p": given})

    await values("good").check_custom(check)
    await values("good1,good2", kind="comma_delimited_list").check_custom(check)
    assert asked == [("nova.keypair", "good"), ("nova.keypair", "good1"), ("nova.keypair", "good2")]
    with pytest.raises(StackValidationFailed) as caught:
        await values("bad").check_custom(check)
    assert str(caught.value) == (
        "Parameter 'p' is invalid: Error validating value 'bad': The Key (bad) could not be found."
    )
    with pytest.raises(StackValidationFailed, match=r"is invalid: no key$"):
        await values("bad", description="no key").check_custom(check)
    with pytest.raises(
        StackValidationFailed, match=r'"x" does not validate no\.such \(constraint not found\)'
    ):
        await values("x", "no.such").check_custom(check)


def test_what_validate_shows():
    one = template(
        p={
            "type": "string",
            "label": "Name",
            "description": "what to call it",
            "default": "abc",
            "hidden": True,
            "tags": ["t"],
            "constraints": [
                {"length": {"min": 1, "max": 5}, "description": "short"},
                {"allowed_pattern": "[a-z]*", "description": "small"},
                {"custom_constraint": "dns_name"},
            ],
        },
        n={
            "type": "number",
            "constraints": [
                {"range": {"min": 1}},
                {"modulo": {"step": 2, "offset": 1}},
                {"allowed_values": [1, 3]},
            ],
        },
    )
    assert one.parameters({"n": 3}, {"p": "xyz"}).views() == {
        "p": {
            "Type": "String",
            "Description": "what to call it",
            "NoEcho": "true",
            "Label": "Name",
            "Default": "xyz",
            "Tags": ["t"],
            "MinLength": 1,
            "MaxLength": 5,
            "AllowedPattern": "[a-z]*",
            "CustomConstraint": "dns_name",
            "ConstraintDescription": "short small",
        },
        "n": {
            "Type": "Number",
            "Description": "",
            "NoEcho": "false",
            "Label": "n",
            "Value": 3,
            "MinValue": 1,
            "Step": 2,
            "Offset": 1,
            "AllowedValues": [1, 3],
        },
    }


def test_values_as_a_stack_shows_them():
    one = template(
        s={"type": "string"},
        secret={"type": "string", "hidden": True},
        csv={"type": "comma_delimited_list"},
        j={"type": "json", "default": {"a": 1}},
        b={"type": "boolean", "default": "yes"},
        missing={"type": "string"},
    )
    values = one.parameters({"s": "é", "secret": "x", "csv": ["a", "b"]}, stack=STACK)
    assert values.texts() == {
        "OS::stack_id": "1",
        "OS::stack_name": "web",
        "OS::project_id": "p",
        "OS::region": "r",
        "s": "é",
        "secret": "******",
        "csv": "a,b",
        "j": '{"a": 1}',
        "b": "True",
    }
    assert len(values) == 10
    assert set(values) >= {"OS::stack_id", "missing"}


def test_immutable():
    one = template(
        p={"type": "number", "immutable": True, "default": 1}, q={"type": "string", "default": "a"}
    )
    old = one.parameters({})
    assert one.parameters({"p": "1", "q": "b"}).changed_immutable(old) == []
    assert one.parameters({"p": 2}).changed_immutable(old) == ["p"]


GROUPS = [
    ([{"label": "l", "parameters": ["p", "q"]}], None),
    (
        [{"parameters": ["p"]}, {"parameters": ["p"]}],
        "p parameter must be assigned to one parameter group only",
    ),
    ([{"parameters": ["x"]}], "parameter x does not reference a valid parameter"),
    ([{"label": "l"}], "parameters must be provided for each parameter group"),
    ([{"parameters": "p"}], "should be a list"),
    ({"parameters": ["p"]}, "should be a list"),
]


@pytest.mark.parametrize(("groups", "message"), GROUPS)
def test_groups(groups, message):
    data = {
        "heat_template_version": "2018-08-31",
        "parameters": {"p": {"type": "string"}, "q": {"type": "string"}},
        "parameter_groups": groups,
    }
    if message is None:
        assert parse(data).parameter_groups == groups
        return
    with pytest.raises(TemplateError, match=message):
        parse(data)


def test_cloudformation_parameters():
    one = parse(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": {
                "P": {
                    "Type": "Number",
                    "Default": "3",
                    "NoEcho": "true",
                    "MinValue": 1,
                    "MaxValue": "5",
                    "AllowedValues": [3, 4],
                    "ConstraintDescription": "three or four",
                }
            },
        }
    )
    values = one.parameters({}, stack=STACK)
    assert values["P"] == 3
    assert values["AWS::StackId"] == "arn:1"
    assert values["AWS::StackName"] == "web"
    assert values["AWS::Region"] == "r"
    assert values.views()["P"]["ConstraintDescription"] == "three or four three or four"
    with pytest.raises(StackValidationFailed, match="three or four"):
        one.parameters({"P": 5}).check()
