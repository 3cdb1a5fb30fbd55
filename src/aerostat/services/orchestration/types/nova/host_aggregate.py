"""OS::Nova::HostAggregate: hosts that belong together, for administrators.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::HostAggregate
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.client import RoomError

from ...thing import Thing
from ..outside import unless_gone
from ..property import listing, mapping, text
from ..resource_type import ResourceType, is_gone


class HostAggregate(ResourceType):
    name = "OS::Nova::HostAggregate"
    description = "A resource for further partition an availability zone with hosts."
    room = "compute"
    properties = {
        "name": text("Name for the aggregate.", required=True, update=True),
        "availability_zone": text("Name for the availability zone.", required=True, update=True),
        "hosts": listing("List of hosts to join aggregate.", text(custom="nova.host"), update=True),
        "metadata": mapping(
            "Arbitrary key/value metadata to store information for aggregate.", default={}, update=True
        ),
    }

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        made = await thing.client("compute").create_aggregate(
            name=values["name"], availability_zone=values["availability_zone"]
        )
        await thing.claim(str(made["id"]))
        return str(made["id"])

    async def is_created(self, thing: Thing) -> bool:
        """Hosts and metadata come after it, also when an earlier run made it."""
        await self._fill(thing, {})
        return True

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("compute").list_aggregates()
        return await thing.find_unclaimed([one for one in found if one["name"] == thing.properties["name"]])

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body = {name: changed[name] for name in ("name", "availability_zone") if name in changed}
        if body:
            await thing.client("compute").update_aggregate(thing.physical_id, **body)
        await self._fill(thing, thing.previous.get("metadata") or {})

    async def delete(self, thing: Thing) -> None:
        compute = thing.client("compute")
        try:
            aggregate = await compute.get_aggregate(thing.physical_id)
        except RoomError as error:
            if is_gone(error):
                return
            raise
        for host in aggregate["hosts"]:
            await unless_gone(compute.act_on_aggregate(thing.physical_id, "remove_host", host=host))
        await unless_gone(compute.delete_aggregate(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("compute").get_aggregate(thing.physical_id))

    async def _fill(self, thing: Thing, old_metadata: Mapping[str, Any]) -> None:
        compute, id = thing.client("compute"), thing.physical_id
        metadata = {key: str(value) for key, value in (thing.properties["metadata"] or {}).items()}
        gone = dict.fromkeys(set(old_metadata) - set(metadata))
        if metadata or gone:
            await compute.act_on_aggregate(id, "set_metadata", metadata={**gone, **metadata})
        wanted = set(thing.properties["hosts"] or ())
        now = set((await compute.get_aggregate(id))["hosts"])
        for host in sorted(wanted - now):
            await compute.act_on_aggregate(id, "add_host", host=host)
        for host in sorted(now - wanted):
            await compute.act_on_aggregate(id, "remove_host", host=host)
