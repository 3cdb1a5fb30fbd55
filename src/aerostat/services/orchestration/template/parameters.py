"""Parameters: what a template asks for, and the values that a stack was given."""

import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import constraints as rules
from .constraints import BOOLEAN, JSON, LIST, NUMBER, STRING, Constraint, CustomConstraint
from .errors import InvalidSchemaError, StackValidationFailed, UnknownUserParameter, UserParameterMissing
from .versions import Version

CheckCustom = Callable[[str, Any], Awaitable[str | None]]
"""`await check(constraint_name, value)`: None when the value may stand, else the reason, such as
"The Key (x) could not be found."; LookupError when there is no constraint of that name."""

HIDDEN = "******"
_SHORTEST_SECRET = 6  # from here on a secret is taken out wherever it stands

_HOT_TYPES = {
    "string": STRING,
    "number": NUMBER,
    "comma_delimited_list": LIST,
    "json": JSON,
    "boolean": BOOLEAN,
}
_NEUTRAL: dict[str, Any] = {STRING: "", NUMBER: 0, LIST: [], JSON: {}, BOOLEAN: False}
_CFN_TYPES = {name: name for name in _HOT_TYPES.values()}
_HOT_KEYS = ("type", "description", "default", "schema", "constraints", "hidden", "label", "immutable")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackIdentity:
    """What pseudo parameters tell a template about the stack that it is made into."""

    name: str = ""
    id: str = ""
    project_id: str = ""
    region: str = ""
    arn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSchema:
    """The definition of one parameter. `type` is spelled as on the wire: String, Number, Json …"""

    name: str
    type: str
    type_word: str
    description: str | None = None
    default: Any = None
    hidden: bool = False
    label: str | None = None
    immutable: bool = False
    tags: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def view(self, default: Any = None, value: Any = None) -> dict[str, Any]:
        """The form that template-validate answers; `default` is an environment's, which goes before ours."""
        shown: dict[str, Any] = {
            "Type": self.type,
            "Description": self.description or "",
            "NoEcho": "true" if self.hidden else "false",
            "Label": self.label or self.name,
        }
        default = self.default if default is None else default
        if default is not None:
            shown["Default"] = default
        if value:
            shown["Value"] = value
        if self.tags:
            shown["Tags"] = list(self.tags)
        for constraint in self.constraints:
            shown |= constraint.view()
        told = [constraint.description for constraint in self.constraints if constraint.description]
        if told:
            shown["ConstraintDescription"] = " ".join(told)
        return shown

    def parse(self, value: Any) -> Any:
        """The given value as functions see it. Raises ValueError."""
        if self.type == NUMBER:
            return rules.to_number(value)
        if self.type == BOOLEAN:
            return rules.to_boolean(value)
        if self.type == LIST:
            return _to_list(value)
        if self.type == JSON:
            return _to_json(value)
        if isinstance(value, dict | list):
            raise ValueError("Value must be a string")
        return str(value)

    def check(self, value: Any, watch: rules.Stopwatch) -> Any:
        """Parse and hold against all constraints but the custom ones. Raises StackValidationFailed."""
        try:
            parsed = self.parse(value)
            for constraint in self.constraints:
                watch.look()
                complaint = constraint.complaint(parsed, self.type)
                if complaint is not None:
                    raise ValueError(constraint.description or complaint)
        except ValueError as error:
            raise self.refusal(error) from None
        return parsed

    def refusal(self, why: object) -> StackValidationFailed:
        """The error that says that this parameter's value cannot stand."""
        return StackValidationFailed(f"Parameter '{self.name}' is invalid: {why}")


def _to_list(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    if not isinstance(value, str):
        raise ValueError(f"Value must be a comma-delimited list string: {value!r}")
    return value.split(",") if value else []


def _to_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Value must be valid JSON: {error}") from None


# -- reading definitions


def read_schemas(section: Any, version: Version) -> dict[str, ParameterSchema]:
    """The parameters section. Raises InvalidSchemaError, with the parameter's name in the message."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise StackValidationFailed(
            f'"{version.dialect.parameters}" must be a map', (version.dialect.parameters,)
        )
    read = _read_cfn if version.dialect.kind == "cfn" else _read_hot
    schemas = {}
    watch = rules.Stopwatch()
    for name, definition in section.items():
        try:
            schema = schemas[name] = read(name, definition, version)
            _check_schema(schema, watch)
        except InvalidSchemaError as error:
            raise InvalidSchemaError(f"Parameter '{name}' is invalid: {error.message}") from None
    return schemas


def _read_hot(name: str, definition: Any, version: Version) -> ParameterSchema:
    rules.check_keys(definition, _HOT_KEYS + (("tags",) if version.has_tags else ()), f"parameter ({name})")
    listed = definition.get("constraints")
    if not isinstance(listed, list | None):
        raise InvalidSchemaError(f"Invalid parameter constraints for parameter {name}, expected a list")
    tags = definition.get("tags", [])
    if not isinstance(tags, list):
        raise InvalidSchemaError(f"Tags property should be a list for parameter: {name}")
    return ParameterSchema(
        name=name,
        type=_type(name, definition, "type", _HOT_TYPES),
        type_word=definition["type"],
        description=definition.get("description"),
        default=definition.get("default"),
        hidden=_flag(definition, "hidden"),
        label=definition.get("label"),
        immutable=_flag(definition, "immutable"),
        tags=tuple(tags),
        constraints=tuple(rules.read_constraint(one, version.has_modulo) for one in listed or ()),
    )


def _read_cfn(name: str, definition: Any, version: Version) -> ParameterSchema:
    keys = (
        *("Type", "Default", "NoEcho", "AllowedValues", "AllowedPattern", "MaxLength", "MinLength"),
        *("MaxValue", "MinValue", "Description", "ConstraintDescription", "Label"),
    )
    rules.check_keys(definition, keys, f"parameter ({name})")
    get = definition.get
    told = get("ConstraintDescription")
    found: list[Constraint] = []
    if "MinValue" in definition or "MaxValue" in definition:
        found.append(rules.make_range(get("MinValue"), get("MaxValue"), told))
    if "MinLength" in definition or "MaxLength" in definition:
        found.append(rules.make_length(get("MinLength"), get("MaxLength"), told))
    if "AllowedValues" in definition:
        found.append(rules.make_allowed_values(get("AllowedValues"), told))
    if "AllowedPattern" in definition:
        found.append(rules.make_allowed_pattern(get("AllowedPattern"), told))
    return ParameterSchema(
        name=name,
        type=_type(name, definition, "Type", _CFN_TYPES),
        type_word=definition["Type"],
        description=get("Description"),
        default=get("Default"),
        hidden=str(get("NoEcho", "false")).lower() == "true",
        label=get("Label"),
        constraints=tuple(found),
    )


def _type(name: str, definition: Mapping[str, Any], key: str, types: Mapping[str, str]) -> str:
    if key not in definition:
        raise InvalidSchemaError(f"Missing parameter type for parameter: {name}")
    word = definition[key]
    if not isinstance(word, str) or word not in types:
        raise InvalidSchemaError(f"Invalid type ({word})")
    return types[word]


def _flag(definition: Mapping[str, Any], key: str) -> bool:
    try:
        return rules.to_boolean(definition.get(key, False))
    except ValueError as error:
        raise InvalidSchemaError(f"{key}: {error}") from None


def _check_schema(schema: ParameterSchema, watch: rules.Stopwatch) -> None:
    for constraint in schema.constraints:
        if schema.type not in constraint.types:
            raise InvalidSchemaError(f"{type(constraint).__name__} constraint invalid for {schema.type_word}")
    if schema.default is None:
        return
    complaints = []
    try:
        parsed = schema.parse(schema.default)
        for one in schema.constraints:
            watch.look()
            complaint = one.complaint(parsed, schema.type)
            if complaint is not None:
                complaints.append(one.description or complaint)
                break
    except ValueError as error:
        complaints = [str(error)]
    if complaints:
        if schema.hidden:
            raise InvalidSchemaError("Invalid default")
        raise InvalidSchemaError(f"Invalid default {schema.default} ({complaints[0]})")


def read_groups(section: Any, schemas: Mapping[str, ParameterSchema]) -> list[dict[str, Any]]:
    """The parameter_groups section, as it is shown. Raises StackValidationFailed."""
    if section is None:
        return []
    label = "Parameter Groups error"
    if not isinstance(section, list):
        raise StackValidationFailed("The parameter_groups should be a list.", ("parameter_groups",), label)
    seen: set[str] = set()
    for index, group in enumerate(section):
        path = ("parameter_groups", index)
        if not isinstance(group, dict) or group.get("parameters") is None:
            raise StackValidationFailed(
                "The parameters must be provided for each parameter group.", path, label
            )
        if not isinstance(group["parameters"], list):
            raise StackValidationFailed("The parameters of parameter group should be a list.", path, label)
        for name in group["parameters"]:
            if name not in schemas:
                raise StackValidationFailed(
                    f"The grouped parameter {name} does not reference a valid parameter.", path, label
                )
            if name in seen:
                raise StackValidationFailed(
                    f"The {name} parameter must be assigned to one parameter group only.", path, label
                )
            seen.add(name)
    return section


# -- values


class Parameters(Mapping[str, Any]):
    """The values of a stack's parameters, pseudo parameters among them.

    A value comes from `given`, else from `defaults` (an environment's parameter_defaults), else from the
    schema. Lookup raises KeyError for a parameter that does not exist and UserParameterMissing for one
    without a value. Nothing is checked before `check` or `check_custom` is called, so that a stack can be
    shown whose values have become invalid.
    """

    def __init__(
        self,
        schemas: Mapping[str, ParameterSchema],
        given: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        pseudo: Mapping[str, str] | None = None,
    ) -> None:
        self.schemas = schemas
        self.given = dict(given)
        self.defaults = {name: value for name, value in (defaults or {}).items() if value is not None}
        self.pseudo = dict(pseudo or {})
        self._parsed: dict[str, Any] = dict(self.pseudo)

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            schema = self.schemas[name]
            try:
                self._parsed[name] = schema.parse(self.raw(name))
            except ValueError as error:
                raise schema.refusal(error) from None
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.pseudo
        yield from self.schemas

    def __len__(self) -> int:
        return len(self.pseudo) + len(self.schemas)

    def __contains__(self, name: object) -> bool:
        return name in self.schemas or name in self.pseudo

    def has_value(self, name: str) -> bool:
        """Whether the parameter was given or has a default."""
        return self._find(name) is not None

    def raw(self, name: str) -> Any:
        """The value as it was written. Raises UserParameterMissing."""
        value = self._find(name)
        if value is None:
            raise UserParameterMissing(name)
        return value

    def _find(self, name: str) -> Any:
        for source in (self.given, self.defaults):
            if source.get(name) is not None:
                return source[name]
        return self.schemas[name].default

    def with_placeholders(self) -> "Parameters":
        """The same with a neutral value of the right type for each that is missing.

        For looking at a template without values, as template-validate does: conditions come to something.
        """
        missing = {
            name: _NEUTRAL[schema.type] for name, schema in self.schemas.items() if not self.has_value(name)
        }
        return Parameters(self.schemas, self.given, self.defaults | missing, self.pseudo)

    def check(self, values_needed: bool = True) -> None:
        """All but custom constraints. Raises UnknownUserParameter, UserParameterMissing,
        StackValidationFailed.

        `values_needed=False` lets parameters be missing, as template-validate does.
        """
        for name in self.given:
            if name not in self.schemas:
                raise UnknownUserParameter(name)
        watch = rules.Stopwatch()
        for name, schema in self.schemas.items():
            if values_needed or self.has_value(name):
                schema.check(self.raw(name), watch)

    async def check_custom(self, check: CheckCustom) -> None:
        """Ask about each custom constraint; of a list, about each item. Raises StackValidationFailed."""
        for name, schema in self.schemas.items():
            for constraint in schema.constraints:
                if isinstance(constraint, CustomConstraint) and self.has_value(name):
                    value = self[name]
                    for item in value if isinstance(value, list) else [value]:
                        complaint = await _ask(check, constraint.name, item)
                        if complaint is not None:
                            raise schema.refusal(constraint.description or complaint)

    def texts(self) -> dict[str, str]:
        """Every value as a string, as a stack is shown; hidden ones are `******`, missing ones left out."""
        shown = dict(self.pseudo)
        for name, schema in self.schemas.items():
            if self.has_value(name):
                shown[name] = HIDDEN if schema.hidden else _text(self[name], schema.type)
        return shown

    def conceal(self, text: str) -> str:
        """A message with the values of hidden parameters taken out of it: errors like to quote what they refuse."""
        quoted: set[str] = set()
        for name, schema in self.schemas.items():
            if schema.hidden and self.has_value(name):
                quoted |= set(_texts_in(self.raw(name), schema))
        for one in sorted(quoted, key=len, reverse=True):
            if len(one) >= _SHORTEST_SECRET:
                text = text.replace(one, HIDDEN)
            else:  # only as a word of its own: a secret of "1" would take the message apart
                text = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", HIDDEN, text)
        return text

    def views(self) -> dict[str, dict[str, Any]]:
        """The schemas of all parameters, as template-validate answers them."""
        return {
            name: schema.view(self.defaults.get(name), self.given.get(name))
            for name, schema in self.schemas.items()
        }

    def changed_immutable(self, old: "Parameters") -> list[str]:
        """Names of immutable parameters whose value is not what it was in `old`."""
        return [
            name
            for name, schema in self.schemas.items()
            if schema.immutable and name in old.schemas and _value(self, name) != _value(old, name)
        ]


def _texts_in(value: Any, schema: ParameterSchema) -> Iterator[str]:
    """The strings by which a value may be quoted: written, parsed, and each member of a list or map."""
    left = [value]
    with contextlib.suppress(ValueError):
        left.append(schema.parse(value))
    while left:
        one = left.pop()
        if isinstance(one, dict | list):
            left.extend(one.values() if isinstance(one, dict) else one)
        elif one is not None and not isinstance(one, bool) and str(one):
            yield str(one)
            yield repr(str(one))[1:-1]
            yield json.dumps(str(one))[1:-1]


def _value(parameters: Parameters, name: str) -> Any:
    return parameters[name] if parameters.has_value(name) else None


def _text(value: Any, kind: str) -> str:
    if kind == LIST:
        return ",".join(value)
    return json.dumps(value) if kind == JSON else str(value)


async def _ask(check: CheckCustom, name: str, value: Any) -> str | None:
    try:
        reason = await check(name, value)
    except LookupError:
        return f'"{value}" does not validate {name} (constraint not found)'
    return None if reason is None else f"Error validating value '{value}': {reason}"


def pseudo_parameters(stack: StackIdentity, version: Version) -> dict[str, str]:
    """The parameters that every template has without saying so."""
    if version.dialect.kind == "cfn":
        return {
            "AWS::StackId": stack.arn or stack.id,
            "AWS::StackName": stack.name,
            "AWS::Region": stack.region,
        }
    return {
        "OS::stack_id": stack.id,
        "OS::stack_name": stack.name,
        "OS::project_id": stack.project_id,
        "OS::region": stack.region,
    }
