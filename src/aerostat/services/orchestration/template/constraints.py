"""Constraints: what values a parameter may have. Wording of messages is Heat's."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import regex

from .errors import InvalidSchemaError, RequestLimitExceeded

STRING, NUMBER, LIST, JSON, BOOLEAN = "String", "Number", "CommaDelimitedList", "Json", "Boolean"

# Patterns are the user's: the standard library's would hold up the whole process on one that backtracks.
MATCH_LIMIT_S = 0.1

CHECK_LIMIT_S = 1.0
"""Of CPU, for all constraints of a template together: each pattern has its limit, but there may be many."""

_TRUE = {"t", "true", "on", "y", "yes", "1"}
_FALSE = {"f", "false", "off", "n", "no", "0"}


def to_number(value: Any) -> int | float:
    """A number, or a string that writes one. ValueError otherwise; infinite is not a number."""
    if isinstance(value, int | float):
        number = value
    elif isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = float(value)
    else:
        raise ValueError(f"{value!r} is not a number")
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{value!r} is not a number")
    return number


def to_boolean(value: Any) -> bool:
    """True or false in one of the words that Heat takes for it. ValueError otherwise."""
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        listed = ", ".join(f"'{one}'" for one in sorted(_TRUE | _FALSE))
        raise ValueError(f"Unrecognized value '{value}', acceptable values are: {listed}")
    return word in _TRUE


def to_type(value: Any, kind: str) -> Any:
    """The value as the parameter's type has it, for comparing. ValueError when it cannot be."""
    try:
        if kind == NUMBER:
            return to_number(value)
        if kind == BOOLEAN:
            return to_boolean(value)
    except ValueError:
        raise ValueError(f'Value "{value}" is invalid for data type "{kind.lower()}".') from None
    return str(value) if kind == STRING else value


class Stopwatch:
    """Ends a look at many constraints that takes too long altogether."""

    def __init__(self) -> None:
        self._ends_s = time.thread_time() + CHECK_LIMIT_S

    def look(self) -> None:
        """Raises RequestLimitExceeded when the time is over."""
        if time.thread_time() > self._ends_s:
            raise RequestLimitExceeded("the constraints of the parameters take too long to check")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule. `complaint` gives the sentence when a value breaks it, `view` the keys that clients see."""

    description: str | None

    types = frozenset({STRING, NUMBER, LIST, JSON, BOOLEAN})

    def complaint(self, value: Any, kind: str) -> str | None:
        """None when the value of a parameter of type `kind` may stand."""
        return None

    def view(self) -> dict[str, Any]:
        """Keys and values in the answer of template-validate."""
        return {}


@dataclass(frozen=True, slots=True)
class Range(Constraint):
    """A number between `min` and `max`, both allowed."""

    min: int | float | None
    max: int | float | None

    types = frozenset({NUMBER})

    def complaint(self, value: Any, kind: str) -> str | None:
        if _within(to_number(value), self.min, self.max):
            return None
        return f"{value} is out of range (min: {self.min}, max: {self.max})"

    def view(self) -> dict[str, Any]:
        return _present(MinValue=self.min, MaxValue=self.max)


@dataclass(frozen=True, slots=True)
class Length(Constraint):
    """A string, list or map whose length is between `min` and `max`."""

    min: int | None
    max: int | None

    types = frozenset({STRING, LIST, JSON})

    def complaint(self, value: Any, kind: str) -> str | None:
        length = len(value if isinstance(value, list | dict) else str(value))
        if _within(length, self.min, self.max):
            return None
        return f"length ({length}) is out of range (min: {self.min}, max: {self.max})"

    def view(self) -> dict[str, Any]:
        return _present(MinLength=self.min, MaxLength=self.max)


@dataclass(frozen=True, slots=True)
class Modulo(Constraint):
    """A multiple of `step`, plus `offset`."""

    step: int
    offset: int

    types = frozenset({NUMBER})

    def complaint(self, value: Any, kind: str) -> str | None:
        if to_number(value) % self.step == self.offset:
            return None
        return f"{value} is not a multiple of {self.step} with an offset of {self.offset})"

    def view(self) -> dict[str, Any]:
        return {"Step": self.step, "Offset": self.offset}


@dataclass(frozen=True, slots=True)
class AllowedValues(Constraint):
    """One of some values; for a list, each item is one of them."""

    allowed: tuple[Any, ...]

    types = frozenset({STRING, NUMBER, LIST, BOOLEAN})

    def complaint(self, value: Any, kind: str) -> str | None:
        if isinstance(value, list):
            fine = all(item in self.allowed for item in value)
        else:
            fine = to_type(value, kind) in [to_type(one, kind) for one in self.allowed]
        return None if fine else f'"{value}" is not an allowed value [{", ".join(map(str, self.allowed))}]'

    def view(self) -> dict[str, Any]:
        return {"AllowedValues": list(self.allowed)}


@dataclass(frozen=True, slots=True)
class AllowedPattern(Constraint):
    """A string that a regular expression matches from its first character to its last."""

    pattern: str

    types = frozenset({STRING})

    def complaint(self, value: Any, kind: str) -> str | None:
        text = str(value)
        try:
            match = regex.match(self.pattern, text, timeout=MATCH_LIMIT_S)
        except TimeoutError:
            return f'"{text[:80]}" takes too long to match against pattern "{self.pattern}"'
        if match is not None and match.end() == len(text):
            return None
        return f'"{value}" does not match pattern "{self.pattern}"'

    def view(self) -> dict[str, Any]:
        return {"AllowedPattern": self.pattern}


@dataclass(frozen=True, slots=True)
class CustomConstraint(Constraint):
    """A rule that only the cloud can decide, such as `nova.flavor`: the caller is asked."""

    name: str

    types = frozenset({STRING, NUMBER, LIST, BOOLEAN})

    def view(self) -> dict[str, Any]:
        return {"CustomConstraint": self.name}


def _within(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


# -- reading definitions

_HOT_KEYS = (
    "description",
    "length",
    "range",
    "modulo",
    "allowed_values",
    "allowed_pattern",
    "custom_constraint",
)


def read_constraint(definition: Any, has_modulo: bool) -> Constraint:
    """An item of the `constraints` list of a HOT parameter. Raises InvalidSchemaError."""
    check_keys(definition, _HOT_KEYS, "parameter constraints")
    description = definition.get("description")
    if has_modulo and "modulo" in definition:
        check_keys(definition["modulo"], ("step", "offset"), "modulo constraint")
        return make_modulo(definition["modulo"].get("step"), definition["modulo"].get("offset"), description)
    if "range" in definition:
        check_keys(definition["range"], ("min", "max"), "range constraint")
        return make_range(definition["range"].get("min"), definition["range"].get("max"), description)
    if "length" in definition:
        check_keys(definition["length"], ("min", "max"), "length constraint")
        return make_length(definition["length"].get("min"), definition["length"].get("max"), description)
    if "allowed_values" in definition:
        return make_allowed_values(definition["allowed_values"], description)
    if "allowed_pattern" in definition:
        return make_allowed_pattern(definition["allowed_pattern"], description)
    if "custom_constraint" in definition:
        name = definition["custom_constraint"]
        if not isinstance(name, str):
            raise InvalidSchemaError("custom_constraint must be a string")
        return CustomConstraint(description, name)
    raise InvalidSchemaError("No constraint expressed")


def check_keys(definition: Any, allowed: tuple[str, ...], what: str) -> None:
    """Refuse what is not a map, and keys that it may not have."""
    if not isinstance(definition, Mapping):
        raise InvalidSchemaError(f"Invalid {what}, expected a mapping")
    for key in definition:
        if key not in allowed:
            raise InvalidSchemaError(f"Invalid key '{key}' for {what}")


def make_range(low: Any, high: Any, description: str | None) -> Range:
    if low is None and high is None:
        raise InvalidSchemaError("A range constraint must have a min value and/or a max value specified.")
    return Range(
        description, _number(low, "min/max must be numeric"), _number(high, "min/max must be numeric")
    )


def make_length(low: Any, high: Any, description: str | None) -> Length:
    if low is None and high is None:
        raise InvalidSchemaError("A length constraint must have a min value and/or a max value specified.")
    return Length(description, _integer(low, "min/max length"), _integer(high, "min/max length"))


def make_modulo(step: Any, offset: Any, description: str | None) -> Modulo:
    if step is None or offset is None:
        raise InvalidSchemaError("A modulo constraint must have a step value and an offset value specified.")
    step, offset = _integer(step, "step/offset"), _integer(offset, "step/offset")
    if step == 0:
        raise InvalidSchemaError("step cannot be 0.")
    if abs(offset) >= abs(step):
        raise InvalidSchemaError("offset must be smaller (by absolute value) than step.")
    if step * offset < 0:
        raise InvalidSchemaError("step and offset must be both positive or both negative.")
    return Modulo(description, step, offset)


def make_allowed_values(allowed: Any, description: str | None) -> AllowedValues:
    if not isinstance(allowed, list):
        raise InvalidSchemaError("AllowedValues must be a list")
    return AllowedValues(description, tuple(allowed))


def make_allowed_pattern(pattern: Any, description: str | None) -> AllowedPattern:
    if not isinstance(pattern, str):
        raise InvalidSchemaError("AllowedPattern must be a string")
    try:
        regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise InvalidSchemaError(f'AllowedPattern "{pattern}" is not a regular expression: {error}') from None
    return AllowedPattern(description, pattern)


def _number(value: Any, complaint: str) -> int | float | None:
    try:
        return None if value is None else to_number(value)
    except ValueError:
        raise InvalidSchemaError(complaint) from None


def _integer(value: Any, what: str) -> int:
    number = _number(value, f"{what} must be numeric")
    if number is None or number == int(number):
        return number  # type: ignore[return-value]
    raise InvalidSchemaError(f"{what} must be {'integral' if 'length' in what else 'integer'}")
