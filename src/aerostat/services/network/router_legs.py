"""The legs of a router: its interfaces on subnets and its gateway on an external network.

A leg is a port. An interface takes the subnet's gateway address unless it was made as a port before; the gateway takes
any free address of the external network.
"""

import ipaddress
from typing import Any

from sqlalchemy import or_, select

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.http import Request

from . import addresses
from .changes import touch
from .errors import (
    BadRouterRequest,
    ExternalIpAddressExhausted,
    InvalidRoutes,
    IpAddressGenerationFailure,
    NetworkNotFound,
    PortInUse,
    PortNotFound,
    RouterExternalGatewayInUseByFloatingIp,
    RouterInterfaceInUseByFloatingIP,
    RouterInterfaceInUseByRoute,
    RouterInterfaceNotFound,
    RouterInterfaceNotFoundForSubnet,
    RoutesExhausted,
    SubnetMismatchForPort,
    SubnetNotFound,
)
from .model import ADDRESSES, FLOATING_IPS, NETWORKS, PORT_GROUPS, PORTS, ROUTERS, SUBNETS
from .ports import GATEWAY, INTERFACE, delete_port, insert_service_port
from .sight import SHARED, granted, sees_all, visible_networks


async def set_gateway(req: Request, tx: Transaction, router: Row, gateway: dict[str, Any]) -> Row:
    """Lead the router out through a network, or change how. Answers the router as it is then."""
    network_id, fixed = gateway["network_id"], gateway.get("external_fixed_ips")
    snat = gateway.get("enable_snat", True)
    found = await tx.fetch(
        select(NETWORKS).where(NETWORKS.c.id == network_id, *visible_networks(req.context))
    )
    if not found:
        raise NetworkNotFound(id=network_id)
    network = found[0]
    if not network.external:
        raise BadRouterRequest(msg=f"Network {network_id} is not an external network")
    await _check_subnets(tx, router, network)
    port_id = router.gateway_port_id
    if router.gateway_network_id not in (None, network_id):
        router = await clear_gateway(tx, router)
        port_id = None
    if port_id is None:
        try:
            port = await insert_service_port(tx, network, GATEWAY, router.id, fixed=fixed)
        except IpAddressGenerationFailure as error:
            raise ExternalIpAddressExhausted(net_id=network_id) from error
        port_id = port.id
    elif fixed is not None:
        await _move_gateway(tx, port_id, fixed)
    columns = {"gateway_port_id": port_id, "gateway_network_id": network_id, "enable_snat": snat}
    await tx.update(ROUTERS, {"id": router.id}, **columns)
    return Row({**router, **columns})


async def clear_gateway(tx: Transaction, router: Row) -> Row:
    if router.gateway_port_id is None:
        return router
    in_use = select(FLOATING_IPS.c.id).where(
        FLOATING_IPS.c.router_id == router.id,
        FLOATING_IPS.c.floating_network_id == router.gateway_network_id,
    )
    if await tx.fetch(in_use.limit(1)):
        raise RouterExternalGatewayInUseByFloatingIp(router_id=router.id, net_id=router.gateway_network_id)
    await delete_port(tx, await tx.get(PORTS, id=router.gateway_port_id))
    columns = {"gateway_port_id": None, "gateway_network_id": None, "enable_snat": True}
    await tx.update(ROUTERS, {"id": router.id}, **columns)
    return Row({**router, **columns})


async def add_subnet(
    req: Request, tx: Transaction, router: Row, subnet_id: str | None
) -> tuple[Row, list[str]]:
    """An interface on a subnet, under the subnet's gateway address. Answers its port and subnets."""
    conditions = [SUBNETS.c.id == subnet_id]
    if not sees_all(req.context):
        conditions.append(
            or_(
                SUBNETS.c.project_id == req.context.project_id,
                SUBNETS.c.network_id.in_(granted(req.context, SHARED)),
            )
        )
    found = await tx.fetch(select(SUBNETS).where(*conditions))
    if not found:
        raise SubnetNotFound(id=subnet_id)
    subnet = found[0]
    if not subnet.gateway_ip:
        raise BadRouterRequest(msg="Subnet for router interface must have a gateway IP")
    await _check_overlap(tx, router, [subnet])
    network = await tx.get(NETWORKS, id=subnet.network_id)
    port = await insert_service_port(
        tx,
        network,
        INTERFACE,
        router.id,
        project_id=router.project_id,
        fixed=[{"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}],
    )
    await touch(tx, "router", router.id)
    return port, [subnet.id]


async def add_port(req: Request, tx: Transaction, router: Row, port_id: str) -> tuple[Row, list[str]]:
    """An interface out of a port that is there."""
    port = await tx.find(PORTS, id=port_id)
    if port is None or not (port.project_id == req.context.project_id or sees_all(req.context)):
        raise PortNotFound(id=port_id)
    if port.device_id:
        raise PortInUse(net_id=port.network_id, port_id=port.id, device_id=port.device_id)
    fixed = (await addresses.fixed_ips(tx, [port.id]))[port.id]
    if not fixed:
        raise BadRouterRequest(msg="Router port must have at least one fixed IP")
    subnets = await tx.all(SUBNETS, {"id": [one["subnet_id"] for one in fixed]})
    if sum(subnet.ip_version == 4 for subnet in subnets) > 1:
        raise BadRouterRequest(msg="Cannot have multiple IPv4 subnets on router port")
    await _check_overlap(tx, router, subnets)
    await tx.delete(PORT_GROUPS, port_id=port.id)
    await tx.update(
        PORTS,
        {"id": port.id},
        device_id=router.id,
        device_owner=INTERFACE,
        port_security_enabled=False,
        revision_number=port.revision_number + 1,
    )
    await touch(tx, "port", port.id)
    await touch(tx, "router", router.id)
    return port, [one["subnet_id"] for one in fixed]


async def remove_leg(
    tx: Transaction, router: Row, port_id: str | None, subnet_id: str | None
) -> tuple[Row, list[str]]:
    """Take an interface away, named by its port, its subnet, or both."""
    legs = await tx.all(PORTS, {"device_id": router.id, "device_owner": INTERFACE})
    on = await addresses.fixed_ips(tx, [leg.id for leg in legs])
    if port_id is not None:
        port = next((leg for leg in legs if leg.id == port_id), None)
        if port is None:
            raise RouterInterfaceNotFound(router_id=router.id, port_id=port_id)
        if subnet_id is not None and subnet_id not in [one["subnet_id"] for one in on[port.id]]:
            raise SubnetMismatchForPort(port_id=port_id, subnet_id=subnet_id)
    else:
        port = next((leg for leg in legs if any(one["subnet_id"] == subnet_id for one in on[leg.id])), None)
        if port is None:
            if subnet_id is None or not await tx.count(SUBNETS, id=subnet_id):
                raise SubnetNotFound(id=subnet_id)
            raise RouterInterfaceNotFoundForSubnet(router_id=router.id, subnet_id=subnet_id)
    subnet_ids = [one["subnet_id"] for one in on[port.id]]
    for one in subnet_ids:
        await _check_unused(tx, router, one)
    await delete_port(tx, port)
    await touch(tx, "router", router.id)
    return port, subnet_ids


async def has_leg(tx: Transaction, router: Row, subnet_id: str) -> bool:
    legs = await tx.all(PORTS, {"device_id": router.id, "device_owner": INTERFACE})
    ids = [leg.id for leg in legs]
    return bool(ids) and bool(await tx.count(ADDRESSES, port_id=ids, subnet_id=subnet_id))


async def check_routes(tx: Transaction, router: Row, routes: list[dict[str, str]], most: int) -> None:
    """Next hops must be reached through a leg, and must not be the router itself."""
    if len(routes) > most:
        raise RoutesExhausted(router_id=router.id, quota=most)
    if not routes:
        return
    legs = await tx.all(PORTS, {"device_id": router.id, "device_owner": (INTERFACE, GATEWAY)})
    taken = [
        one for fixed in (await addresses.fixed_ips(tx, [leg.id for leg in legs])).values() for one in fixed
    ]
    subnets = await tx.all(SUBNETS, {"id": [one["subnet_id"] for one in taken]}) if taken else []
    own = {one["ip_address"] for one in taken}
    for one in routes:
        hop = ipaddress.ip_address(one["nexthop"])
        if not any(hop in ipaddress.ip_network(subnet.cidr) for subnet in subnets):
            raise InvalidRoutes(routes=routes, reason="the nexthop is not connected with router")
        if one["nexthop"] in own:
            raise InvalidRoutes(routes=routes, reason="the nexthop is used by router")


async def router_for(tx: Transaction, subnet_id: str, external_network_id: str) -> Row | None:
    """A router that joins the subnet with the external network."""
    legs = await tx.fetch(
        select(PORTS.c.device_id)
        .select_from(PORTS.join(ADDRESSES, ADDRESSES.c.port_id == PORTS.c.id))
        .where(ADDRESSES.c.subnet_id == subnet_id, PORTS.c.device_owner == INTERFACE)
    )
    for leg in legs:
        router = await tx.find(ROUTERS, id=leg.device_id)
        if router is not None and router.gateway_network_id == external_network_id:
            return router
    return None


async def _check_unused(tx: Transaction, router: Row, subnet_id: str) -> None:
    """Nothing that goes through the leg may need it."""
    subnet = await tx.get(SUBNETS, id=subnet_id)
    prefix = ipaddress.ip_network(subnet.cidr)
    for floating in await tx.all(FLOATING_IPS, {"router_id": router.id}):
        used = await tx.find(ADDRESSES, port_id=floating.port_id, ip_address=floating.fixed_ip_address)
        if used is not None and used.subnet_id == subnet_id:
            raise RouterInterfaceInUseByFloatingIP(router_id=router.id, subnet_id=subnet_id)
    for one in router.routes:
        if ipaddress.ip_address(one["nexthop"]) in prefix:
            raise RouterInterfaceInUseByRoute(router_id=router.id, subnet_id=subnet_id)


async def _check_overlap(tx: Transaction, router: Row, new: list[Row]) -> None:
    legs = await tx.all(PORTS, {"device_id": router.id, "device_owner": (INTERFACE, GATEWAY)})
    taken = await addresses.fixed_ips(tx, [leg.id for leg in legs])
    ids = {one["subnet_id"] for fixed in taken.values() for one in fixed}
    there = await tx.all(SUBNETS, {"id": sorted(ids)}) if ids else []
    for subnet in new:
        prefix: Any = ipaddress.ip_network(subnet.cidr)
        for other in there:
            if other.id == subnet.id:
                raise BadRouterRequest(msg=f"Router already has a port on subnet {subnet.id}")
            if prefix.version == other.ip_version and prefix.overlaps(ipaddress.ip_network(other.cidr)):
                raise BadRouterRequest(
                    msg=f"Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {other.cidr} of subnet "
                    f"{other.id}"
                )


async def _check_subnets(tx: Transaction, router: Row, network: Row) -> None:
    """The subnets of a gateway's network are legs as well."""
    if router.gateway_network_id != network.id:
        await _check_overlap(tx, router, await tx.all(SUBNETS, {"network_id": network.id}))


async def _move_gateway(tx: Transaction, port_id: str, fixed: list[dict[str, str]]) -> None:
    port = await tx.get(PORTS, id=port_id)
    before = (await addresses.fixed_ips(tx, [port_id]))[port_id]
    if all(any(all(old.get(k) == v for k, v in one.items()) for old in before) for one in fixed):
        return
    await addresses.release(tx, port_id)
    await addresses.assign(tx, port, fixed, limit=len(fixed))
    await touch(tx, "port", port_id)
