"""Properties and attributes of resource types, as tables, and how values are held against them."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import StackValidationFailed
from ..template import constraints as rules
from ..template.constraints import (
    AllowedPattern,
    AllowedValues,
    Constraint,
    CustomConstraint,
    Length,
    Modulo,
    Range,
)

STRING, INTEGER, NUMBER, BOOLEAN, MAP, LIST, ANY = (
    "string",
    "integer",
    "number",
    "boolean",
    "map",
    "list",
    "any",
)

CheckCustom = Callable[[str, Any], Awaitable[str | None]]

# How constraints call the types of what they look at.
_CONSTRAINT_TYPES = {
    STRING: rules.STRING,
    INTEGER: rules.NUMBER,
    NUMBER: rules.NUMBER,
    BOOLEAN: rules.BOOLEAN,
    LIST: rules.LIST,
    MAP: rules.JSON,
    ANY: rules.JSON,
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a type. `inner` are the keys of a map; `items` what each member of a list is.

    `update`: whether it can change without making the resource anew.
    """

    type: str
    description: str = ""
    required: bool = False
    default: Any = None
    constraints: tuple[Constraint, ...] = ()
    update: bool = False
    immutable: bool = False
    inner: "Mapping[str, Property] | None" = None
    items: "Property | None" = None
    hidden: bool = False

    def view(self) -> dict[str, Any]:
        """As resource_types show it."""
        shown: dict[str, Any] = {
            "type": self.type,
            "required": self.required,
            "update_allowed": self.update,
            "immutable": self.immutable,
        }
        if self.description:
            shown["description"] = self.description
        if self.default is not None:
            shown["default"] = self.default
        if self.constraints:
            shown["constraints"] = [_constraint_view(one) for one in self.constraints]
        if self.inner is not None:
            shown["schema"] = {name: one.view() for name, one in self.inner.items()}
        elif self.items is not None:
            shown["schema"] = {"*": self.items.view()}
        return shown


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a type."""

    description: str
    type: str = STRING

    def view(self) -> dict[str, Any]:
        return {"description": self.description, "type": self.type}


SHOW = Attribute("Detailed information about resource.", MAP)


def text(description: str = "", **options: Any) -> Property:
    return _make(STRING, description, options)


def integer(description: str = "", **options: Any) -> Property:
    return _make(INTEGER, description, options)


def number(description: str = "", **options: Any) -> Property:
    return _make(NUMBER, description, options)


def boolean(description: str = "", **options: Any) -> Property:
    return _make(BOOLEAN, description, options)


def mapping(description: str = "", inner: Mapping[str, Property] | None = None, **options: Any) -> Property:
    return replace(_make(MAP, description, options), inner=inner)


def listing(description: str = "", items: Property | None = None, **options: Any) -> Property:
    return replace(_make(LIST, description, options), items=items)


def anything(description: str = "", **options: Any) -> Property:
    return _make(ANY, description, options)


def _make(kind: str, description: str, options: dict[str, Any]) -> Property:
    """Short names for constraints: `custom`, `allowed`, `between`, `length`, `pattern`."""
    found: list[Constraint] = []
    if (name := options.pop("custom", None)) is not None:
        found.append(CustomConstraint(None, name))
    if (values := options.pop("allowed", None)) is not None:
        found.append(AllowedValues(None, tuple(values)))
    if (span := options.pop("between", None)) is not None:
        found.append(Range(None, *span))
    if (span := options.pop("length", None)) is not None:
        found.append(Length(None, *span))
    if (pattern := options.pop("pattern", None)) is not None:
        found.append(AllowedPattern(None, pattern))
    return Property(kind, description, constraints=tuple(found), **options)


# -- values


@dataclass(slots=True)
class _Reading:
    """One pass over values: what custom constraints are still to be asked about."""

    custom: list[tuple[str, str, Any]] = field(default_factory=list)


def read(
    properties: Mapping[str, Property], given: Mapping[str, Any] | None, path: str
) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
    """Values with defaults, of the right types: every property is there, None when it has no value.

    Also answers the custom constraints to ask about: `(path, constraint, value)`. Raises
    `StackValidationFailed`; `path` is where the properties stand: `resources.port.properties`.
    """
    reading = _Reading()
    return _read_map(properties, given or {}, path, reading), reading.custom


def _read_map(
    properties: Mapping[str, Property], given: Mapping[str, Any], path: str, reading: _Reading
) -> dict[str, Any]:
    for name in given:
        if name not in properties:
            raise _refusal(path, f"Unknown Property {name}")
    values: dict[str, Any] = {}
    for name, one in properties.items():
        value = given.get(name)
        if value is None:
            if one.required and (name not in given or one.type != ANY):
                raise _refusal(path, f"Property {name} not assigned")
            value = one.default
        values[name] = None if value is None else _read_value(one, value, f"{path}.{name}", reading)
    return values


def _read_value(one: Property, value: Any, path: str, reading: _Reading) -> Any:
    try:
        value = _convert(one.type, value)
    except ValueError as error:
        raise _refusal(path, str(error)) from None
    if one.type == MAP and one.inner is not None:
        value = _read_map(one.inner, value, path, reading)
    elif one.type == LIST and one.items is not None:
        value = [
            None if item is None else _read_value(one.items, item, f"{path}[{index}]", reading)
            for index, item in enumerate(value)
        ]
    for constraint in one.constraints:
        if isinstance(constraint, CustomConstraint):
            reading.custom += [
                (path, constraint.name, item) for item in (value if isinstance(value, list) else [value])
            ]
            continue
        complaint = constraint.complaint(value, _CONSTRAINT_TYPES[one.type])
        if complaint is not None:
            raise _refusal(path, constraint.description or complaint)
    return value


def _convert(kind: str, value: Any) -> Any:
    """Raises ValueError in upstream's words."""
    if kind == STRING:
        if isinstance(value, bool | int | float):
            return str(value)
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
    elif kind == INTEGER:
        if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
            raise ValueError(f"Value '{value}' is not an integer")
        try:
            return int(value)
        except (TypeError, ValueError):
            raise ValueError(f"Value '{value}' is not an integer") from None
    elif kind == NUMBER:
        try:
            return rules.to_number(value)
        except ValueError:
            raise ValueError(f"Value '{value}' is not a number") from None
    elif kind == BOOLEAN:
        try:
            return rules.to_boolean(value)
        except ValueError:
            raise ValueError(f'"{value}" is not a valid boolean') from None
    elif kind == MAP:
        if not isinstance(value, dict):
            raise ValueError(f'"{value}" is not a map')
    elif kind == LIST and (isinstance(value, dict) or not isinstance(value, list)):
        raise ValueError(f'"{value}" is not a list')
    return value


def _refusal(path: str, reason: str) -> StackValidationFailed:
    return StackValidationFailed(f"Property error: {path}: {reason}")


def check_names(properties: Mapping[str, Property], given: Iterable[str], path: str) -> None:
    """What can be said before values are known: nothing unknown, nothing missing."""
    names = set(given)
    for name in names:
        if name not in properties:
            raise _refusal(path, f"Unknown Property {name}")
    for name, one in properties.items():
        if one.required and name not in names:
            raise _refusal(path, f"Property {name} not assigned")


def read_one(one: Property, value: Any, path: str) -> list[tuple[str, str, Any]]:
    """Hold one known value against its property; answers the custom constraints to ask about."""
    reading = _Reading()
    if value is not None:
        _read_value(one, value, path, reading)
    elif one.required:
        raise _refusal(path, "Value can not be empty")
    return reading.custom


async def ask(custom: Iterable[tuple[str, str, Any]], check: CheckCustom) -> None:
    """Ask about custom constraints. Raises `StackValidationFailed`."""
    for path, name, value in custom:
        complaint = await check(name, value)
        if complaint is not None:
            raise _refusal(path, f"Error validating value '{value}': {complaint}")


def readable(properties: Mapping[str, Property], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values with defaults; a row may be older than a change of its type."""
    known = {name: value for name, value in stored.items() if name in properties}
    try:
        return read(properties, known, "properties")[0]
    except StackValidationFailed:
        return {**{name: one.default for name, one in properties.items()}, **known}


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Names of properties whose values differ; no value and None are the same."""
    return {name for name in (*old, *new) if old.get(name) != new.get(name)}


def _constraint_view(one: Constraint) -> dict[str, Any]:
    return dict(_constraint_parts(one))


def _constraint_parts(one: Constraint) -> Iterator[tuple[str, Any]]:
    if isinstance(one, Range | Length):
        span = {"min": one.min, "max": one.max}
        yield (
            "range" if isinstance(one, Range) else "length",
            {key: value for key, value in span.items() if value is not None},
        )
    elif isinstance(one, AllowedValues):
        yield "allowed_values", list(one.allowed)
    elif isinstance(one, AllowedPattern):
        yield "allowed_pattern", one.pattern
    elif isinstance(one, Modulo):
        yield "modulo", {"step": one.step, "offset": one.offset}
    elif isinstance(one, CustomConstraint):
        yield "custom_constraint", one.name
    if one.description:
        yield "description", one.description
