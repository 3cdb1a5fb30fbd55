"""OS::Heat::TestResource: does what it is told, for tests of orchestration itself: wait, fail, be replaced.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::TestResource
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aerostat.kernel import clock

from ...errors import ResourceFailure
from ...template import select
from ...thing import Thing
from ..property import Attribute, boolean, mapping, number, text
from ..resource_type import Replace, ResourceType

_ACTIONS = ("create", "update", "delete")


class TestResource(ResourceType):
    name = "OS::Heat::TestResource"
    description = "A resource which stores the string value that was provided."
    outside = False
    properties = {
        "value": text("The input string to be stored.", default="test_string", update=True),
        "fail": boolean("Value which can be set to fail the resource operation.", default=False, update=True),
        "update_replace": boolean(
            "Value which can be set to trigger update replace.", default=False, update=True
        ),
        "update_replace_value": text("Some value that can be stored but can not be updated."),
        "wait_secs": number("Seconds to wait after an action.", default=0, update=True),
        "action_wait_secs": mapping(
            "Options for simulating waiting.",
            {one: number(f"Seconds to wait after a {one}.", update=True) for one in _ACTIONS},
            update=True,
        ),
        "attr_wait_secs": number(
            "Number value for timeout during resolving output value.", default=0, update=True
        ),
        "constraint_prop_secs": number("Seconds that checking a constraint takes.", default=0, update=True),
        "client_name": text("Client to poll.", default="", update=True),
        "entity_name": text("Client entity to poll.", default="", update=True),
    }
    attributes = {"output": Attribute("The string that was stored.")}

    async def create(self, thing: Thing) -> str | None:
        self._begin(thing, "create")
        return thing.physical_name

    async def is_created(self, thing: Thing) -> bool:
        return self._is_over(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if changed.get("update_replace"):
            raise Replace
        self._begin(thing, "update")

    async def is_updated(self, thing: Thing) -> bool:
        return self._is_over(thing)

    async def delete(self, thing: Thing) -> None:
        self._begin(thing, "delete", may_fail=False)

    async def is_deleted(self, thing: Thing) -> bool:
        return self._is_over(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(thing.properties["value"], path) if name == "output" else None

    def knows_attribute(self, name: str) -> bool:
        return True

    def _begin(self, thing: Thing, action: str, *, may_fail: bool = True) -> None:
        wait_s = (thing.properties["action_wait_secs"] or {}).get(action)
        if wait_s is None:
            wait_s = thing.properties["wait_secs"]
        thing.data["over_at"] = (clock.now() + timedelta(seconds=wait_s)).isoformat()
        if may_fail and thing.properties["fail"] and not wait_s:
            raise ResourceFailure(f"Test Resource failed {thing.name}", "ValueError")

    def _is_over(self, thing: Thing) -> bool:
        if clock.now().isoformat() < thing.data.get("over_at", ""):
            return False
        if thing.properties["fail"] and not thing.row.state.startswith("DELETE"):
            raise ResourceFailure(f"Test Resource failed {thing.name}", "ValueError")
        return True
