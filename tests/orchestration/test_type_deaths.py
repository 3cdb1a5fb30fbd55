"""Types whose making takes several calls: a process that dies at any of them neither leaks nor doubles."""

from typing import Any

import pytest

from aerostat.services.network import model as network_model
from aerostat.services.orchestration import model

from .test_stack_flows import Fate, World, meet, world

__all__ = ["world"]


def template(hop: str = "10.8.0.9", size: int = 2, admin_up: bool = True) -> dict[str, Any]:
    def refer(name: str) -> dict[str, str]:
        return {"get_resource": name}

    member = {"type": "OS::Neutron::Net", "properties": {"admin_state_up": admin_up}}
    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "scope": {"type": "OS::Neutron::AddressScope", "properties": {"name": "s"}},
            "net": {"type": "OS::Neutron::Net"},
            "subnet": {
                "type": "OS::Neutron::Subnet",
                "properties": {"network": refer("net"), "cidr": "10.8.0.0/24"},
            },
            "router": {"type": "OS::Neutron::Router"},
            "leg": {
                "type": "OS::Neutron::RouterInterface",
                "properties": {"router": refer("router"), "subnet": refer("subnet")},
            },
            "routes": {
                "type": "OS::Neutron::ExtraRouteSet",
                "properties": {
                    "router": refer("router"),
                    "routes": [{"destination": "10.70.0.0/24", "nexthop": hop}],
                },
            },
            "shared": {
                "type": "OS::Neutron::RBACPolicy",
                "properties": {
                    "object_type": "network",
                    "object_id": refer("net"),
                    "action": "access_as_shared",
                    "target_tenant": "p2",
                },
            },
            "config": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": hop}},
            "deployment": {
                "type": "OS::Heat::SoftwareDeployment",
                "properties": {
                    "config": refer("config"),
                    "server": "s1",
                    "signal_transport": "NO_SIGNAL",
                },
            },
            "group": {
                "type": "OS::Heat::AutoScalingGroup",
                "properties": {
                    "min_size": 1,
                    "max_size": 5,
                    "desired_capacity": size,
                    "rolling_updates": {"max_batch_size": 1, "min_in_service": 1},
                    "resource": member,
                },
            },
        },
    }


async def there(world: World) -> dict[str, Any]:
    """What there is outside, and what it is like."""
    routers = await world.store.all(network_model.ROUTERS)
    networks = await world.store.all(network_model.NETWORKS)
    return {
        "scopes": await world.store.count(network_model.ADDRESS_SCOPES),
        "policies": await world.store.count(network_model.RBAC),
        "hops": [one["nexthop"] for row in routers for one in row.routes],
        "networks": len(networks),
        "up": sum(1 for row in networks if row.admin_state_up),
        "configs": await world.store.count(model.SOFTWARE_CONFIGS),
        "deployments": await world.store.count(model.SOFTWARE_DEPLOYMENTS),
        "resources": await world.store.count(model.RESOURCES),
    }


WHOLE = {
    "scopes": 1,
    "policies": 1,
    "hops": ["10.8.0.9"],
    "networks": 3,
    "up": 3,
    "configs": 2,
    "deployments": 1,
    "resources": 12,
}


async def gone(world: World, stack_id: str) -> None:
    await world.delete(stack_id)
    await world.settle()
    assert (await world.state(stack_id))[0] == "DELETE_COMPLETE"
    assert not any((await there(world)).values())


@pytest.mark.parametrize("at", range(1, 40, 2))
async def test_death_in_a_create(world: World, at: int) -> None:
    stack_id = await world.start(template())
    await meet(world, Fate(at))
    await world.settle("second")
    assert await world.state(stack_id) == ("CREATE_COMPLETE", "Stack CREATE completed successfully")
    assert await there(world) == WHOLE
    await gone(world, stack_id)


@pytest.mark.parametrize("at", range(2, 40, 4))
async def test_death_then_delete(world: World, at: int) -> None:
    stack_id = await world.start(template())
    await meet(world, Fate(at))
    await gone(world, stack_id)


@pytest.mark.parametrize("at", range(1, 24, 2))
async def test_death_in_an_update(world: World, at: int) -> None:
    stack_id = await world.start(template())
    await world.settle()
    await world.update(stack_id, template("10.8.0.7", 3, admin_up=False))
    await meet(world, Fate(at))
    await world.settle("second")
    assert await world.state(stack_id) == ("UPDATE_COMPLETE", "Stack UPDATE completed successfully")
    changed = await there(world)
    assert changed == WHOLE | {"hops": ["10.8.0.7"], "networks": 4, "up": 1, "resources": 13}
    await gone(world, stack_id)
