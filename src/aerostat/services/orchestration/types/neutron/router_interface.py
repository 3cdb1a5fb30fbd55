"""OS::Neutron::RouterInterface and OS::Neutron::RouterGateway: what a router is connected to.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::RouterInterface
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ResourceFailure, StackValidationFailed
from ...plans import Plan
from ...template import ResourceDefinition
from ...thing import Thing
from ..outside import id_of, subnets_of, unless_gone
from ..property import text
from ..resource_type import ResourceType

_ROUTER = text("The router.", required=True, custom="neutron.router")


class RouterInterface(ResourceType):
    """Its id is `<router>:subnet_id=<subnet>` or `<router>:port_id=<port>`: a connection has no id of its own."""

    name = "OS::Neutron::RouterInterface"
    description = "A resource for managing Neutron router interfaces."
    room = "network"
    properties = {
        "router": _ROUTER,
        "subnet": text("The subnet, either subnet or port should be specified.", custom="neutron.subnet"),
        "port": text("The port, either subnet or port should be specified.", custom="neutron.port"),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        _which(properties)

    async def create(self, thing: Thing) -> str | None:
        router_id, where = await self._where(thing)
        await thing.client("network").add_router_interface(router_id, **where)
        return _id(router_id, where)

    async def find_made(self, thing: Thing) -> str | None:
        router_id, where = await self._where(thing)
        network = thing.client("network")
        if "port_id" in where:
            port = await network.get_port(where["port_id"])
            there = port["device_id"] == router_id
        else:
            ports = await network.list_ports(device_id=router_id)
            there = any(ip["subnet_id"] == where["subnet_id"] for port in ports for ip in port["fixed_ips"])
        return _id(router_id, where) if there else None

    async def delete(self, thing: Thing) -> None:
        router_id, _, rest = str(thing.physical_id).partition(":")
        key, _, value = rest.partition("=")
        await unless_gone(thing.client("network").remove_router_interface(router_id, **{key: value}))

    async def check_health(self, thing: Thing) -> None:
        if await self.find_made(thing) is None:
            raise ResourceFailure("The router is not connected.", "NotFound")

    async def _where(self, thing: Thing) -> tuple[str, dict[str, str]]:
        what = _which(thing.properties)
        router_id = await id_of(thing, "router", thing.properties["router"])
        return str(router_id), {f"{what}_id": str(await id_of(thing, what, thing.properties[what]))}


class RouterGateway(ResourceType):
    """Hidden upstream in favour of the router's own property, but still met in older templates."""

    name = "OS::Neutron::RouterGateway"
    description = "A resource for managing the gateway of a router."
    room = "network"
    properties = {
        "router_id": text("ID of the router.", required=True, custom="neutron.router"),
        "network": text("External network for the gateway.", custom="neutron.network"),
        "network_id": text("Deprecated: use network.", custom="neutron.network"),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        routers = plan.needed_by(definition, "router_id")
        interfaces = [
            one.name
            for one in plan.resources_of("OS::Neutron::RouterInterface")
            if plan.needed_by(one, "router") & routers
        ]
        return [*interfaces, *subnets_of(plan, plan.needed_by(definition, "network", "network_id"))]

    async def create(self, thing: Thing) -> str | None:
        router_id = await id_of(thing, "router", thing.properties["router_id"])
        wanted = thing.properties["network"] or thing.properties["network_id"]
        network_id = await id_of(thing, "network", wanted)
        gateway = {"network_id": network_id}
        await thing.client("network").update_router(router_id, external_gateway_info=gateway)
        return f"{router_id}:{network_id}"

    async def find_made(self, thing: Thing) -> str | None:
        return await self.create(thing)  # setting it again is the same

    async def delete(self, thing: Thing) -> None:
        router_id = str(thing.physical_id).partition(":")[0]
        await unless_gone(thing.client("network").update_router(router_id, external_gateway_info={}))


def _which(properties: Mapping[str, Any]) -> str:
    if properties["subnet"] and properties["port"]:
        raise StackValidationFailed("Cannot define the following properties at the same time: subnet, port.")
    if not properties["subnet"] and not properties["port"]:
        raise StackValidationFailed(
            "At least one of the following properties must be specified: subnet, port."
        )
    return "subnet" if properties["subnet"] else "port"


def _id(router_id: str, where: Mapping[str, str]) -> str:
    ((key, value),) = where.items()
    return f"{router_id}:{key}={value}"
