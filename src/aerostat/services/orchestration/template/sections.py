"""A template, read: its sections checked for form, its function calls found.

Nothing here needs a parameter's value. With values it becomes a `Blueprint` (blueprint.py), which knows what
the conditions decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InvalidTemplateSection, StackValidationFailed
from .parameters import (
    Parameters,
    ParameterSchema,
    StackIdentity,
    pseudo_parameters,
    read_groups,
    read_schemas,
)
from .snippets import Call, Snippet, compile_snippet
from .text import Limits, load
from .versions import Dialect, Version, version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDefinition:
    """One entry of the resources section. Snippets are resolved by `Blueprint.resolve`.

    `deletion_policy` is Delete, Retain or Snapshot, or a Call that gives one. `condition` is None, a name, a
    bool or a Call.
    """

    name: str
    type: str
    properties: Snippet = None
    metadata: Snippet = None
    depends_on: tuple[str, ...] = ()
    deletion_policy: Snippet = "Delete"
    update_policy: Snippet = None
    external_id: Snippet = None
    condition: Snippet = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefinition:
    """One entry of the outputs section."""

    name: str
    value: Snippet
    description: str = "No description given"
    condition: Snippet = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A whole template. `data` is the plain data it was read from, as it is stored and shown again."""

    version: Version
    data: Mapping[str, Any]
    description: str
    schemas: Mapping[str, ParameterSchema]
    parameter_groups: list[dict[str, Any]]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Snippet]
    resources: Mapping[str, ResourceDefinition]
    outputs: Mapping[str, OutputDefinition]

    def parameters(
        self,
        given: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        stack: StackIdentity = StackIdentity(),
    ) -> Parameters:
        """The values of a stack made from this template; unchecked (see Parameters.check)."""
        return Parameters(self.schemas, given, defaults, pseudo_parameters(stack, self.version))


def parse(source: str | bytes | Mapping[str, Any], limits: Limits = Limits()) -> Template:
    """Read a template from YAML or JSON text or from decoded data. Raises TemplateError."""
    return _Reader(load(source, limits)).read()


class _Reader:
    """Reads the sections of one template in turn."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._version = version_of(data)
        self._words: Dialect = self._version.dialect
        self._language = self._version.language
        self._condition_language = self._version.condition_language

    def read(self) -> Template:
        words = self._words
        known = {*words.version_keys, words.description, words.parameters, words.resources, words.outputs}
        known |= {name for name in (words.parameter_groups, words.mappings) if name}
        if self._version.has_conditions:
            known.add(words.conditions)
        for section in self._data:
            if section not in known:
                raise InvalidTemplateSection(section)
        schemas = read_schemas(self._data.get(words.parameters), self._version)
        groups = self._data.get(words.parameter_groups) if words.parameter_groups else None
        return Template(
            version=self._version,
            data=self._data,
            description=self._description(),
            schemas=schemas,
            parameter_groups=read_groups(groups, schemas),
            mappings=self._section(words.mappings) if words.mappings else {},
            conditions=self._conditions(),
            resources={
                name: self._resource(name, one) for name, one in self._section(words.resources).items()
            },
            outputs={name: self._output(name, one) for name, one in self._section(words.outputs).items()},
        )

    def _section(self, name: str) -> dict[str, Any]:
        section = self._data.get(name)
        if section is None:
            return {}
        if not isinstance(section, dict):
            raise StackValidationFailed(f'"{name}" must be a map, not a {_word(section)}', (name,))
        return section

    def _description(self) -> str:
        text = self._data.get(self._words.description)
        if text is not None and not isinstance(text, str):
            raise StackValidationFailed("The description must be a string", (self._words.description,))
        return text or "No description"

    def _conditions(self) -> dict[str, Snippet]:
        section, label = self._words.conditions, "Condition validation error"
        definitions = self._data.get(section) if self._version.has_conditions else None
        if definitions is None:
            return {}
        if not isinstance(definitions, dict):
            raise StackValidationFailed(
                f"Condition definitions must be a map. Found a {_word(definitions)} instead",
                label="Conditions validation error",
            )
        compiled = {}
        for name, definition in definitions.items():
            snippet = compile_snippet(definition, self._condition_language, (section, name))
            if not isinstance(snippet, bool | Call):
                raise StackValidationFailed(
                    f'The definition of condition "{name}" is invalid: {definition}', label=label
                )
            compiled[name] = snippet
        return compiled

    # -- resources

    def _resource(self, name: str, data: Any) -> ResourceDefinition:
        words, path = self._words, (self._words.resources, name)
        if not isinstance(data, dict):
            if not data:
                raise StackValidationFailed(f"Each resource must contain a {words.type} key.", path)
            raise StackValidationFailed(
                f'"{words.resources}" must contain a map of resource maps. Found a [{_word(data)}] instead',
                path,
            )
        if not name or "/" in name:
            raise StackValidationFailed('Resource name may not be empty or contain "/"', path)
        self._check_resource_keys(data, path)
        if words.type not in data:
            raise StackValidationFailed(f'Resource {name} is missing "{words.type}"', path)
        if not isinstance(data[words.type], str) or not data[words.type]:
            raise StackValidationFailed(f"Resource {name} {words.type} type must be string", path)
        return ResourceDefinition(
            name=name,
            type=data[words.type],
            properties=self._field(name, data, words.properties, dict, "object"),
            metadata=self._field(name, data, words.metadata, dict, "object"),
            depends_on=self._depends_on(name, data),
            deletion_policy=self._deletion_policy(name, data),
            update_policy=self._field(name, data, words.update_policy, dict, "object"),
            external_id=self._field(name, data, words.external_id, str, "string"),
            condition=self._condition(data, path),
            description=self._text(name, data, words.description),
        )

    def _check_resource_keys(self, data: dict[str, Any], path: tuple[str, ...]) -> None:
        words = self._words
        allowed = {words.type, words.properties, words.metadata, words.depends_on}
        allowed |= {words.deletion_policy, words.update_policy, words.description}
        if self._version.has_conditions:
            allowed |= {words.condition} | ({words.external_id} if words.external_id else set())
        unknown = [key for key in data if key not in allowed]
        if unknown and words.kind == "hot":
            raise StackValidationFailed(
                f"Invalid keyword(s) inside a resource definition: {', '.join(unknown)}", path
            )

    def _field(self, name: str, data: dict[str, Any], key: str | None, kind: type, word: str) -> Snippet:
        if key is None or data.get(key) is None:
            return None
        snippet = compile_snippet(data[key], self._language, (self._words.resources, name, key))
        if not isinstance(snippet, kind | Call):
            raise StackValidationFailed(
                f"Resource {name} {key} type must be {word}", (self._words.resources, name, key)
            )
        return snippet

    def _text(self, name: str, data: dict[str, Any], key: str) -> str:
        text = data.get(key)
        if text is not None and not isinstance(text, str):
            raise StackValidationFailed(
                f"Resource {name} {key} type must be string", (self._words.resources, name, key)
            )
        return text or ""

    def _depends_on(self, name: str, data: dict[str, Any]) -> tuple[str, ...]:
        key = self._words.depends_on
        depends = data.get(key)
        path = (self._words.resources, name, key)
        if depends is None:
            return ()
        if isinstance(depends, str):
            return (depends,)
        if not isinstance(depends, list):
            raise StackValidationFailed(f"Resource {name} {key} type must be list or string", path)
        if not all(isinstance(one, str) for one in depends):
            raise StackValidationFailed(f"Resource {name} {key} must be a list of strings", path)
        return tuple(dict.fromkeys(depends))

    def _deletion_policy(self, name: str, data: dict[str, Any]) -> Snippet:
        policy = self._field(name, data, self._words.deletion_policy, str, "string")
        if policy is None:
            return "Delete"
        if isinstance(policy, Call):
            return policy
        return deletion_policy(policy, self._version)

    def _condition(self, data: dict[str, Any], path: tuple[str, ...]) -> Snippet:
        key = self._words.condition
        condition = data.get(key) if self._version.has_conditions else None
        if condition is None:
            return None
        snippet = compile_snippet(condition, self._condition_language, (*path, key))
        if not isinstance(snippet, str | bool | Call):
            raise StackValidationFailed(f"{path[-1]} {key} type must be string or boolean", (*path, key))
        return snippet

    # -- outputs

    def _output(self, name: str, data: Any) -> OutputDefinition:
        words, path = self._words, (self._words.outputs, name)
        label = "Output validation error"
        if not isinstance(data, dict):
            raise StackValidationFailed(
                f"Output definitions must be a map. Found a {_word(data)} instead", path, label
            )
        allowed = {words.value, words.description} | (
            {words.condition} if self._version.has_conditions else set()
        )
        for key in data:
            if key not in allowed:
                raise StackValidationFailed(
                    f'"{key}" is not a valid keyword inside a output definition', path
                )
        if words.value not in data:
            raise StackValidationFailed(
                f"Each output definition must contain a {words.value} key.", path, label
            )
        description = data.get(words.description)
        return OutputDefinition(
            name=name,
            value=compile_snippet(data[words.value], self._language, (*path, words.value)),
            description="No description given" if description is None else str(description),
            condition=self._condition(data, path),
        )


def deletion_policy(word: Any, version: Version) -> str:
    """Delete, Retain or Snapshot. Raises StackValidationFailed."""
    if not isinstance(word, str) or word not in version.deletion_policies:
        raise StackValidationFailed(f'Invalid deletion policy "{word}"')
    return version.deletion_policies[word]


def _word(value: Any) -> str:
    return "NoneType" if value is None else type(value).__name__
