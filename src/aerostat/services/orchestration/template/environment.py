"""Environments: parameter values, and which type stands for which resource.

https://docs.openstack.org/heat/latest/template_guide/environment.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from . import constraints as rules
from .constraints import JSON, LIST, NUMBER, STRING
from .errors import (
    ConflictingMergeStrategyForParam,
    InvalidBreakPointHook,
    InvalidMergeStrategyForParam,
    InvalidRestrictedAction,
    InvalidTemplateFormat,
    StackValidationFailed,
)
from .parameters import ParameterSchema
from .text import Limits, load

HOOKS = ("pre-create", "pre-update", "pre-delete", "post-create", "post-update", "post-delete")
RESTRICTED_ACTIONS = ("update", "replace")
_STRATEGIES = ("overwrite", "merge", "deep_merge")
_SECTIONS: dict[str, type] = {
    "parameters": dict,
    "parameter_defaults": dict,
    "resource_registry": dict,
    "encrypted_param_names": list,
    "event_sinks": list,
    "parameter_merge_strategies": dict,
}
_MOST_REDIRECTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment, or several merged into one."""

    parameters: dict[str, Any] = field(default_factory=dict)
    parameter_defaults: dict[str, Any] = field(default_factory=dict)
    resource_registry: dict[str, Any] = field(default_factory=dict)
    encrypted_param_names: list[str] = field(default_factory=list)
    event_sinks: list[Any] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """As stored, and as GET …/environment answers; the registry always has its `resources`."""
        return {
            "parameters": self.parameters,
            "parameter_defaults": self.parameter_defaults,
            "resource_registry": {"resources": {}} | self.resource_registry,
            "encrypted_param_names": self.encrypted_param_names,
            "event_sinks": self.event_sinks,
        }

    def type_for(self, resource_type: str, resource_name: str | None = None) -> str:
        """The type, or the name of the template file, that stands for a type.

        Entries below `resources/<name>` go before those for all resources, a full name before one with a
        star, a longer star before a shorter. A type may be mapped more than once in a row.
        """
        seen = [resource_type]
        while (mapped := self._mapped_once(seen[-1], resource_name)) is not None and mapped not in seen:
            seen.append(mapped)
            if len(seen) > _MOST_REDIRECTIONS or is_template_name(mapped):
                break
        return seen[-1]

    def _mapped_once(self, resource_type: str, resource_name: str | None) -> str | None:
        for table in self._tables(resource_name):
            exact = table.get(resource_type)
            if isinstance(exact, str):
                return exact
            stars = [key for key in table if key.endswith("*") and resource_type.startswith(key[:-1])]
            for key in sorted(stars, key=len, reverse=True):
                target = table[key]
                if isinstance(target, str) and target != resource_type:
                    return target[:-1] + resource_type[len(key) - 1 :] if target.endswith("*") else target
        return None

    def _tables(self, resource_name: str | None) -> Iterator[Mapping[str, Any]]:
        if resource_name is not None:
            yield from self._of_resource(resource_name)
        yield self.resource_registry

    def _of_resource(self, name: str) -> Iterator[Mapping[str, Any]]:
        for pattern, entries in (self.resource_registry.get("resources") or {}).items():
            if isinstance(entries, dict) and fnmatchcase(name, pattern):
                yield entries

    def has_hook(self, resource_name: str, hook: str) -> bool:
        """Whether a resource shall wait before or after an action, as in `pre-create`."""
        return any(hook in _listed(entries.get("hooks")) for entries in self._of_resource(resource_name))

    def restricted_actions(self, resource_name: str) -> frozenset[str]:
        """What must not be done to a resource: `update`, `replace`."""
        found = (_listed(entries.get("restricted_actions")) for entries in self._of_resource(resource_name))
        return frozenset(action for actions in found for action in actions)

    def for_nested(self, resource_name: str) -> "Environment":
        """What a nested stack gets: defaults, registry, and of `resources` what lies below this one."""
        registry = dict(self.resource_registry)
        below: dict[str, Any] = {}
        for entries in self._of_resource(resource_name):
            below = _merge_maps(
                below, {key: one for key, one in entries.items() if isinstance(one, dict)}, True
            )
        registry["resources"] = below
        return Environment(parameter_defaults=dict(self.parameter_defaults), resource_registry=registry)


def is_template_name(name: str) -> bool:
    """Whether a type is really the name of a template file."""
    return name.endswith((".yaml", ".template"))


def read_environment(
    source: str | bytes | Mapping[str, Any] | None, limits: Limits = Limits()
) -> dict[str, Any]:
    """An environment's sections, checked for form but not merged. Raises TemplateError."""
    data = load(source, limits, "environment") if source else {}
    for section, content in data.items():
        if section not in _SECTIONS:
            raise InvalidTemplateFormat(f'environment has wrong section "{section}"')
        if content is None:
            raise InvalidTemplateFormat(f'environment has empty section "{section}"')
        if not isinstance(content, _SECTIONS[section]):
            kind = "map" if _SECTIONS[section] is dict else "list"
            raise InvalidTemplateFormat(f'environment section "{section}" must be a {kind}')
    _check_registry(data.get("resource_registry", {}), ("resource_registry",))
    return data


def _check_registry(registry: Mapping[str, Any], path: tuple[str, ...]) -> None:
    for key, value in registry.items():
        if key == "hooks":
            _check_words(
                value, HOOKS, InvalidBreakPointHook, "hook type", "resource breakpoint", "hook types"
            )
        elif key == "restricted_actions":
            _check_words(
                value,
                RESTRICTED_ACTIONS,
                InvalidRestrictedAction,
                "restricted_action type",
                "resource",
                "restricted_action types",
            )
        elif isinstance(value, dict):
            _check_registry(value, (*path, key))
        elif not isinstance(value, str | None):
            raise StackValidationFailed("a resource type must be a string", (*path, key))


def _check_words(
    value: Any, allowed: Sequence[str], error: type[Exception], what: str, place: str, kinds: str
) -> None:
    words = _listed(value)
    if not words or any(word not in allowed for word in words):
        raise error(f'Invalid {what} "{value}" for {place}, acceptable {kinds} are: {", ".join(allowed)}')


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


# -- merging


def merge_environments(
    environments: Iterable[tuple[str, Mapping[str, Any]]],
    schemas: Mapping[str, ParameterSchema] | None = None,
) -> Environment:
    """Merge pairs of a file name and sections as `read_environment` gives them, later ones over earlier.

    How the values of a parameter are merged, each environment says itself in `parameter_merge_strategies`;
    those that differ about one parameter are refused. `schemas` tell the types that merging needs: of the
    template, and of the templates among the files. Registries are merged key by key; null takes an earlier
    entry away.
    """
    merged: dict[str, Any] = {name: kind() for name, kind in _SECTIONS.items()}
    chosen: dict[str, str] = {}
    for file, sections in environments:
        strategies = sections.get("parameter_merge_strategies") or {}
        for name in ("parameters", "parameter_defaults"):
            merger = _ParameterMerger(merged[name], schemas or {}, strategies, chosen, file)
            merger.merge(sections.get(name) or {})
        merged["resource_registry"] = _merge_registry(
            merged["resource_registry"], sections.get("resource_registry") or {}
        )
        for name in ("encrypted_param_names", "event_sinks"):
            merged[name] += [one for one in sections.get(name) or () if one not in merged[name]]
    del merged["parameter_merge_strategies"]
    return Environment(**merged)


class _ParameterMerger:
    """Merges one section of one environment into what the earlier ones gave."""

    def __init__(
        self,
        into: dict[str, Any],
        schemas: Mapping[str, ParameterSchema],
        strategies: Mapping[str, Any],
        chosen: dict[str, str],
        file: str,
    ) -> None:
        self._into = into
        self._schemas = schemas
        self._strategies = strategies
        self._chosen = chosen
        self._file = file

    def merge(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            strategy = self._strategy(name)
            if name in self._into and value is None:
                continue
            if name in self._chosen and self._chosen[name] != strategy:
                raise ConflictingMergeStrategyForParam(strategy, name, self._file)
            self._chosen[name] = strategy
            if strategy == "overwrite" or name not in self._into or name not in self._schemas:
                self._into[name] = value
            else:
                self._into[name] = _merge_values(self._into[name], value, self._schemas[name], strategy)

    def _strategy(self, name: str) -> str:
        default = self._strategies.get("default", "overwrite")
        strategy = self._strategies.get(name, default)
        for one in (strategy, default):
            if one in _STRATEGIES:
                return str(one)
        raise InvalidMergeStrategyForParam(str(strategy), name)


def _merge_values(old: Any, new: Any, schema: ParameterSchema, strategy: str) -> Any:
    try:
        if schema.type == JSON:
            old, new = schema.parse(old), schema.parse(new)
            if isinstance(old, dict) and isinstance(new, dict):
                return _merge_maps(old, new, strategy == "deep_merge")
            if isinstance(old, list) and isinstance(new, list):
                return old + new
            return new
        if schema.type == LIST:
            return schema.parse(old) + schema.parse(new)
        if schema.type == STRING:
            return schema.parse(old) + schema.parse(new)
        if schema.type == NUMBER:
            return rules.to_number(old) + rules.to_number(new)
    except ValueError as error:
        why = schema.name if schema.hidden else error
        raise StackValidationFailed(f"Invalid parameter in environment {why}.") from None
    raise InvalidMergeStrategyForParam(strategy, schema.name)


def _merge_maps(old: Mapping[str, Any], new: Mapping[str, Any], deep: bool) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            continue
        if deep and isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merge_maps(before, value, deep)
        elif deep and type(before) is type(value) and isinstance(value, list | str):
            merged[key] = before + value  # type: ignore[operator]
        else:
            merged[key] = value
    return merged


def _merge_registry(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            gone = [one for one in merged if one == key or (key.endswith("*") and one.startswith(key[:-1]))]
            for one in gone:
                if one == key or isinstance(merged[one], str):
                    del merged[one]
        elif isinstance(value, dict):
            merged[key] = _merge_registry(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged
