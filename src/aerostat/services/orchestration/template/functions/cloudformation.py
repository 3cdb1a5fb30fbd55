"""CloudFormation's functions: in CFN templates, and some in the oldest HOT version."""

import json
from dataclasses import replace
from typing import Any

from ..errors import InvalidTemplateReference, Path
from ..snippets import Call, Function, Reference, Scope, select
from . import logic, references
from .strings import replace_in


def _check_ref(name: str, args: Any) -> None:
    if not isinstance(args, str | Call):
        raise TypeError(f'Argument to "{name}" must be a string')


def _ref(name: str, args: Any, scope: Scope) -> Any:
    if scope.has_resource(args):
        return scope.reference_id(args)
    return _param(args, scope)


def _refer(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    return Reference("resource" if scope.has_resource(args) else "param", args, path)


def _ref_param(name: str, args: Any, scope: Scope) -> Any:
    return _param(args, scope)


def _param(name: str, scope: Scope) -> Any:
    try:
        return scope.param(name)
    except KeyError:
        raise InvalidTemplateReference(name, ("unknown",)) from None


def _refer_param(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    return Reference("param", args, path)


_REF = "A function for resolving parameters or resource references."
ref = Function("Ref", _REF, _ref, check=_check_ref, refer=_refer)
ref_param = Function("Ref", _REF, _ref_param, check=_check_ref, refer=_refer_param)


def _check_get_att(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        raise ValueError(f'Arguments to "{name}" must be of the form [resource_name, attribute]')


get_att = replace(references.get_attr_then_select, name="Fn::GetAtt", check=_check_get_att)


def _check_find(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 3:
        raise KeyError(f'Arguments to "{name}" must be of the form [mapping, key, value]')


def _find_in_map(name: str, args: Any, scope: Scope) -> Any:
    mapping, key, value = args
    try:
        return scope.mapping(mapping)[key][value]
    except (KeyError, TypeError):
        raise KeyError(f'"{name}" finds nothing at {mapping}.{key}.{value}') from None


find_in_map = Function(
    "Fn::FindInMap",
    "A function for resolving keys in the template mappings.",
    _find_in_map,
    check=_check_find,
)


def _get_azs(name: str, args: Any, scope: Scope) -> list[str]:
    return scope.zones()


get_azs = Function("Fn::GetAZs", "A function for retrieving the availability zones.", _get_azs)


def _check_select(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        raise ValueError(f'Arguments to "{name}" must be of the form [index, collection]')


def _select(name: str, args: Any, scope: Scope) -> Any:
    index, source = args
    if source is None or source == "":
        return ""
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except ValueError as error:
            raise ValueError(f'"{name}": {error}') from None
    if isinstance(source, dict):
        if not isinstance(index, str):
            raise TypeError(f'Index to "{name}" must be a string')
    elif isinstance(source, list):
        if not str(index).lstrip("-").isdecimal():
            raise TypeError(f'Index to "{name}" must be an integer')
    else:
        raise TypeError(f"Arguments to {name} not fully resolved")
    found = select(source, [index])
    return "" if found is None else found


fn_select = Function(
    "Fn::Select", "A function for selecting an item from a list or map.", _select, check=_check_select
)


def _check_split(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        raise ValueError(f'Incorrect arguments to "{name}" should be: "{name}" : [ ",", "str1,str2"]]')


def _split(name: str, args: Any, scope: Scope) -> list[str]:
    delimiter, text = args
    if not isinstance(delimiter, str) or not delimiter:
        raise TypeError(f"Delimiter for {name} must be string")
    if not isinstance(text, str):
        raise TypeError(f"String to split must be string; got {type(text).__name__}")
    return text.split(delimiter)


split = Function("Fn::Split", "A function for splitting strings.", _split, check=_check_split)


def _check_replace(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        example = f'{{"{name}": [ {{"$var1": "foo", "%var2%": "bar"}}, "$var1 is %var2%"]}}'
        raise TypeError(f'Incorrect arguments to "{name}" should be: {example}')
    if not isinstance(args[0], dict | Call):
        raise TypeError(f'"{name}" parameters must be a mapping')


def _replace(name: str, args: Any, scope: Scope) -> str:
    return replace_in(name, args[1], args[0], as_json=False, strict=False, filled=False)


fn_replace = Function(
    "Fn::Replace", "A function for performing string substitutions.", _replace, check=_check_replace
)


def _base64(name: str, args: Any, scope: Scope) -> str:
    if not isinstance(args, str):
        raise TypeError(f'"{name}" argument must be a string')
    return args


base64 = Function(
    "Fn::Base64",
    "A placeholder function for converting to base64: user data is accepted as plain text.",
    _base64,
)


def _check_members(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 3:
        raise TypeError(
            f"Wrong Arguments try: \"{{'{name}': ['Name', 'Value', ['.member.0.Name=key', "
            "'.member.0.Value=door']]}\""
        )
    for what, one in (("Key", args[0]), ("Value", args[1])):
        if not isinstance(one, str):
            raise TypeError(f"{name} {what} Name must be a string")


def _member_list_to_map(name: str, args: Any, scope: Scope) -> dict[str, str]:
    key_name, value_name, members = args
    if not isinstance(members, list):
        raise TypeError("Member list must be a list")
    found: dict[str, dict[str, str]] = {}
    for member in members:
        if not isinstance(member, str):
            raise TypeError("Member list items must be strings")
        place, _, value = member.partition("=")
        start, _, field = place.rpartition(".")
        found.setdefault(start, {})[field] = value
    pairs = (found[start] for start in sorted(found) if start.startswith(".member."))
    return {pair[key_name]: pair[value_name] for pair in pairs if key_name in pair and value_name in pair}


member_list_to_map = Function(
    "Fn::MemberListToMap",
    "A function to convert lists with enumerated keys and values to mapping.",
    _member_list_to_map,
    check=_check_members,
)

fn_if = replace(logic.if_, name="Fn::If")
fn_equals = replace(logic.equals, name="Fn::Equals")
fn_and = replace(logic.and_, name="Fn::And")
fn_or = replace(logic.or_, name="Fn::Or")
