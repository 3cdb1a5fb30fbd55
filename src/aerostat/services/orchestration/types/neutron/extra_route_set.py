"""OS::Neutron::ExtraRouteSet and OS::Neutron::ExtraRoute: routes of a router beside those of its interfaces.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::ExtraRouteSet

They require the router's interfaces in the same template: a next hop must be in reach.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.client import RoomError

from ...errors import ResourceFailure
from ...plans import Plan
from ...template import ResourceDefinition
from ...thing import Thing
from ..outside import id_of, unless_gone
from ..property import listing, mapping, text
from ..resource_type import ResourceType, is_gone

Route = dict[str, Any]


class ExtraRouteSet(ResourceType):
    name = "OS::Neutron::ExtraRouteSet"
    description = "Resource for specifying extra routes for a Neutron router."
    room = "network"
    properties = {
        "router": text("The router id.", required=True, custom="neutron.router"),
        "routes": listing(
            "A set of route dictionaries for the router.",
            mapping(
                inner={
                    "destination": text(
                        "The destination network in CIDR notation.", required=True, custom="net_cidr"
                    ),
                    "nexthop": text("The next hop for the destination.", required=True, custom="ip_addr"),
                }
            ),
            default=[],
            update=True,
        ),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return _interfaces(plan, plan.needed_by(definition, "router"))

    async def create(self, thing: Thing) -> str | None:
        router = await id_of(thing, "router", thing.properties["router"])
        await _claim(thing, str(router), thing.properties["routes"])
        return router

    async def find_made(self, thing: Thing) -> str | None:
        return thing.data.get("router")

    async def is_created(self, thing: Thing) -> bool:
        await thing.client("network").add_extra_routes(thing.physical_id, thing.properties["routes"])
        return True

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        old, new = thing.previous["routes"] or [], thing.properties["routes"] or []
        network, router = thing.client("network"), str(thing.physical_id)
        await network.remove_extra_routes(router, [one for one in old if one not in new])
        await network.add_extra_routes(router, [one for one in new if one not in old])

    async def delete(self, thing: Thing) -> None:
        await _remove(thing, str(thing.physical_id), thing.properties["routes"])


class ExtraRoute(ResourceType):
    name = "OS::Neutron::ExtraRoute"
    description = "One extra route of a router; a set of them is better."
    room = "network"
    support = {
        "status": "UNSUPPORTED",
        "message": "Use this resource at your own risk.",
    }
    properties = {
        "router_id": text("The router id.", required=True, custom="neutron.router"),
        "destination": text("Network in CIDR notation.", required=True),
        "nexthop": text("Nexthop IP address.", required=True),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return _interfaces(plan, plan.needed_by(definition, "router_id"))

    async def create(self, thing: Thing) -> str | None:
        router = str(await id_of(thing, "router", thing.properties["router_id"]))
        await _claim(thing, router, [_route(thing)])
        return _name(router, _route(thing))

    async def find_made(self, thing: Thing) -> str | None:
        router = thing.data.get("router")
        return _name(router, _route(thing)) if router else None

    async def is_created(self, thing: Thing) -> bool:
        router = str(thing.physical_id).partition(":")[0]
        await thing.client("network").add_extra_routes(router, [_route(thing)])
        return True

    async def delete(self, thing: Thing) -> None:
        await _remove(thing, str(thing.physical_id).partition(":")[0], [_route(thing)])


def _route(thing: Thing) -> Route:
    return {name: thing.properties[name] for name in ("destination", "nexthop")}


def _name(router: str, route: Route) -> str:
    return f"{router}:{route['destination']}:{route['nexthop']}"


async def _claim(thing: Thing, router: str, routes: list[Route]) -> None:
    """Write down which router's routes are ours before they are added; adding them again changes nothing.

    Raises `ResourceFailure` for a route that somebody else made: deleting ours would take it away.
    """
    there = (await thing.client("network").get_router(router))["routes"]
    for one in routes:
        if one in there:
            name = f"{router},{one['destination']}={one['nexthop']}"
            raise ResourceFailure(f"The physical resource ({name}) exists.", "PhysicalResourceExists")
    thing.data["router"] = router
    await thing.keep()


async def _remove(thing: Thing, router: str, routes: list[Route]) -> None:
    network = thing.client("network")
    try:
        there = (await network.get_router(router))["routes"]
    except RoomError as error:
        if is_gone(error):
            return
        raise
    if left := [one for one in routes if one in there]:
        await unless_gone(network.remove_extra_routes(router, left))


def _interfaces(plan: Plan, routers: Iterable[str]) -> list[str]:
    """Interfaces in the template of these of its routers."""
    wanted = set(routers)
    return [
        one.name
        for one in plan.resources_of("OS::Neutron::RouterInterface")
        if plan.needed_by(one, "router", "router_id") & wanted
    ]
