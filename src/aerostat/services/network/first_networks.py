"""The first networks of a fresh cloud: an external one, a pool of prefixes for all, and a private network behind a
router for the demo project.

Each piece is looked for before it is made, so a run that died halfway is finished by the next one. When all is there a
mark is left and nothing is made again: what an operator takes away stays away.
"""

from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.context import internal_context
from aerostat.kernel.house import House

from .client import NetworkClient
from .config import NetworkConfig
from .default_group import ensure_in
from .model import MARKS

DEMO_PROJECT = "demo"
_MARK = "first networks"


async def make_first_networks(house: House) -> None:
    if await house.store.find(MARKS, name=_MARK) is not None:
        return
    settings = house.config.section(NetworkConfig)
    context = internal_context("req-" + ids.new_id(), "bootstrap")
    client: NetworkClient = house.client("network", context)
    projects = await _projects(house, context)
    owner = projects.get("admin") or projects.get("service") or "admin"
    external = await _external(client, settings, owner)
    await _default_pool(client, settings, owner)
    for project_id in projects.values():
        await ensure_in(house.store, project_id)
    demo = projects.get(DEMO_PROJECT)
    if demo is not None:
        await _demo(client, settings, demo, external)
    await house.store.insert(MARKS, name=_MARK)


async def _projects(house: House, context: Any) -> dict[str, str]:
    """Name → id of the projects that are there."""
    if "identity" not in house.services:
        return {}
    identity = house.client("identity", context)
    return {project["name"]: project["id"] for project in await identity.list_projects()}


async def _external(client: NetworkClient, settings: NetworkConfig, project_id: str) -> str:
    found = await client.list_networks(**{"router:external": True})
    network = next((one for one in found if one["name"] == settings.external_network), None)
    if network is None:
        if found:
            return str(found[0]["id"])
        network = await client.create_network(
            name=settings.external_network,
            project_id=project_id,
            is_default=True,
            **{
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": settings.external_physical_network,
            },
        )
    if not network["subnets"]:
        await client.create_subnet(
            name=f"{settings.external_network}-subnet",
            project_id=network["project_id"],
            network_id=network["id"],
            ip_version=4,
            cidr=settings.external_cidr,
            gateway_ip=settings.external_gateway,
            enable_dhcp=False,
            allocation_pools=[{"start": settings.external_pool[0], "end": settings.external_pool[1]}],
        )
    return str(network["id"])


async def _default_pool(client: NetworkClient, settings: NetworkConfig, project_id: str) -> None:
    if not await client.list_subnet_pools(is_default=True, ip_version=4):
        await client.create_subnet_pool(
            name=settings.default_pool,
            project_id=project_id,
            prefixes=[settings.default_pool_cidr],
            default_prefixlen=settings.default_pool_prefixlen,
            is_default=True,
            shared=True,
        )


async def _demo(client: NetworkClient, settings: NetworkConfig, project_id: str, external_id: str) -> None:
    routers = await client.list_routers(project_id=project_id)
    networks = await client.list_networks(project_id=project_id)
    router = next((one for one in routers if one["name"] == settings.demo_router), None)
    network = next((one for one in networks if one["name"] == settings.demo_network), None)
    if network is None:
        network = await client.create_network(name=settings.demo_network, project_id=project_id)
    if network["subnets"]:
        subnet_id = network["subnets"][0]
    else:
        subnet = await client.create_subnet(
            name=settings.demo_subnet,
            project_id=project_id,
            network_id=network["id"],
            ip_version=4,
            cidr=settings.demo_cidr,
            dns_nameservers=list(settings.dns_servers),
        )
        subnet_id = subnet["id"]
    if router is None:
        router = await client.create_router(
            name=settings.demo_router,
            project_id=project_id,
            external_gateway_info={"network_id": external_id},
        )
    if not await client.list_ports(device_id=router["id"], fixed_ips=f"subnet_id={subnet_id}"):
        await client.add_router_interface(router["id"], subnet_id=subnet_id)
