"""From a stored template to what shall be: template, environment, parameters, blueprint, graph.

Template rows never change, so the parts that do not depend on the stack are kept in memory.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.house import House

from . import model
from .graph import Graph
from .kinds import find_kind
from .template import (
    Blueprint,
    Environment,
    Parameters,
    ResourceDefinition,
    StackIdentity,
    Template,
    parse,
)

_MOST_KEPT = 64
_kept: "OrderedDict[str, Source]" = OrderedDict()


class Source:
    """A template with its environment and files, as a client sent them, merged and read."""

    def __init__(self, template: Template, environment: Environment, files: Mapping[str, str]) -> None:
        self.template = template
        self.environment = environment
        self.files = files

    @classmethod
    def of(cls, row: Row) -> "Source":
        """The source of a template row, from memory if it is there."""
        source = _kept.get(row.id)
        if source is None:
            source = cls(parse(row.data), Environment(**row.environment), row.files)
            source.keep(row.id)
        else:
            _kept.move_to_end(row.id)
        return source

    def keep(self, template_id: str) -> None:
        """Remember it as what the template row of this id holds."""
        _kept[template_id] = self
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)

    def stored(self) -> dict[str, Any]:
        """The columns of its row."""
        return {
            "data": self.template.data,
            "environment": self.environment.view(),
            "files": self.files,
        }


class Plan:
    """A source in the place of one stack: values are known, conditions decided."""

    def __init__(self, source: Source, identity: StackIdentity) -> None:
        self.source = source
        self.environment = source.environment
        self.files = source.files
        self.template = source.template
        self.parameters: Parameters = source.template.parameters(
            source.environment.parameters, source.environment.parameter_defaults, identity
        )
        self.blueprint = Blueprint(source.template, self.parameters, source.files)

    @cached_property
    def dependencies(self) -> Mapping[str, set[str]]:
        """What the template says, and what types know besides: a port waits for its network's subnets."""
        found = {name: set(others) for name, others in self.blueprint.dependencies.items()}
        for name, definition in self.blueprint.resources.items():
            kind = find_kind(self.kind_of(definition.type, name), self.files)
            for other in kind.requires_besides(definition, self):
                if other != name and not _leads_to(found, other, name):
                    found[name].add(other)
        return found

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.dependencies)

    def resources_of(self, type: str) -> Iterator[ResourceDefinition]:
        """The resources that really are of this type."""
        for name, definition in self.blueprint.resources.items():
            if self.kind_of(definition.type, name) == type:
                yield definition

    def needed_by(self, definition: ResourceDefinition, *properties: str) -> frozenset[str]:
        """The resources that some of a resource's properties refer to."""
        given = definition.properties
        if not isinstance(given, dict):
            return frozenset()
        return self.blueprint.needs([given[name] for name in properties if name in given])

    def kind_of(self, type: str, name: str) -> str:
        """The type, or the template's name, that stands for a resource's type."""
        return self.environment.type_for(type, name)


def _leads_to(dependencies: Mapping[str, set[str]], start: str, goal: str) -> bool:
    """Whether `start` requires `goal`, directly or through others."""
    left, seen = [start], set()
    while left:
        name = left.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            left.extend(dependencies.get(name, ()))
    return False


def identity_of(house: House, stack: Mapping[str, Any]) -> StackIdentity:
    """What templates may know of the stack that they are made into."""
    return StackIdentity(
        name=stack["name"],
        id=stack["id"],
        project_id=stack["project_id"],
        region=house.config.kernel.region,
        arn=arn_of(stack),
    )


def arn_of(stack: Mapping[str, Any]) -> str:
    return f"arn:openstack:heat::{stack['project_id']}:stacks/{stack['name']}/{stack['id']}"


async def load_source(db: Store | Transaction, template_id: str) -> Source:
    source = _kept.get(template_id)
    return source or Source.of(await db.get(model.TEMPLATES, id=template_id))


async def load_plan(house: House, stack: Row, template_id: str | None = None) -> Plan:
    """The plan of a stack, or of it with another of its templates."""
    return Plan(await load_source(house.store, template_id or stack.template_id), identity_of(house, stack))
