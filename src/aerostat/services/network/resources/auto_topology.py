"""A network that reaches outside, for a project that has not made one: made at the first question, whole or not at all.

https://docs.openstack.org/api-ref/network/v2/#auto-allocated-topology-auto-allocated-topology
"""

from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Rule, admin, project_member, project_reader
from aerostat.kernel.resource import Resource, route

from .. import model, router_legs
from ..errors import AutoAllocationFailure, AutoTopologyNotFound, refuse_body
from ..quotas import QUOTAS
from ..sight import sees_all
from .network import Network
from .router import Router
from .subnet import Subnet

_NETWORK, _ROUTER = "auto_allocated_network", "auto_allocated_router"


class AutoTopology(Resource):
    extra_rules = (
        Rule(name="get_auto_allocated_topology", text=(admin | project_reader).text),
        Rule(name="delete_auto_allocated_topology", text=(admin | project_member).text),
    )

    @route("GET", "/auto-allocated-topology/{project_id}")
    async def get_or_make(self, req: Request, project_id: str) -> dict[str, Any]:
        project_id = self._project(req, "get", project_id)
        dry = "dry-run" in req.query.get("fields", [])
        async with req.db.transaction() as tx:
            await tx.lock(f"network.auto_topology.{project_id}")
            known = await tx.find(model.AUTO_TOPOLOGIES, project_id=project_id)
            network_id = known.network_id if known else None
            if network_id is None:
                external, pools = await self._ingredients(tx)
                if not dry:
                    network_id = await self._build(req, tx, project_id, external, pools)
        shown = "dry-run=pass" if dry else network_id
        return {"auto_allocated_topology": {"id": shown, "tenant_id": project_id, "project_id": project_id}}

    @route("DELETE", "/auto-allocated-topology/{project_id}", status=204)
    async def take_away(self, req: Request, project_id: str) -> None:
        project_id = self._project(req, "delete", project_id)
        async with req.db.transaction() as tx:
            known = await tx.find(model.AUTO_TOPOLOGIES, project_id=project_id)
            if known is None:
                raise AutoTopologyNotFound(project_id=project_id)
            await self._take_down(req, tx, known)

    def _project(self, req: Request, verb: str, project_id: str) -> str:
        if project_id in ("None", "null"):
            project_id = req.context.project_id or ""
        if project_id != req.context.project_id and not sees_all(req.context):
            raise refuse_body("The project of an auto-allocated topology is one's own")
        req.check(f"{verb}_auto_allocated_topology", {"project_id": project_id})
        return project_id

    async def _ingredients(self, tx: Transaction) -> tuple[Row, list[Row]]:
        external = await tx.find(model.NETWORKS, external=True, is_default=True)
        if external is None:
            raise AutoAllocationFailure(reason="No default router:external network")
        pools = await tx.all(model.SUBNET_POOLS, {"is_default": True}, order="ip_version")
        if not pools:
            raise AutoAllocationFailure(reason="No default subnetpools defined")
        return external, pools

    async def _build(
        self, req: Request, tx: Transaction, project_id: str, external: Row, pools: list[Row]
    ) -> str:
        await QUOTAS.check(tx, project_id, {"network": 1, "subnet": len(pools), "router": 1})
        networks, subnets = self.service.resource(Network), self.service.resource(Subnet)
        network = await networks.make(req, tx, networks.filled(project_id, name=_NETWORK))
        gateway = {"network_id": external.id}
        routers = self.service.resource(Router)
        router = await routers.make(
            req, tx, routers.filled(project_id, name=_ROUTER, external_gateway_info=gateway)
        )
        for pool in pools:
            new = subnets.filled(
                project_id,
                name=f"auto_allocated_subnet_v{pool.ip_version}",
                network_id=network.id,
                subnetpool_id=pool.id,
                ip_version=pool.ip_version,
            )
            subnet = await subnets.make(req, tx, new)
            await router_legs.add_subnet(req, tx, router, subnet.id)
        await tx.insert(
            model.AUTO_TOPOLOGIES, project_id=project_id, network_id=network.id, router_id=router.id
        )
        return str(network.id)

    async def _take_down(self, req: Request, tx: Transaction, known: Row) -> None:
        """What the project took away itself meanwhile is no hindrance; what it uses is."""
        router = await tx.find(model.ROUTERS, id=known.router_id)
        if router is not None:
            for subnet in await tx.all(model.SUBNETS, {"network_id": known.network_id}):
                if await router_legs.has_leg(tx, router, subnet.id):
                    await router_legs.remove_leg(tx, router, None, subnet.id)
            await self.service.resource(Router).remove(req, tx, router)
            await tx.delete(model.ROUTERS, id=router.id)
        network = await tx.find(model.NETWORKS, id=known.network_id)
        if network is not None:
            await self.service.resource(Network).remove(req, tx, network)
            await tx.delete(model.NETWORKS, id=network.id)
        await tx.delete(model.AUTO_TOPOLOGIES, project_id=known.project_id)
