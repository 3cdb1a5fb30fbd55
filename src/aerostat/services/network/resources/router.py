"""Routers: they join subnets, and lead out through an external network.

https://docs.openstack.org/api-ref/network/v2/#routers-routers
"""

from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, admin, project_member, project_reader
from aerostat.kernel.resource import Rows, route

from .. import addresses, model, router_legs, values
from ..changes import touch
from ..config import NetworkConfig
from ..errors import RouterInUse, RouterNotFound, refuse_body, refuse_value
from ..ports import INTERFACE
from ..resource import NetworkResource

_GATEWAY_SCHEMA = {
    "type": ["object", "null"],
    "properties": {
        "network_id": {"type": ["string", "null"]},
        "enable_snat": {"type": ["boolean", "string"]},
        "external_fixed_ips": {"type": ["array", "null"]},
        "qos_policy_id": {"type": "null"},
    },
    "additionalProperties": False,
}
_ROUTES = {"type": ["array", "null"]}
_BY_PORT_OR_SUBNET = {
    "type": "object",
    "properties": {
        "subnet_id": {"type": ["string", "null"]},
        "port_id": {"type": ["string", "null"]},
        "router_id": {},
    },
    "additionalProperties": False,
}
_WITH_ROUTES = {
    "type": "object",
    "properties": {
        "router": {
            "type": "object",
            "properties": {"routes": _ROUTES},
            "required": ["routes"],
            "additionalProperties": False,
        }
    },
    "required": ["router"],
    "additionalProperties": False,
}


def _gateway_view(row: Row, req: Request) -> dict[str, Any] | None:
    if row.gateway_port_id is None:
        return None
    return {
        "network_id": row.gateway_network_id,
        "enable_snat": row.enable_snat,
        "external_fixed_ips": row.gateway_ips,
    }


def _read_gateway(value: Any) -> Any:
    if not value or not value.get("network_id"):
        return None
    values.uuid(value["network_id"])
    read = {"network_id": value["network_id"]}
    if "enable_snat" in value:
        read["enable_snat"] = Field(bool).convert(value["enable_snat"])
    if value.get("external_fixed_ips"):
        read["external_fixed_ips"] = values.fixed_ips(value["external_fixed_ips"])
    return read


class Router(NetworkResource):
    singular, plural = "router", "routers"
    table = model.ROUTERS
    not_found = RouterNotFound
    quota = "router"
    policy = Policy(
        "{verb}_router",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=admin | project_reader,
        show=admin | project_reader,
    )
    attribute_rules = {
        f"{verb}_router:{name}": rule
        for verb in ("create", "update")
        for name, rule in (
            ("ha", admin),
            ("distributed", admin),
            ("external_gateway_info", admin | project_member),
            ("external_gateway_info:network_id", admin | project_member),
            ("external_gateway_info:enable_snat", admin),
            ("external_gateway_info:external_fixed_ips", admin),
        )
    }
    readers = {"external_gateway_info": _read_gateway, "extra_routes": values.routes, "tags": values.tags}

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    state = Field(str, wire="status", column="status")
    admin_state_up = Field(bool, create="optional", update="optional", default=True)
    external_gateway_info = Field(
        dict, create="optional", update="optional", schema=_GATEWAY_SCHEMA, compute=_gateway_view
    )
    extra_routes = Field(
        list,
        wire="routes",
        column="routes",
        create="optional",
        update="optional",
        nullable=True,
        default=list,
    )
    availability_zone_hints = Field(list, create="optional", default=list)
    availability_zones = Field(
        list, compute=lambda row, req: [req.house.config.section(NetworkConfig).availability_zone]
    )
    flavor_id = Field(str, compute=lambda row, req: None)

    async def _check_attributes(self, req: Request, verb: Any, given: Any, target: dict[str, Any]) -> None:
        await super()._check_attributes(req, verb, given, target)
        gateway = given.get("external_gateway_info") or {}
        for name in gateway:
            # To say what would be the case anyway is no privilege.
            if not (name == "enable_snat" and gateway[name]):
                req.check(f"{verb}_router:external_gateway_info:{name}", target)

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        gateway, routes = new.pop("external_gateway_info", None), new.pop("extra_routes", None)
        row = await tx.insert(model.ROUTERS, **new)
        if gateway:
            row = await router_legs.set_gateway(req, tx, row, gateway)
        if routes:
            await self._check_routes(req, tx, row, routes)
            await tx.update(model.ROUTERS, {"id": row.id}, routes=routes)
            row["routes"] = routes
        await touch(tx, "router", row.id)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        if "external_gateway_info" in changes:
            gateway = changes.pop("external_gateway_info")
            if gateway:
                row = await router_legs.set_gateway(req, tx, row, gateway)
            else:
                row = await router_legs.clear_gateway(tx, row)
        if "extra_routes" in changes:
            changes["routes"] = changes.pop("extra_routes") or []
            await self._check_routes(req, tx, row, changes["routes"])
        await touch(tx, "router", row.id)
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        if await tx.count(model.PORTS, device_id=row.id, device_owner=INTERFACE):
            raise RouterInUse(row.id)
        if await tx.count(model.FLOATING_IPS, router_id=row.id):
            raise RouterInUse(row.id, "still has floating IPs")
        await router_legs.clear_gateway(tx, row)
        await touch(tx, "router", row.id)

    async def prepare(self, req: Request, rows: Rows) -> None:
        ports = [row.gateway_port_id for row in rows if row.gateway_port_id]
        found = await addresses.fixed_ips(req.db, ports)
        for row in rows:
            row["gateway_ips"] = found.get(row.gateway_port_id, [])

    @route("PUT", "/routers/{id}/add_router_interface", body=_BY_PORT_OR_SUBNET)
    async def add_router_interface(self, req: Request, id: str) -> dict[str, Any]:
        router, port_id, subnet_id = await self._interface(req, id, "add_router_interface")
        if port_id and subnet_id:
            raise refuse_body("Cannot specify both subnet-id and port-id")
        async with req.db.transaction() as tx:
            router = await self._current(req, tx, router)
            if port_id:
                port, subnets = await router_legs.add_port(req, tx, router, port_id)
            else:
                port, subnets = await router_legs.add_subnet(req, tx, router, subnet_id)
            await self._revise(tx, router)
        return _interface_view(router, port, subnets)

    @route("PUT", "/routers/{id}/remove_router_interface", body=_BY_PORT_OR_SUBNET)
    async def remove_router_interface(self, req: Request, id: str) -> dict[str, Any]:
        router, port_id, subnet_id = await self._interface(req, id, "remove_router_interface")
        async with req.db.transaction() as tx:
            router = await self._current(req, tx, router)
            port, subnets = await router_legs.remove_leg(tx, router, port_id, subnet_id)
            await self._revise(tx, router)
        return _interface_view(router, port, subnets)

    @route("PUT", "/routers/{id}/add_extraroutes", body=_WITH_ROUTES)
    async def add_extraroutes(self, req: Request, id: str) -> Any:
        return await self._alter_routes(req, id, "add_extraroutes")

    @route("PUT", "/routers/{id}/remove_extraroutes", body=_WITH_ROUTES)
    async def remove_extraroutes(self, req: Request, id: str) -> Any:
        return await self._alter_routes(req, id, "remove_extraroutes")

    def rules(self) -> Any:
        from aerostat.kernel.policy import Rule

        verbs = ("add_router_interface", "remove_router_interface", "add_extraroutes", "remove_extraroutes")
        text = (admin | project_member).text
        return [*super().rules(), *(Rule(name=verb, text=text) for verb in verbs)]

    async def _interface(self, req: Request, id: str, rule: str) -> tuple[Row, str | None, str | None]:
        router = await self.find(req, id)
        req.check(rule, self.target(router))
        req.resource_id = router.id
        body = req.body or {}
        port_id, subnet_id = body.get("port_id"), body.get("subnet_id")
        if not port_id and not subnet_id:
            raise refuse_body("Either subnet_id or port_id must be specified")
        for name, value in (("port_id", port_id), ("subnet_id", subnet_id)):
            try:
                values.uuid_or_none(value)
            except ValueError as error:
                raise refuse_value(name, str(error)) from None
        return router, port_id, subnet_id

    async def _alter_routes(self, req: Request, id: str, rule: str) -> Any:
        router = await self.find(req, id)
        req.check(rule, self.target(router))
        try:
            asked = values.routes(req.body["router"]["routes"])
        except ValueError as error:
            raise refuse_value("routes", str(error)) from None
        async with req.db.transaction() as tx:
            router = await self._current(req, tx, router)
            rest = [one for one in router.routes if one not in asked]
            routes = [*rest, *asked] if rule == "add_extraroutes" else rest
            await self._check_routes(req, tx, router, routes)
            await tx.update(model.ROUTERS, {"id": router.id}, routes=routes)
            await self._revise(tx, router)
            await touch(tx, "router", router.id)
            router = await tx.get(model.ROUTERS, id=router.id)
        return await self.render(req, router)

    async def _check_routes(self, req: Request, tx: Transaction, row: Row, routes: list[Any]) -> None:
        await router_legs.check_routes(tx, row, routes, req.house.config.section(NetworkConfig).max_routes)

    async def _revise(self, tx: Transaction, row: Row) -> None:
        await tx.update(model.ROUTERS, {"id": row.id}, revision_number=row.revision_number + 1)


def _interface_view(router: Row, port: Row, subnet_ids: list[str]) -> dict[str, Any]:
    return {
        "id": router.id,
        "tenant_id": router.project_id,
        "project_id": router.project_id,
        "port_id": port.id,
        "network_id": port.network_id,
        "subnet_id": subnet_ids[0] if subnet_ids else None,
        "subnet_ids": subnet_ids,
        "tags": router.tags,
    }
