"""Functions that bring something in: parameters, resources, attributes, files."""

from typing import Any

from ..errors import Path, UserParameterMissing
from ..snippets import Call, Function, Reference, Scope, select


def _split_param(name: str, args: Any) -> tuple[str, list[Any]]:
    if not args:
        raise ValueError(f'Function "{name}" must have arguments')
    if isinstance(args, str):
        return args, []
    if not isinstance(args, list):
        raise TypeError(f'Argument to "{name}" must be string or list')
    if not isinstance(args[0], str):
        raise TypeError(f'Parameter name in "{name}" must be string')
    return args[0], args[1:]


def _check_param(name: str, args: Any) -> None:
    if isinstance(args, Call) or (isinstance(args, list) and args and isinstance(args[0], Call)):
        return
    _split_param(name, args)


def _get_param(name: str, args: Any, scope: Scope) -> Any:
    param, path = _split_param(name, args)
    try:
        value = scope.param(param)
    except KeyError:
        raise UserParameterMissing(param) from None
    if not path:
        return value
    found = select(value, path)
    return "" if found is None else found


def _refer_param(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    return Reference("param", _split_param(name, args)[0], path)


get_param = Function(
    "get_param",
    "A function for resolving parameter references.",
    _get_param,
    check=_check_param,
    refer=_refer_param,
)


def _get_resource(name: str, args: Any, scope: Scope) -> Any:
    return scope.reference_id(args)


def _refer_resource(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    return Reference("resource", args, path)


def _check_resource(name: str, args: Any) -> None:
    if not isinstance(args, str | Call) or not args:
        raise TypeError(f'Argument to "{name}" must be the name of a resource')


get_resource = Function(
    "get_resource",
    "A function for resolving resource references.",
    _get_resource,
    check=_check_resource,
    refer=_refer_resource,
)


def _check_attr(name: str, args: Any) -> None:
    if not isinstance(args, list):
        raise TypeError(f'Argument to "{name}" must be a list')
    if len(args) < 2:
        raise ValueError(f'Arguments to "{name}" must be of the form [resource_name, attribute, (path), ...]')


def _check_attr_or_all(name: str, args: Any) -> None:
    if not args:
        raise ValueError(
            f'Arguments to "{name}" can be of the next forms: [resource_name] or '
            "[resource_name, attribute, (path), ...]"
        )
    if not isinstance(args, list):
        raise TypeError(f'Argument to "{name}" must be a list')


def _get_attr(name: str, args: Any, scope: Scope) -> Any:
    return scope.attribute(args[0], args[1] if len(args) > 1 else None, args[2:])


def _get_attr_then_select(name: str, args: Any, scope: Scope) -> Any:
    value = scope.attribute(args[0], args[1], ())
    return None if value is None else select(value, args[2:])


def _refer_attr(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    attribute, keys = (args[1] if len(args) > 1 else None), args[2:]
    if not isinstance(attribute, str | None):
        raise TypeError(f'Attribute name in "{name}" must be a string')
    if not all(isinstance(key, str | int | None) for key in keys):
        raise TypeError(f'Path components in "{name}" must be strings')
    known = keys.index(None) if None in keys else len(keys)
    return Reference("attribute", args[0], path, attribute, tuple(keys[:known]))


_ATTR = "A function for resolving resource attributes."

get_attr_then_select = Function(
    "get_attr", _ATTR, _get_attr_then_select, check=_check_attr, refer=_refer_attr
)
"""2013-05-23: the whole attribute is fetched and the path followed afterwards."""

get_attr = Function("get_attr", _ATTR, _get_attr, check=_check_attr, refer=_refer_attr)
"""From 2014-10-16: the resource sees the path."""

get_attr_or_all = Function("get_attr", _ATTR, _get_attr, check=_check_attr_or_all, refer=_refer_attr)
"""From 2015-10-15: without an attribute name, a map of all of them."""


def _check_file(name: str, args: Any) -> None:
    if not isinstance(args, str | Call):
        raise TypeError(f'Argument to "{name}" must be a string')


def _get_file(name: str, args: Any, scope: Scope) -> str:
    _check_file(name, args)
    content = scope.file(args)
    if content is None:
        raise ValueError(f'No content found in the "files" section for {name} path: {args}')
    return content


def _refer_file(name: str, args: Any, path: Path, scope: Scope) -> Reference:
    return Reference("file", args, path)


get_file = Function(
    "get_file", "A function for including a file inline.", _get_file, check=_check_file, refer=_refer_file
)

_FACADE = {
    "metadata": "metadata",
    "deletion_policy": "deletion_policy",
    "update_policy": "update_policy",
}
_FACADE_CFN = {
    "Metadata": "metadata",
    "DeletionPolicy": "deletion_policy",
    "UpdatePolicy": "update_policy",
}


def _facade(name: str, kinds: dict[str, str]) -> Function:
    def check(name: str, args: Any) -> None:
        if not isinstance(args, str) or args not in kinds:
            raise ValueError(f'Incorrect arguments to "{name}" should be one of: {", ".join(kinds)}')

    def evaluate(name: str, args: Any, scope: Scope) -> Any:
        return scope.facade(kinds[args])

    summary = "A function for retrieving data in a parent provider template."
    return Function(name, summary, evaluate, check=check)


resource_facade = _facade("resource_facade", _FACADE)
resource_facade_cfn = _facade("Fn::ResourceFacade", _FACADE_CFN)
