"""Which resource types there are, and which one stands for a resource."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from .errors import EntityNotFound
from .template import is_template_name
from .types.resource_type import ResourceType

_NAMESPACES = ("heat", "neutron", "nova", "keystone", "glance", "swift", "aws")


@cache
def all_kinds() -> Mapping[str, ResourceType]:
    """Every type by name: each module of a namespace holds one or a few."""
    found: dict[str, ResourceType] = {}
    for namespace in _NAMESPACES:
        package = importlib.import_module(f"{__package__}.types.{namespace}")
        for module in pkgutil.iter_modules(package.__path__):
            content = importlib.import_module(f"{package.__name__}.{module.name}")
            for one in vars(content).values():
                if (
                    isinstance(one, type)
                    and issubclass(one, ResourceType)
                    and one.__module__ == content.__name__
                ) and one.name:
                    found[one.name] = one()
    return dict(sorted(found.items()))


def find_kind(name: str, files: Mapping[str, str]) -> ResourceType:
    """The type of this name, or one made from the template of this name. Raises `EntityNotFound`."""
    kind = all_kinds().get(name)
    if kind is not None:
        return kind
    if is_template_name(name):
        from .types.nested.template_resource import template_resource

        return template_resource(name, files.get(name))
    raise EntityNotFound(entity="Resource Type", name=name)


def available_kinds(rooms: Mapping[str, Any]) -> Mapping[str, ResourceType]:
    """The types whose rooms are in this house."""
    return {name: kind for name, kind in all_kinds().items() if kind.room is None or kind.room in rooms}
