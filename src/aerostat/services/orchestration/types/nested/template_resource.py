"""Template resources: a type that is a template of the user's own, named by file or through the registry.

https://docs.openstack.org/heat/latest/template_guide/composition.html
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ...errors import EntityNotFound
from ...plans import Source
from ...template import Environment, ParameterSchema, Template, parse
from ...template import constraints as rules
from ...thing import Thing
from ..property import ANY, BOOLEAN, LIST, NUMBER, STRING, Attribute, Property
from .child import ChildStack

_TYPES = {
    rules.STRING: STRING,
    rules.NUMBER: NUMBER,
    rules.BOOLEAN: BOOLEAN,
    rules.LIST: LIST,
    rules.JSON: ANY,
}
_MOST_KEPT = 128
_kept: "OrderedDict[tuple[str, str | None], TemplateResource]" = OrderedDict()


class TemplateResource(ChildStack):
    """Properties are the template's parameters, attributes its outputs."""

    def __init__(self, file: str, template: Template | None) -> None:
        self.file = file
        self.template = template
        if template is not None:
            self.description = template.description
            self.properties = {name: _property(one) for name, one in template.schemas.items()}
            self.attributes = {
                name: Attribute(one.description, ANY) for name, one in template.outputs.items()
            }

    async def source(self, thing: Thing) -> Source:
        if self.template is None:
            raise EntityNotFound(entity="Template", name=self.file)
        return Source(
            self.template,
            self.environment(thing.plan.environment, thing.name, thing.properties),
            thing.plan.files,
        )

    def environment(self, outer: Environment, name: str, values: Mapping[str, Any]) -> Environment:
        """What the nested stack gets of the outer one's environment, with these values for parameters."""
        inner = outer.for_nested(name)
        inner.parameters.update({key: value for key, value in values.items() if value is not None})
        return inner

    def reference(self, thing: Thing) -> Any:
        return thing.data.get("stack_id_output") or super().reference(thing)

    async def is_created(self, thing: Thing) -> bool:
        if not await super().is_created(thing):
            return False
        await self._remember_reference(thing)
        return True

    async def is_updated(self, thing: Thing) -> bool:
        if not await super().is_updated(thing):
            return False
        await self._remember_reference(thing)
        return True

    async def _remember_reference(self, thing: Thing) -> None:
        """A template may say itself what get_resource gives for it."""
        if self.template is not None and "OS::stack_id" in self.template.outputs:
            child = await self.open_child(thing)
            thing.data["stack_id_output"] = (await child.output("OS::stack_id"))[0]


def template_resource(file: str, text: str | None) -> TemplateResource:
    """The type that a template file makes; without its text it can only be deleted. Raises `TemplateError`."""
    key = (file, text)
    kind = _kept.get(key)
    if kind is None:
        kind = _kept[key] = TemplateResource(file, parse(text) if text is not None else None)
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return kind


def _property(schema: ParameterSchema) -> Property:
    return Property(
        _TYPES[schema.type],
        schema.description or "",
        constraints=schema.constraints,
        update=True,
        immutable=schema.immutable,
        hidden=schema.hidden,
    )
