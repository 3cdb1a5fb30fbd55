"""Functions on lists and maps."""

from itertools import product
from math import prod
from typing import Any

from ..snippets import Call, Function, Scope
from .strings import check_length

_MOST_REPETITIONS = 10_000
_NODE_COST = 8  # a value of any kind counts as so many characters

# -- repeat


def _check_repeat(name: str, args: Any) -> None:
    if not isinstance(args, dict):
        raise TypeError(f'Arguments to "{name}" must be a map')
    if "for_each" not in args or "template" not in args:
        raise KeyError(
            f'"{name}" syntax should be {name}:\n  template: This is %var%\n  for_each:\n'
            "    %var%: ['a', 'b', 'c']"
        )
    if not isinstance(args["for_each"], dict | Call):
        raise TypeError(f'The "for_each" argument to "{name}" must contain a map')


def _check_repeat_permutations(name: str, args: Any) -> None:
    _check_repeat(name, args)
    if not isinstance(args.get("permutations", True), bool | Call):
        raise TypeError(f'"permutations" should be boolean type for {name} function.')


def _repeater(*, maps: bool, permutations: bool) -> Function:
    def evaluate(name: str, args: Any, scope: Scope) -> list[Any]:
        nested = args.get("permutations", True) if permutations else True
        if not isinstance(nested, bool):
            raise TypeError(f'"permutations" should be boolean type for {name} function.')
        return _repeat(name, args["template"], args["for_each"], nested, maps and nested)

    check = _check_repeat_permutations if permutations else _check_repeat
    return Function("repeat", "A function for iterating over a list of items.", evaluate, check=check)


def _repeat(name: str, template: Any, for_each: Any, nested: bool, maps: bool) -> list[Any]:
    if not isinstance(for_each, dict):
        raise TypeError(f'The "for_each" argument to "{name}" must contain a map')
    values: list[list[Any]] = []
    for items in for_each.values():
        if not isinstance(items, (list, dict) if maps else list) and items is not None:
            allowed = "lists or maps" if maps else "lists"
            raise TypeError(f'The values of the "for_each" argument to "{name}" must be {allowed}')
        values.append(list(items or ()))
    if nested:
        if prod(map(len, values)) > _MOST_REPETITIONS:
            raise ValueError(f'"{name}" would repeat its template more than {_MOST_REPETITIONS} times')
    elif len({len(items) for items in values}) > 1:
        raise ValueError(f"For {name}, the length of for_each values should be equal if no nested loop.")
    rounds = product(*values) if nested else zip(*values, strict=True)
    filler = _Filler()
    return [filler.fill(template, list(zip(for_each, chosen, strict=True))) for chosen in rounds]


class _Filler:
    """Puts items into copies of a template, and counts how much comes of it."""

    def __init__(self) -> None:
        self._characters = 0

    def fill(self, template: Any, pairs: list[tuple[str, Any]]) -> Any:
        self._characters += _NODE_COST
        if isinstance(template, str):
            return self._fill_text(template, pairs)
        check_length(self._characters)
        if isinstance(template, list):
            return [self.fill(item, pairs) for item in template]
        if isinstance(template, dict):
            return {_key(self.fill(key, pairs)): self.fill(item, pairs) for key, item in template.items()}
        return template

    def _fill_text(self, text: str, pairs: list[tuple[str, Any]]) -> Any:
        """An item that is no string may stand for a whole string, not for a part of one."""
        for key, value in pairs:
            if text == key and not isinstance(value, str):
                return value
            if key and key in text:
                if not isinstance(value, str | int | float):
                    raise TypeError(f'The value for "{key}" cannot be put into the string "{text:.200}"')
                check_length(self._characters + text.count(key) * len(str(value)))
                text = text.replace(key, str(value))
        self._characters += len(text)
        check_length(self._characters)
        return text


def _key(value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError("The value for a key must be a string")
    return str(value)


repeat_lists = _repeater(maps=False, permutations=False)
"""Until 2016-04-08."""

repeat_maps = _repeater(maps=True, permutations=False)
"""From 2016-10-14: a map is gone through by its keys."""

repeat = _repeater(maps=True, permutations=True)
"""From 2017-09-01: `permutations: false` goes through all lists side by side."""


# -- map_merge, map_replace


def _map_merge(name: str, args: Any, scope: Scope) -> dict[str, Any]:
    if not isinstance(args, list):
        raise TypeError(
            f'Incorrect arguments to "{name}" should be: '
            f'"{name}" : [ {{ "key1": "val1" }}, {{ "key2": "val2" }} ]'
        )
    merged: dict[str, Any] = {}
    for one in args:
        if not isinstance(one, dict | None):
            raise TypeError("Incorrect arguments: Items to merge must be maps.")
        merged.update(one or {})
    return merged


def _map_replace(name: str, args: Any, scope: Scope) -> dict[str, Any]:
    usage = (
        f'Incorrect arguments to "{name}" should be: "{name}" : [ {{ "key1": "val1" }}, '
        '{"keys": {"key1": "key2"}, "values": {"val1": "val2"}}]'
    )
    if not isinstance(args, list) or len(args) != 2 or not all(isinstance(one, dict | None) for one in args):
        raise TypeError(usage)
    source, changes = args[0] or {}, args[1] or {}
    keys, values = changes.get("keys") or {}, changes.get("values") or {}
    if set(changes) - {"keys", "values"} or not isinstance(keys, dict) or not isinstance(values, dict):
        raise ValueError(usage)
    result: dict[str, Any] = {}
    for key, value in source.items():
        new = keys.get(key)
        if new is None:
            new = key
        elif new in source and new != key:
            raise ValueError(f"key replacement {new} collides with a key in the input map")
        elif new in result:
            raise ValueError(f"key replacement {new} collides with a key in the output map")
        result[new] = _replaced_value(value, values)
    return result


def _replaced_value(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, dict | list):
        return value
    if value is True or value is False:
        name = "true" if value else "false"
    else:
        name = "null" if value is None else str(value)
    return values.get(name, value)


map_merge = Function("map_merge", "A function for merging maps.", _map_merge)
map_replace = Function("map_replace", "A function for performing substitutions on maps.", _map_replace)


# -- list_concat, filter, contains


def _concat(name: str, args: Any) -> list[Any]:
    if not isinstance(args, list):
        raise TypeError(
            f'Incorrect arguments to "{name}" should be: '
            f'"{name}" : [ [ <value 1>, <value 2> ], [ <value 3>, <value 4> ] ]'
        )
    items: list[Any] = []
    for one in args:
        if not isinstance(one, list | None):
            raise TypeError("Incorrect arguments: Items to concat must be lists.")
        items += one or []
    return items


def _list_concat(name: str, args: Any, scope: Scope) -> list[Any]:
    return _concat(name, args)


def _list_concat_unique(name: str, args: Any, scope: Scope) -> list[Any]:
    """Of equal items the last one stays, as in Heat."""
    kept: dict[Any, Any] = {}
    for item in reversed(_concat(name, args)):
        kept.setdefault(_frozen(item), item)
    return list(kept.values())[::-1]


def _frozen(value: Any) -> Any:
    """Equal for equal values, and quick to find again."""
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    return value


list_concat = Function("list_concat", "A function for extending lists.", _list_concat)
list_concat_unique = Function(
    "list_concat_unique", "A function for extending lists with unique items.", _list_concat_unique
)


def _check_filter(name: str, args: Any) -> None:
    if not isinstance(args, list):
        raise TypeError(f'Argument to "{name}" must be a list')
    if len(args) != 2:
        raise ValueError(
            f'"{name}" expected 2 arguments of the form [values, sequence]'
            f" but got {len(args)} arguments instead"
        )


def _filter(name: str, args: Any, scope: Scope) -> Any:
    values, sequence = args
    if not sequence:
        return sequence
    if not isinstance(sequence, list):
        raise TypeError(f'"{name}" only works with lists')
    if not values:
        return sequence
    if not isinstance(values, list):
        raise TypeError(f'"{name}" filters a list of values')
    unwanted = {_frozen(one) for one in values}
    return [item for item in sequence if _frozen(item) not in unwanted]


filter_ = Function("filter", "A function for filtering out values from lists.", _filter, check=_check_filter)


def _check_contains(name: str, args: Any) -> None:
    if not args or not isinstance(args, list):
        raise TypeError(
            f'Incorrect arguments to "{name}" should be: "{name}" : [ "value1", [ "value1", "value2"]]'
        )
    if len(args) != 2:
        raise ValueError(f'Arguments to "{name}" must be of the form: [value1, [value1, value2]]')


def _contains(name: str, args: Any, scope: Scope) -> bool:
    value, sequence = args
    if isinstance(sequence, str) and isinstance(value, str):
        return value in sequence
    if not isinstance(sequence, list):
        raise TypeError(f'Second argument to "{name}" should be a sequence.')
    return value in sequence


contains = Function(
    "contains",
    "A function for checking whether specific value is in sequence.",
    _contains,
    check=_check_contains,
)
