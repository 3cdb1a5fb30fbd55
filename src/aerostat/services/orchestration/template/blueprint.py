"""A template with its parameters' values and files: everything but the running stack.

Conditions are decided, so it is known which resources there are and what each needs. What only the running
stack knows (ids, attributes) the caller gives to `resolve` as a `Live`.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from .conditions import Conditions
from .errors import InvalidTemplateReference, Path, StackValidationFailed
from .parameters import Parameters
from .sections import OutputDefinition, ResourceDefinition, Template, deletion_policy
from .snippets import Reference, Snippet, is_constant, references, resolve


class Live(Protocol):
    """What the running stack knows. None means: not there yet."""

    def reference_id(self, resource: str) -> str | None:
        """What `get_resource` gives: mostly the id of the thing, for some types its name."""

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        """An attribute, with `path` followed (see `select`). Name None: a map of all of them but `show`."""

    def facade(self, kind: str) -> Any:
        """In a nested stack: metadata, deletion_policy or update_policy of the resource it stands for."""

    def zones(self) -> list[str]:
        """Names of the availability zones (Fn::GetAZs)."""


class NothingLive:
    """A stack of which nothing is made yet: all that depends on it is None."""

    def reference_id(self, resource: str) -> str | None:
        return None

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        return None

    def facade(self, kind: str) -> Any:
        return None

    def zones(self) -> list[str]:
        return []


_NOTHING = NothingLive()


class Blueprint:
    """See the module. Cheap to make; decides and walks only what it is asked for.

    Every method may raise TemplateError when the template contradicts itself; `check` looks at all of it.
    """

    def __init__(
        self, template: Template, parameters: Parameters, files: Mapping[str, str] | None = None
    ) -> None:
        self.template = template
        self.parameters = parameters
        self.files = files or {}
        self._words = template.version.dialect
        self._dry = _Scope(self, _NOTHING)
        self._conditions = Conditions(template.conditions, lambda snippet: resolve(snippet, self._dry))

    @cached_property
    def resources(self) -> Mapping[str, ResourceDefinition]:
        """The resources that no condition switches off."""
        section = self._words.resources
        return {
            name: one
            for name, one in self.template.resources.items()
            if self._enabled(one.condition, (section, name, self._words.condition))
        }

    @cached_property
    def outputs(self) -> Mapping[str, OutputDefinition]:
        """The outputs that no condition switches off. Heat shows the others with a value of None."""
        section = self._words.outputs
        return {
            name: one
            for name, one in self.template.outputs.items()
            if self._enabled(one.condition, (section, name, self._words.condition))
        }

    def is_enabled(self, condition: Any) -> bool:
        """The value of a condition, by name. ValueError when there is none of that name."""
        return self._conditions.is_enabled(condition)

    def resolve(self, snippet: Snippet, live: Live = _NOTHING) -> Any:
        """The snippet's value: plain data, its own copy."""
        return resolve(snippet, self._dry if live is _NOTHING else _Scope(self, live))

    def deletion_policy(self, resource: str, live: Live = _NOTHING) -> str:
        """Delete, Retain or Snapshot."""
        policy = self.resolve(self.resources[resource].deletion_policy, live)
        return "Delete" if policy is None else deletion_policy(policy, self.template.version)

    def is_constant(self, snippet: Snippet) -> bool:
        """Whether the snippet can be resolved for good before anything is made."""
        return is_constant(snippet, self._dry)

    def references(self, snippet: Snippet) -> Iterator[Reference]:
        """What a snippet needs, in the branches that the conditions leave."""
        return references(snippet, self._dry)

    def needs(self, snippet: Snippet) -> frozenset[str]:
        """Names of the resources that a snippet needs. InvalidTemplateReference when one is not there."""
        return frozenset(one.name for one in self._resource_references(snippet))

    @cached_property
    def dependencies(self) -> Mapping[str, frozenset[str]]:
        """For each resource, those that must be there before it: what `graph.Graph` is made from.

        `depends_on` may name a resource that a condition switches off; a function may not refer to one.
        """
        return {name: self._dependencies_of(one) for name, one in self.resources.items()}

    def _dependencies_of(self, resource: ResourceDefinition) -> frozenset[str]:
        needed = set()
        for other in resource.depends_on:
            if other in self.resources:
                needed.add(other)
            elif other not in self.template.resources:
                path = (self._words.resources, resource.name, self._words.depends_on)
                raise InvalidTemplateReference(other, path)
        for snippet in _snippets(resource):
            needed |= self.needs(snippet)
        return frozenset(needed)

    def _resource_references(self, snippet: Snippet) -> Iterator[Reference]:
        for one in references(snippet, self._dry):
            if one.kind in ("resource", "attribute"):
                if not isinstance(one.name, str) or one.name not in self.resources:
                    raise InvalidTemplateReference(one.name, one.path)
                yield one

    @cached_property
    def attributes_needed(self) -> Mapping[str, frozenset[tuple[str | None, tuple[str | int, ...]]]]:
        """For each resource, the (attribute, path) pairs that resources and outputs ask of it.

        An attribute of None stands for all of them. To be fetched beforehand: resolving does not wait.
        """
        found: defaultdict[str, set[tuple[str | None, tuple[str | int, ...]]]] = defaultdict(set)
        snippets = [snippet for one in self.resources.values() for snippet in _snippets(one)]
        for snippet in (*snippets, *(one.value for one in self.outputs.values())):
            for reference in self._resource_references(snippet):
                if reference.kind == "attribute":
                    found[reference.name].add((reference.attribute, reference.keys))
        return {name: frozenset(pairs) for name, pairs in found.items()}

    def check(self) -> None:
        """Everything that can be known before the stack is made: conditions, references, parameters, files.

        Values of parameters are not looked at (`Parameters.check`), nor circles among resources
        (`graph.Graph`).
        """
        self._conditions.check()
        for name, resource in self.resources.items():
            self._dependencies_of(resource)
            for snippet in _snippets(resource):
                self._check_references(snippet)
            self.deletion_policy(name)
        for output in self.outputs.values():
            self._check_references(output.value, parameters=False)  # that is an error of the output, not here

    def _check_references(self, snippet: Snippet, *, parameters: bool = True) -> None:
        for one in references(snippet, self._dry):
            known = isinstance(one.name, str) and one.name in self._known(one.kind)
            if not known and one.kind == "param":
                if parameters:
                    raise _missing_parameter(one)
                continue
            if not known and one.kind == "file":
                raise StackValidationFailed(
                    f'No content found in the "files" section for get_file path: {one.name}', one.path
                )
            if not known:
                raise InvalidTemplateReference(one.name, one.path)

    def _known(self, kind: str) -> Container[str]:
        if kind == "param":
            return self.parameters
        return self.files if kind == "file" else self.resources

    def _enabled(self, condition: Snippet, path: Path) -> bool:
        try:
            return self._conditions.is_enabled(resolve(condition, self._dry))
        except ValueError as error:
            raise StackValidationFailed(str(error), path) from None


def _missing_parameter(reference: Reference) -> StackValidationFailed:
    """In upstream's form, empty parts and all: clients look for it."""
    path = tuple(part for part in reference.path if part not in ("get_param", "Ref"))
    text = f"The Parameter ({reference.name}) was not provided."
    return StackValidationFailed(f": {text}", path, "Property error: ")


def _snippets(resource: ResourceDefinition) -> tuple[Snippet, ...]:
    return (
        resource.properties,
        resource.metadata,
        resource.update_policy,
        resource.deletion_policy,
        resource.external_id,
    )


class _Scope:
    """What functions see: the blueprint, and the running stack as far as it is there."""

    __slots__ = ("_blueprint", "_live")

    def __init__(self, blueprint: Blueprint, live: Live) -> None:
        self._blueprint = blueprint
        self._live = live

    def param(self, name: str) -> Any:
        return self._blueprint.parameters[name]

    def has_resource(self, name: str) -> bool:
        return name in self._blueprint.resources

    def reference_id(self, resource: str) -> str | None:
        return self._live.reference_id(resource)

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        return self._live.attribute(resource, name, path)

    def file(self, name: str) -> str | None:
        return self._blueprint.files.get(name)

    def condition(self, name: Any) -> bool:
        return self._blueprint.is_enabled(name)

    def facade(self, kind: str) -> Any:
        return self._live.facade(kind)

    def mapping(self, name: str) -> Mapping[str, Any]:
        found = self._blueprint.template.mappings[name]
        return found if isinstance(found, Mapping) else {}

    def zones(self) -> list[str]:
        return self._live.zones()
