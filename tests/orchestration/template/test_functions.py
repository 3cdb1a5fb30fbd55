"""Every function: what it gives, what it refuses, and in which versions it is there."""

import contextlib
import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aerostat.services.orchestration.template import (
    TemplateError,
    find_version,
    functions_view,
    versions_view,
)
from aerostat.services.orchestration.template.versions import VERSIONS

HOT = [version.number for version in VERSIONS if version.key == "heat_template_version"]

# name: first version, last version
LIFE = {
    "get_param": ("2013-05-23", None),
    "get_resource": ("2013-05-23", None),
    "get_attr": ("2013-05-23", None),
    "get_file": ("2013-05-23", None),
    "list_join": ("2013-05-23", None),
    "str_replace": ("2013-05-23", None),
    "resource_facade": ("2013-05-23", None),
    "Ref": ("2013-05-23", "2013-05-23"),
    "Fn::GetAZs": ("2013-05-23", "2013-05-23"),
    "Fn::Join": ("2013-05-23", "2013-05-23"),
    "Fn::Split": ("2013-05-23", "2013-05-23"),
    "Fn::Replace": ("2013-05-23", "2013-05-23"),
    "Fn::Base64": ("2013-05-23", "2013-05-23"),
    "Fn::MemberListToMap": ("2013-05-23", "2013-05-23"),
    "Fn::ResourceFacade": ("2013-05-23", "2013-05-23"),
    "Fn::Select": ("2013-05-23", "2015-04-30"),
    "digest": ("2015-04-30", None),
    "repeat": ("2015-04-30", None),
    "str_split": ("2015-10-15", None),
    "map_merge": ("2016-04-08", None),
    "map_replace": ("2016-10-14", None),
    "yaql": ("2016-10-14", None),
    "if": ("2016-10-14", None),
    "filter": ("2017-02-24", None),
    "str_replace_strict": ("2017-02-24", None),
    "str_replace_vstrict": ("2017-09-01", None),
    "make_url": ("2017-09-01", None),
    "list_concat": ("2017-09-01", None),
    "list_concat_unique": ("2017-09-01", None),
    "contains": ("2017-09-01", None),
}
EVERYDAY = {"digest", "repeat", "if", "filter", "contains"}

# a right call of each, and its value
CALLS = {
    "get_param": ({"get_param": "OS::stack_name"}, "web"),
    "get_resource": ({"get_resource": "a"}, "id-of-a"),
    "get_attr": ({"get_attr": ["a", "ips", 1]}, "10.0.0.2"),
    "get_file": ({"get_file": "motd.txt"}, "hello"),
    "list_join": ({"list_join": ["-", ["x", "y"]]}, "x-y"),
    "str_replace": ({"str_replace": {"template": "$a b", "params": {"$a": 1}}}, "1 b"),
    "resource_facade": ({"resource_facade": "metadata"}, "the metadata"),
    "Ref": ({"Ref": "a"}, "id-of-a"),
    "Fn::GetAZs": ({"Fn::GetAZs": ""}, ["nova"]),
    "Fn::Join": ({"Fn::Join": ["", ["x", "y"]]}, "xy"),
    "Fn::Split": ({"Fn::Split": [",", "x,y"]}, ["x", "y"]),
    "Fn::Replace": ({"Fn::Replace": [{"x": "y"}, "axa"]}, "aya"),
    "Fn::Base64": ({"Fn::Base64": "plain"}, "plain"),
    "Fn::MemberListToMap": (
        {"Fn::MemberListToMap": ["Name", "Value", [".member.0.Name=k", ".member.0.Value=v=w"]]},
        {"k": "v=w"},
    ),
    "Fn::ResourceFacade": ({"Fn::ResourceFacade": "DeletionPolicy"}, "the deletion_policy"),
    "Fn::Select": ({"Fn::Select": ["1", ["x", "y"]]}, "y"),
    "digest": ({"digest": ["sha256", "ä"]}, hashlib.sha256("ä".encode()).hexdigest()),
    "repeat": ({"repeat": {"template": "<%p%>", "for_each": {"%p%": ["1", "2"]}}}, ["<1>", "<2>"]),
    "str_split": ({"str_split": [",", "x,y", 1]}, "y"),
    "map_merge": ({"map_merge": [{"a": 1, "b": 2}, None, {"a": 3}]}, {"a": 3, "b": 2}),
    "map_replace": (
        {"map_replace": [{"a": "x", "b": [1]}, {"keys": {"a": "A"}, "values": {"x": "X"}}]},
        {"A": "X", "b": [1]},
    ),
    "yaql": ({"yaql": {"expression": "$.data.n.sum()", "data": {"n": [1, 2]}}}, 3),
    "if": ({"if": ["no", 1, 2]}, 2),
    "filter": ({"filter": [["x"], ["x", "y", "x"]]}, ["y"]),
    "str_replace_strict": ({"str_replace_strict": {"template": "k", "params": {"k": "v"}}}, "v"),
    "str_replace_vstrict": ({"str_replace_vstrict": {"template": "k", "params": {"k": "v"}}}, "v"),
    "make_url": ({"make_url": {"scheme": "http", "host": "h", "port": 80, "path": "/p"}}, "http://h:80/p"),
    "list_concat": ({"list_concat": [["x"], None, ["x", "y"]]}, ["x", "x", "y"]),
    "list_concat_unique": ({"list_concat_unique": [["x"], ["y", "x"]]}, ["y", "x"]),
    "contains": ({"contains": ["x", ["x", "y"]]}, True),
}


def is_there(name, version):
    first, last = LIFE[name]
    return first <= version and (last is None or version <= last)


@pytest.mark.parametrize("version", HOT)
@pytest.mark.parametrize("name", LIFE)
def test_each_function_in_each_version(evaluate, name, version):
    call, value = CALLS[name]
    if is_there(name, version):
        assert evaluate(call, version) == value
    elif name in EVERYDAY:
        assert evaluate(call, version) == call
    else:
        with pytest.raises(
            TemplateError, match=f"The function {name} is not supported in this version of HOT"
        ):
            evaluate(call, version)


@pytest.mark.parametrize("version", HOT)
def test_the_list_of_functions_is_what_the_version_has(version):
    shown = functions_view(find_version(f"heat_template_version.{version}"))
    assert [one["functions"] for one in shown] == sorted(name for name in LIFE if is_there(name, version))
    assert all(one["description"] for one in shown)


def test_condition_functions_are_listed_on_demand():
    version = find_version("heat_template_version.pike")
    extra = {one["functions"] for one in functions_view(version, True)} - {
        one["functions"] for one in functions_view(version)
    }
    assert extra == {"equals", "not", "and", "or"}


def test_list_of_versions():
    shown = {one["version"]: one for one in versions_view()}
    assert len(shown) == 13
    assert shown["heat_template_version.2018-08-31"] == {
        "version": "heat_template_version.2018-08-31",
        "type": "hot",
        "aliases": ["heat_template_version.rocky"],
    }
    assert shown["AWSTemplateFormatVersion.2010-09-09"]["type"] == "cfn"


GOOD = [
    ({"get_param": ["map", "list", 1, "k"]}, "v"),
    ({"get_param": ["map", "list", "1", "k"]}, "v"),
    ({"get_param": ["map", "nowhere"]}, ""),
    ({"get_param": ["csv", 1]}, "z"),
    ({"get_param": {"list_join": ["", ["c", "sv"]]}}, ["y", "z"]),
    ({"get_param": "OS::project_id"}, "project-1"),
    ({"get_param": "OS::stack_id"}, "stack-1"),
    ({"get_param": "OS::region"}, "here"),
    ({"get_attr": ["a", "meta", "k", "deep", 0]}, 1),
    ({"get_attr": ["a", "nothing"]}, None),
    ({"get_attr": ["b"]}, {}),
    ({"list_join": [",", ["x", None], [{"b": 1, "a": [2]}]]}, 'x,,{"a": [2], "b": 1}'),
    ({"list_join": [",", None, ["x"]]}, "x"),
    ({"str_replace": {"template": "aab", "params": {"a": "b", "aa": "<a>", "b": "c"}}}, "<a>c"),
    ({"str_replace": {"template": "x y", "params": {"x": {"k": [1]}, "y": None}}}, '{"k": [1]} '),
    ({"str_replace": {"template": "x", "params": {"x": True}}}, "True"),
    ({"str_replace": {"template": "名前 é", "params": {"名前": "ü", "é": "☃"}}}, "ü ☃"),
    ({"str_split": [",", "x,y"]}, ["x", "y"]),
    ({"str_split": [",", "x,y", "-1"]}, "y"),
    ({"str_split": [",", {"get_attr": ["b", "none"]}]}, None),
    (
        {"repeat": {"template": {"%k%": "%v%"}, "for_each": {"%k%": ["a", "b"], "%v%": ["1", "2"]}}},
        [{"a": "1"}, {"a": "2"}, {"b": "1"}, {"b": "2"}],
    ),
    (
        {
            "repeat": {
                "template": ["%k%", "%v%"],
                "for_each": {"%k%": ["a", "b"], "%v%": [1, {"x": 2}]},
                "permutations": False,
            }
        },
        [["a", 1], ["b", {"x": 2}]],
    ),
    ({"repeat": {"template": "%k%", "for_each": {"%k%": {"x": 1, "y": 2}}}}, ["x", "y"]),
    ({"repeat": {"template": "%k%", "for_each": {"%k%": None}}}, []),
    ({"map_replace": [{"a": 1, "b": 2}, {"keys": {"a": "a"}, "values": {"2": "two"}}]}, {"a": 1, "b": "two"}),
    ({"filter": [None, ["x"]]}, ["x"]),
    ({"filter": [["x"], None]}, None),
    ({"contains": ["b", "abc"]}, True),
    (
        {"make_url": {"scheme": "http", "host": "::1", "username": "u@", "password": "p/"}},
        "http://u%40:p%2F@[::1]",
    ),
    ({"make_url": {"path": "/a b", "query": {"k": "/v", "l": "&"}, "fragment": "f"}}, "/a%20b?k=/v&l=%26#f"),
    ({"digest": ["MD5", "x"]}, hashlib.md5(b"x").hexdigest()),
    ({"yaql": {"expression": "$.data.where($.x > 1).select($.x)", "data": [{"x": 1}, {"x": 2}]}}, [2]),
    ({"if": [True, 1, 2]}, 1),
    ({"if": [{"and": ["yes", {"not": "no"}]}, "t", "f"]}, "t"),
    ({"if": [{"or": ["no", {"equals": [{"get_param": "text"}, "x"]}]}, "t", "f"]}, "t"),
    ({"k": {"if": ["no", 1]}, "l": [1, {"if": ["no", 2]}, 3]}, {"l": [1, 3]}),
    ({"if": ["no", 1]}, None),
    ({"list_join": [",", ["a", {"if": ["no", "b"]}]]}, "a"),
    ({"get_param": "text", "other": 1}, {"get_param": "text", "other": 1}),
    ({"equals": [1, 1]}, {"equals": [1, 1]}),
    ({"map_merge": {"repeat": {"template": {"%k%": 1}, "for_each": {"%k%": ["a", "b"]}}}}, {"a": 1, "b": 1}),
]


@pytest.mark.parametrize(("snippet", "value"), GOOD)
def test_values(evaluate, snippet, value):
    params = {"map": {"list": [0, {"k": "v"}]}, "csv": ["y", "z"], "text": "x"}
    assert evaluate(snippet, **params) == value


BAD = [
    ({"get_param": []}, 'Function "get_param" must have arguments'),
    ({"get_param": {"a": 1, "b": 2}}, 'Argument to "get_param" must be string or list'),
    ({"get_param": [1]}, 'Parameter name in "get_param" must be string'),
    ({"get_param": "nobody"}, r"The Parameter \(nobody\) was not provided"),
    ({"get_resource": "nobody"}, 'The specified reference "nobody" .* is incorrect'),
    ({"get_resource": ["a"]}, "must be the name of a resource"),
    ({"get_attr": ["nobody", "x"]}, 'The specified reference "nobody"'),
    ({"get_attr": []}, 'Arguments to "get_attr" can be of the next forms'),
    ({"get_attr": ["a", {"get_param": "OS::stack_id"}, ["x"]]}, "Path components in"),
    ({"get_attr": ["a", ["x"]]}, "Attribute name in"),
    ({"get_attr": [{"list_concat": []}, "x"]}, "The specified reference"),
    ({"get_resource": {"list_concat": []}}, "The specified reference"),
    ({"get_file": {"list_concat": []}}, "No content found"),
    ({"get_attr": "a"}, 'Argument to "get_attr" must be a list'),
    ({"get_file": 1}, 'Argument to "get_file" must be a string'),
    ({"get_file": "gone"}, 'No content found in the "files" section for get_file path: gone'),
    ({"list_join": [","]}, 'Incorrect arguments to "list_join"'),
    ({"list_join": [",", "abc"]}, "must operate on a list"),
    ({"list_join": [1, ["a"]]}, "delimiter must be a string"),
    ({"list_join": [",", [1]]}, "Items to join must be string, map or list not 1"),
    ({"str_replace": "x"}, 'Arguments to "str_replace" must be a map'),
    ({"str_replace": {"template": "x"}}, '"str_replace" syntax should be'),
    ({"str_replace": {"template": 1, "params": {}}}, "template must be a string"),
    ({"str_replace": {"template": "x", "params": ["x"]}}, "parameters must be a mapping"),
    (
        {"str_replace_strict": {"template": "x", "params": {"y": 1}}},
        "params were not found in the template: y",
    ),
    ({"str_replace_vstrict": {"template": "x", "params": {"x": ""}}}, "undefined or empty value for param x"),
    ({"str_replace_vstrict": {"template": "x", "params": {"x": []}}}, "undefined or empty value for param x"),
    ({"str_split": ","}, 'Incorrect arguments to "str_split"'),
    ({"str_split": [",", "a,b", 2]}, "should be between 0 and 1"),
    ({"str_split": [",", "a,b", "x"]}, 'Incorrect index to "str_split"'),
    ({"repeat": {"template": "x"}}, '"repeat" syntax should be'),
    ({"repeat": {"template": "x", "for_each": ["a"]}}, "must contain a map"),
    ({"repeat": {"template": "x", "for_each": {"x": "abc"}}}, "must be lists or maps"),
    ({"repeat": {"template": "x", "for_each": {}, "permutations": "no"}}, "should be boolean type"),
    (
        {"repeat": {"template": "x", "for_each": {"a": [1], "b": [1, 2]}, "permutations": False}},
        "should be equal if no nested loop",
    ),
    ({"repeat": {"template": "x", "for_each": {k: ["1"] * 30 for k in "abc"}}}, "more than 10000 times"),
    ({"map_merge": "x"}, 'Incorrect arguments to "map_merge"'),
    ({"map_merge": [1]}, "Items to merge must be maps"),
    ({"map_replace": [{"a": 1, "b": 1}, {"keys": {"a": "b"}}]}, "collides with a key in the input map"),
    ({"map_replace": [{"a": 1}, {"else": {}}]}, 'Incorrect arguments to "map_replace"'),
    ({"map_replace": [{"a": 1}]}, 'Incorrect arguments to "map_replace"'),
    ({"digest": ["md5"]}, r'Function "digest" usage'),
    ({"digest": ["rot13", "x"]}, "Algorithm must be one of"),
    ({"digest": ["md5", 1]}, "must be a list of strings"),
    ({"resource_facade": "name"}, "should be one of: metadata, deletion_policy, update_policy"),
    ({"yaql": "x"}, 'Arguments to "yaql" must be a map'),
    ({"yaql": {"expression": "$."}}, "Bad expression"),
    ({"yaql": {"expression": "$", "dta": 1}}, '"yaql" syntax should be'),
    ({"yaql": {"expression": "range(100000).sum()"}}, "outputs.o.value.yaql"),
    ({"filter": ["x"]}, "expected 2 arguments"),
    ({"filter": ["x", ["y"]]}, "filters a list of values"),
    ({"contains": ["x"]}, "must be of the form"),
    ({"contains": ["x", 1]}, "should be a sequence"),
    ({"make_url": {"hst": "x"}}, 'Invalid arguments to "make_url": hst'),
    ({"make_url": {"host": "x", "port": 70000}}, "must be in range 1-65535"),
    ({"make_url": {"host": "x", "query": "a=b"}}, '"query" argument to "make_url" must be a map'),
    ({"make_url": {"scheme": "a:b", "host": "x"}}, "should not contain ':'"),
    ({"list_concat": "abc"}, 'Incorrect arguments to "list_concat"'),
    ({"list_concat": [["a"], "b"]}, "Items to concat must be lists"),
    ({"if": ["no"]}, 'Arguments to "if" must be of the form'),
    ({"if": ["unknown", 1, 2]}, 'Invalid condition "unknown"'),
    ({"if": [{"get_attr": ["a", "b"]}, 1, 2]}, 'The function "get_attr" is invalid in this context'),
]


@pytest.mark.parametrize(("snippet", "message"), BAD)
def test_refusals(evaluate, snippet, message):
    with pytest.raises(TemplateError) as caught:
        evaluate(snippet)
    assert caught.match(message)


GROWING = [
    {"str_replace": {"template": "a" * 10_000, "params": {"a": "b" * 10_000}}},
    {"list_join": ["x" * 10_000, ["a"] * 10_000]},
    {"repeat": {"template": "%k%" * 5_000, "for_each": {"%k%": ["x" * 10_000]}}},
    {"repeat": {"template": ["%k%"] * 5_000, "for_each": {"%k%": ["x"] * 5_000}}},
    {"repeat": {"template": [1] * 5_000, "for_each": {"%k%": ["x"] * 5_000}}},
    [{"get_param": "long"}] * 10_000,
    [{"str_replace": {"template": "a" * 100, "params": {"a": "b" * 1000}}}] * 200,
]


@pytest.mark.parametrize("snippet", GROWING, ids=range(len(GROWING)))
def test_a_small_template_does_not_make_a_huge_value(evaluate, snippet):
    with pytest.raises(TemplateError, match="would be larger than 8388608 characters"):
        evaluate(snippet, long="x" * 10_000)


OLD = [
    ("2013-05-23", {"list_join": [",", ["a"], ["b"]]}, "Incorrect arguments"),
    ("2015-04-30", {"list_join": [",", [{"a": 1}]]}, "Items to join must be strings"),
    (
        "2015-04-30",
        {"str_replace": {"template": "x", "params": {"x": {"a": 1}}}},
        "must be strings or numbers",
    ),
    ("2015-04-30", {"get_attr": ["a"]}, r"must be of the form \[resource_name, attribute"),
    ("2016-04-08", {"repeat": {"template": "x", "for_each": {"x": {"a": 1}}}}, "must be lists$"),
    ("2018-08-31", {"if": ["yes", 1]}, 'Arguments to "if" must be of the form'),
]


@pytest.mark.parametrize(("version", "snippet", "message"), OLD)
def test_what_older_versions_do_not_take(evaluate, version, snippet, message):
    with pytest.raises(TemplateError, match=message):
        evaluate(snippet, version)


@pytest.mark.parametrize(
    ("version", "asked"), [("2013-05-23", ("a", "meta", ())), ("2014-10-16", ("a", "meta", ("k", "deep")))]
)
def test_who_follows_the_path_of_an_attribute(blueprint, version, asked):
    from .conftest import Made

    plan = blueprint(
        {
            "heat_template_version": version,
            "resources": {"a": {"type": "T"}},
            "outputs": {"o": {"value": {"get_attr": ["a", "meta", "k", "deep"]}}},
        }
    )
    made = Made(a={"meta": {"k": {"deep": 1}}})
    assert plan.resolve(plan.outputs["o"].value, made) == 1
    assert made.asked == [asked]


def test_a_value_is_not_shared_with_the_template(evaluate):
    snippet = {"plain": [1, {"a": 2}]}
    value = evaluate(snippet)
    value["plain"][1]["a"] = 3
    assert snippet == {"plain": [1, {"a": 2}]}


def test_errors_say_where(evaluate):
    with pytest.raises(TemplateError) as caught:
        evaluate({"x": [0, {"list_join": [",", [{"digest": ["no", "x"]}]]}]})
    assert str(caught.value).startswith("outputs.o.value.x[1].list_join[1][0].digest: Algorithm must be")


NAMES = ["a", "b", "yes", "no", "text", "OS::stack_name", "metadata", "motd.txt", "md5", ",", "%k%", "params"]
SNIPPETS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, "template", "for_each", "keys", "values", "data"]), inner, max_size=3
        )
        | st.builds(
            lambda name, args: {name: args}, st.sampled_from([*LIFE, "equals", "not", "and", "or"]), inner
        )
        | st.builds(lambda t, p: {"str_replace": {"template": t, "params": p}}, inner, inner)
        | st.builds(lambda t, k: {"repeat": {"template": t, "for_each": {"%k%": k}}}, inner, inner)
    ),
    max_leaves=12,
)


@given(SNIPPETS, st.sampled_from(HOT))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_written_has_a_value_or_an_error_of_ours(evaluate, snippet, version):
    with contextlib.suppress(TemplateError):
        json.dumps(evaluate(snippet, version, text="x"))
