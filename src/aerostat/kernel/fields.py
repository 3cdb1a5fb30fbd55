"""Fields: what a resource is made of, said once.

From the fields of a resource come the JSON schema of its bodies, its view, its filters and sort keys, per
microversion. A field that changes over microversions says so with `changed`; one that appears or goes says
`since` or `until`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import jsonschema_rs

from .errors import BadRequest
from .http.versions import Version, parse, span

Use = Literal["required", "optional"] | None
MISSING: Any = object()

_JSON_TYPES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    datetime: "string",
}
_TRUE = ("true", "1", "yes", "on", "t", "y")
_FALSE = ("false", "0", "no", "off", "f", "n")


class Field:
    """One field of a resource.

    `create`, `update`: whether a body may or must carry it. `filter`: may be asked for in a list's query.
    `summary`: also in brief lists. `wire`: its name outside, if another. `column`: its column, if another.
    Every field is a column of its table unless it says otherwise: `compute`: `(row, request) -> value`, made from
    others; `stored=False`: the resource puts it into the row before it is shown (`prepare`), or takes it out of the
    body before that is stored. `show=False`: taken in, never shown.
    `policy`: the rule that lets a user see it. `schema`: JSON schema in place of the one made here.
    `default`: for bodies that leave it out; a callable is called.
    """

    def __init__(
        self,
        type: Any = str,
        *,
        create: Use = None,
        update: Use = None,
        filter: bool = False,
        sort: bool | None = None,
        summary: bool = False,
        wire: str | None = None,
        column: str | None = None,
        since: str | None = None,
        until: str | None = None,
        default: Any = MISSING,
        choices: Sequence[Any] | None = None,
        length: tuple[int, int] | None = None,
        pattern: str | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        nullable: bool = False,
        schema: Mapping[str, Any] | None = None,
        policy: str | None = None,
        compute: Callable[[Any, Any], Any] | None = None,
        stored: bool = True,
        show: bool = True,
    ) -> None:
        self.type = type
        self.create: Use = create
        self.update: Use = update
        self.filter = filter
        self.sort = sort
        self.summary = summary
        self.wire = wire or ""
        self.column = column or ""
        self.span = span(since, until)
        self.default = default
        self.choices = choices
        self.length = length
        self.pattern = pattern
        self.minimum = minimum
        self.maximum = maximum
        self.nullable = nullable
        self.schema = schema
        self.policy = policy
        self.compute = compute
        self.stored = stored and compute is None
        self.show = show
        self.name = ""
        self._changes: list[tuple[Version, dict[str, Any]]] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.wire = self.wire or name
        self.column = self.column or name

    def changed(self, version: str, **what: Any) -> "Field":
        """From `version` on, these arguments hold instead."""
        self._changes.append((parse(version), what))
        return self

    def at(self, version: Version) -> "Field | None":
        """The field as it is in `version`, None where it is not."""
        if version not in self.span:
            return None
        overrides: dict[str, Any] = {}
        for since, what in self._changes:
            if version >= since:
                overrides.update(what)
        if not overrides:
            return self
        field = Field.__new__(Field)
        field.__dict__.update(self.__dict__)
        field.__dict__.update(overrides)
        return field

    def json_schema(self, lenient: bool) -> Mapping[str, Any]:
        """The schema of a body's value. `lenient` rooms take numbers and booleans as strings too."""
        if self.schema is not None:
            return self.schema
        schema: dict[str, Any] = {}
        kind: Any = _JSON_TYPES[self.type]
        if lenient and self.type in (int, bool):
            kind = [kind, "string", "integer"] if self.type is bool else [kind, "string"]
        schema["type"] = kind
        if self.choices is not None:
            schema["enum"] = [*self.choices, None] if self.nullable else list(self.choices)
        if self.length is not None:
            schema["minLength"], schema["maxLength"] = self.length
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        if self.nullable:
            schema["type"] = [*([kind] if isinstance(kind, str) else kind), "null"]
        return schema

    def convert(self, value: Any) -> Any:
        """A body's or query's value as the type that is stored. Raises `ValueError`."""
        if value is None or self.schema is not None:
            return value
        if self.type is bool and not isinstance(value, bool):
            word = str(value).strip().lower()
            if word in _TRUE:
                return True
            if word in _FALSE:
                return False
            raise ValueError(f"'{value}' is not a boolean")
        if self.type is int and isinstance(value, str | float):
            number = int(value)
            if self.minimum is not None and number < self.minimum:
                raise ValueError(f"{number} is less than the minimum of {self.minimum:g}")
            if self.maximum is not None and number > self.maximum:
                raise ValueError(f"{number} is greater than the maximum of {self.maximum:g}")
            return number
        return value


class BodySchema:
    """A compiled JSON schema that raises `BadRequest` in a room's words.

    `wording` is a template with `%(path)s`, `%(value)s` and `%(reason)s`.
    """

    __slots__ = ("_check", "_wording", "schema")

    def __init__(self, schema: Mapping[str, Any], wording: str) -> None:
        self.schema = schema
        self._check = jsonschema_rs.validator_for(dict(schema), validate_formats=True)
        self._wording = wording

    def check(self, body: Any) -> None:
        if self._check.is_valid(body):
            return
        error = next(iter(self._check.iter_errors(body)))
        path = ".".join(str(part) for part in error.instance_path) or "body"
        value: Any = body
        for part in error.instance_path:
            value = value[part]
        shown = str(value)
        raise BadRequest(
            self._wording
            % {
                "path": path,
                "value": shown if len(shown) <= 255 else shown[:252] + "...",
                "reason": error.message[:1000],
            }
        )


def object_schema(
    fields: Iterable[Field],
    verb: Literal["create", "update"],
    *,
    envelope: str | None,
    lenient: bool,
    extra: bool = False,
) -> dict[str, Any]:
    """The schema of a create's or update's body. Raises nothing; `fields` are already those of one version."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in fields:
        use = field.create if verb == "create" else field.update
        if use is None:
            continue
        properties[field.wire] = field.json_schema(lenient)
        if use == "required":
            required.append(field.wire)
    inner: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": extra}
    if required:
        inner["required"] = required
    if envelope is None:
        return inner
    return {
        "type": "object",
        "properties": {envelope: inner},
        "required": [envelope],
        "additionalProperties": extra,
    }


def fields_at(fields: Iterable[Field], version: Version) -> list[Field]:
    return [present for field in fields if (present := field.at(version)) is not None]


def read_values(
    fields: Iterable[Field], verb: Literal["create", "update"], body: Mapping[str, Any]
) -> dict[str, Any]:
    """A checked body as `{field name: value}`, with the defaults of a create filled in. Raises `BadRequest`."""
    values: dict[str, Any] = {}
    for field in fields:
        use = field.create if verb == "create" else field.update
        if use is None:
            continue
        if field.wire in body:
            try:
                values[field.name] = field.convert(body[field.wire])
            except ValueError as error:
                raise BadRequest(f"Invalid input for {field.wire}. Reason: {error}.") from None
        elif verb == "create" and field.default is not MISSING:
            values[field.name] = field.default() if callable(field.default) else field.default
    return values
