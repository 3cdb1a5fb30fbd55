"""Reading text: what Heat's loader would give, and bombs that must not go off."""

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aerostat.services.orchestration.template.errors import InvalidTemplateFormat, RequestLimitExceeded
from aerostat.services.orchestration.template.text import Limits, load

SCALARS = [
    ("2018-08-31", "2018-08-31"),
    ("2018-08-31T10:00:00Z", "2018-08-31T10:00:00Z"),
    ("yes", True),
    ("off", False),
    ("'yes'", "yes"),
    ("~", None),
    ("", None),
    ("0x1f", 31),
    ("0777", 511),
    ("1_000", 1000),
    ("1.5", 1.5),
    ("1e3", "1e3"),
    ("=", "="),
    ("<<", "<<"),
    ("!!str 12", "12"),
    ("|\n  a\n  b", "a\nb"),
    ("☃ é 名前", "☃ é 名前"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars(text, value):
    assert load(f"k: {text}") == {"k": value}


def test_keys_are_strings_as_in_json():
    assert load("80: a\ntrue: b\n~: c\n1.5: d\n2020-01-01: e") == {
        "80": "a",
        "true": "b",
        "null": "c",
        "1.5": "d",
        "2020-01-01": "e",
    }


def test_aliases_and_merging():
    text = "base: &b {x: 1, y: [1]}\nmore: &m {x: 2, z: 3}\none: {<<: *b, x: 0}\ntwo: {<<: [*m, *b], w: *b}"
    data = load(text)
    assert data == yaml.safe_load(text)
    data["base"]["y"].append(2)
    assert data["one"]["y"] == [1], "nothing is shared"


def test_a_scalar_can_be_an_anchor():
    assert load("a: &x yes\nb: *x\n&k c: *k") == {"a": True, "b": True, "c": "c"}


def test_json_and_decoded_data():
    data = {"a": [1, {"b": None}], "c": "é"}
    assert load(json.dumps(data)) == data
    assert load(data) == data
    assert load(data)["a"] is not data["a"]
    assert load(b"a: \xc3\xa9") == {"a": "é"}
    assert load("") == {}


REFUSED = [
    ("- 1", "is not a JSON object or YAML mapping"),
    ("just text", "is not a JSON object or YAML mapping"),
    ("[1, 2]", "is not a JSON object or YAML mapping"),
    ("a: 1\nb: 2\na: 3", 'duplicate key "a", line 3, column 1'),
    ('{"a": 1, "b": {"c": 1, "c": 2}}', 'duplicate key "c"'),
    ("1: a\n'1': b", 'duplicate key "1"'),
    ("a: 'open", "Error parsing template"),
    ("a: b: c", "mapping values are not allowed"),
    ("a:\n\t- b", "cannot start any token"),
    ("a: *gone", "undefined alias 'gone', line 1"),
    ("a: &a [*a]", "alias 'a' contains itself"),
    ("a: &a {b: {<<: *a}}", "alias 'a' contains itself"),
    ("<<: 1", "map or a list of maps for merging"),
    ("? [a]\n: b", "cannot be a key"),
    ("a: !!binary aGk=", "is not allowed"),
    ("a: !!set {b, c}", "is not allowed"),
    ("a: !!python/object/apply:os.system [id]", "is not allowed"),
    ("a: !!int x", "'x' is not of type int"),
    ("a: 1\n---\nb: 2", "a single document"),
    (b"\xff\xfe\xff", "is not UTF-8"),
    ("a: \x00", "Error parsing template"),
    ("a: 0x1ffffffffffffffff", "more than 64 bits"),
    ('{"a": 18446744073709551616}', "more than 64 bits"),
    ('{"a": 1' + "0" * 5000 + "}", "too many digits"),
    ("a: .inf", "inf is not a finite number"),
    ('{"a": NaN}', "nan is not a finite number"),
    ('{"a": "\\ud800"}', "surrogates not allowed"),
    ('{"\\ud800": 1}', "surrogates not allowed"),
    ("a: \ud800", "surrogates not allowed"),
    ('a: "\\ud800"', "invalid Unicode character"),
    ({"a": {1, 2}}, "a value of type set cannot stand here"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text, message):
    with pytest.raises(InvalidTemplateFormat, match=message):
        load(text)


def alias_bomb(wide=10, high=10):
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * wide)}]" for i in range(1, high)]
    return "a0: &a0 [x]\n" + "\n".join(rows)


BOMBS = [
    (alias_bomb(), "more than 100000 values"),
    (alias_bomb(wide=1, high=200), "deeper than 100"),
    (
        "a: &a {k: 1}\n" + "\n".join(f"b{i}: &b{i} {{<<: [{'*a, ' * 1000}]}}" for i in range(60)),
        "100000 values",
    ),
    ("[" * 250_000, "deeper than 100"),
    ("- " * 250_000, "deeper than 100"),
    ("{a: " * 100_000, "deeper than 100"),
    ('{"a":' * 100_000, "deeper than 100"),
    ("[" * 250_000 + "]" * 250_000, "deeper than 100"),
    ('{"a": ' * 101 + "1" + "}" * 101, "deeper than 100"),
    ("a: [" + "1," * 200_000 + "]", "more than 100000 values"),
    ("a: " + "x" * 600_000, r"size \(600003 bytes\) exceeds maximum allowed size \(524288 bytes\)"),
    ("a: " + "é" * 262_143, "exceeds maximum allowed size"),
]


@pytest.mark.parametrize(("text", "message"), BOMBS, ids=range(len(BOMBS)))
def test_bombs(text, message):
    started = time.process_time()
    with pytest.raises(RequestLimitExceeded, match=message):
        load(text)
    assert time.process_time() - started < 5


def test_decoded_data_has_limits_too():
    data: dict = {}
    for _ in range(200):
        data = {"a": data}
    with pytest.raises(RequestLimitExceeded, match="deeper than 100"):
        load(data)
    with pytest.raises(RequestLimitExceeded, match="more than 10 values"):
        load({"a": list(range(10))}, Limits(nodes=10))


def test_environments_are_named_in_errors():
    with pytest.raises(InvalidTemplateFormat, match="The environment is not a JSON object"):
        load("[]", what="environment")


def heats_loader(text):
    """What Heat reads texts with. Only for short ones: a deep one ends the process."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_LIKE, max_size=4))
def test_all_json_reads_as_it_is(data):
    assert load(json.dumps(data)) == data


@given(st.dictionaries(st.text(), JSON_LIKE, max_size=4))
def test_yaml_reads_as_heats_loader_reads_it(data):
    text = yaml.safe_dump(data, allow_unicode=True)
    assert load(text) == heats_loader(text)


@given(st.text(alphabet=st.sampled_from("ab&*[]{}:,-?!'\"|>#% \n<~1."), max_size=60))
def test_what_heats_loader_reads_we_read_the_same_or_refuse(text):
    try:
        ours = load(text)
    except InvalidTemplateFormat:
        return
    assert ours == (heats_loader(text) or {}) or any(not isinstance(key, str) for key in walk_keys(text))


def walk_keys(text):
    def walk(value):
        if isinstance(value, dict):
            for key, one in value.items():
                yield key
                yield from walk(one)
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)

    return walk(heats_loader(text))
