"""The network room as other rooms call it: in the name of whoever asked, by the public API.

Answers are plain dicts without the outer envelope, as the API shows them. Query values may be lists: any of them.
Every refusal is a `RoomError`.
"""

from typing import Any

from aerostat.kernel.client import Caller

Thing = dict[str, Any]
_BASE = "/v2.0"


class NetworkClient:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    # Networks

    async def list_networks(self, **query: Any) -> list[Thing]:
        return await self._list("networks", "networks", query)

    async def get_network(self, id: str) -> Thing:
        return await self._get(f"networks/{id}", "network")

    async def create_network(self, **attributes: Any) -> Thing:
        return await self._create("networks", "network", attributes)

    async def update_network(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"networks/{id}", "network", attributes)

    async def delete_network(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/networks/{id}")

    # Subnets

    async def list_subnets(self, **query: Any) -> list[Thing]:
        return await self._list("subnets", "subnets", query)

    async def get_subnet(self, id: str) -> Thing:
        return await self._get(f"subnets/{id}", "subnet")

    async def create_subnet(self, **attributes: Any) -> Thing:
        return await self._create("subnets", "subnet", attributes)

    async def update_subnet(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"subnets/{id}", "subnet", attributes)

    async def delete_subnet(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/subnets/{id}")

    # Subnet pools

    async def list_subnet_pools(self, **query: Any) -> list[Thing]:
        return await self._list("subnetpools", "subnetpools", query)

    async def get_subnet_pool(self, id: str) -> Thing:
        return await self._get(f"subnetpools/{id}", "subnetpool")

    async def create_subnet_pool(self, **attributes: Any) -> Thing:
        return await self._create("subnetpools", "subnetpool", attributes)

    async def update_subnet_pool(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"subnetpools/{id}", "subnetpool", attributes)

    async def delete_subnet_pool(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/subnetpools/{id}")

    # Ports

    async def list_ports(self, **query: Any) -> list[Thing]:
        return await self._list("ports", "ports", query)

    async def get_port(self, id: str) -> Thing:
        return await self._get(f"ports/{id}", "port")

    async def create_port(self, **attributes: Any) -> Thing:
        return await self._create("ports", "port", attributes)

    async def update_port(self, id: str, *, revision: int | None = None, **attributes: Any) -> Thing:
        """Attributes with a colon come by keyword expansion: `**{"binding:host_id": "node1"}`.

        `revision`: change it only if its `revision_number` is still this one; a `RoomError` of 412 otherwise.
        """
        headers = {} if revision is None else {"if-match": f"revision_number={revision}"}
        path, body = f"{_BASE}/ports/{id}", {"port": attributes}
        return dict((await self._caller.request("PUT", path, body, headers=headers))["port"])

    async def delete_port(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/ports/{id}")

    async def ensure_auto_topology(self, project_id: str) -> str:
        """The id of the network that the project gets without asking for a certain one; made if it is not there."""
        found = await self._get(f"auto-allocated-topology/{project_id}", "auto_allocated_topology")
        return str(found["id"])

    # Routers

    async def list_routers(self, **query: Any) -> list[Thing]:
        return await self._list("routers", "routers", query)

    async def get_router(self, id: str) -> Thing:
        return await self._get(f"routers/{id}", "router")

    async def create_router(self, **attributes: Any) -> Thing:
        return await self._create("routers", "router", attributes)

    async def update_router(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"routers/{id}", "router", attributes)

    async def delete_router(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/routers/{id}")

    async def add_router_interface(self, id: str, **where: str) -> Thing:
        """`where` is `subnet_id=…` or `port_id=…`; the answer names the interface's port and subnet."""
        return dict(await self._caller.put(f"{_BASE}/routers/{id}/add_router_interface", where))

    async def remove_router_interface(self, id: str, **where: str) -> Thing:
        return dict(await self._caller.put(f"{_BASE}/routers/{id}/remove_router_interface", where))

    async def add_extra_routes(self, id: str, routes: list[Thing]) -> None:
        """Routes that are there already are no error."""
        await self._caller.put(f"{_BASE}/routers/{id}/add_extraroutes", {"router": {"routes": routes}})

    async def remove_extra_routes(self, id: str, routes: list[Thing]) -> None:
        await self._caller.put(f"{_BASE}/routers/{id}/remove_extraroutes", {"router": {"routes": routes}})

    # Address scopes

    async def list_address_scopes(self, **query: Any) -> list[Thing]:
        return await self._list("address-scopes", "address_scopes", query)

    async def get_address_scope(self, id: str) -> Thing:
        return await self._get(f"address-scopes/{id}", "address_scope")

    async def create_address_scope(self, **attributes: Any) -> Thing:
        return await self._create("address-scopes", "address_scope", attributes)

    async def update_address_scope(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"address-scopes/{id}", "address_scope", attributes)

    async def delete_address_scope(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/address-scopes/{id}")

    # Policies that share things with other projects

    async def list_rbac_policies(self, **query: Any) -> list[Thing]:
        return await self._list("rbac-policies", "rbac_policies", query)

    async def get_rbac_policy(self, id: str) -> Thing:
        return await self._get(f"rbac-policies/{id}", "rbac_policy")

    async def create_rbac_policy(self, **attributes: Any) -> Thing:
        return await self._create("rbac-policies", "rbac_policy", attributes)

    async def update_rbac_policy(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"rbac-policies/{id}", "rbac_policy", attributes)

    async def delete_rbac_policy(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/rbac-policies/{id}")

    # Quotas

    async def set_quota(self, project_id: str, **limits: int) -> None:
        await self._update(f"quotas/{project_id}", "quota", limits)

    async def reset_quota(self, project_id: str) -> None:
        """Let the project have the usual limits again."""
        await self._caller.delete(f"{_BASE}/quotas/{project_id}")

    # Floating IPs

    async def list_floating_ips(self, **query: Any) -> list[Thing]:
        return await self._list("floatingips", "floatingips", query)

    async def get_floating_ip(self, id: str) -> Thing:
        return await self._get(f"floatingips/{id}", "floatingip")

    async def create_floating_ip(self, **attributes: Any) -> Thing:
        return await self._create("floatingips", "floatingip", attributes)

    async def update_floating_ip(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"floatingips/{id}", "floatingip", attributes)

    async def delete_floating_ip(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/floatingips/{id}")

    # Security groups

    async def list_security_groups(self, **query: Any) -> list[Thing]:
        return await self._list("security-groups", "security_groups", query)

    async def get_security_group(self, id: str) -> Thing:
        return await self._get(f"security-groups/{id}", "security_group")

    async def create_security_group(self, **attributes: Any) -> Thing:
        return await self._create("security-groups", "security_group", attributes)

    async def update_security_group(self, id: str, **attributes: Any) -> Thing:
        return await self._update(f"security-groups/{id}", "security_group", attributes)

    async def delete_security_group(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/security-groups/{id}")

    async def list_security_group_rules(self, **query: Any) -> list[Thing]:
        return await self._list("security-group-rules", "security_group_rules", query)

    async def get_security_group_rule(self, id: str) -> Thing:
        return await self._get(f"security-group-rules/{id}", "security_group_rule")

    async def create_security_group_rule(self, **attributes: Any) -> Thing:
        return await self._create("security-group-rules", "security_group_rule", attributes)

    async def delete_security_group_rule(self, id: str) -> None:
        await self._caller.delete(f"{_BASE}/security-group-rules/{id}")

    # How they are asked.

    async def _list(self, path: str, plural: str, query: dict[str, Any]) -> list[Thing]:
        return list((await self._caller.get(f"{_BASE}/{path}", **query))[plural])

    async def _get(self, path: str, singular: str) -> Thing:
        return dict((await self._caller.get(f"{_BASE}/{path}"))[singular])

    async def _create(self, path: str, singular: str, attributes: dict[str, Any]) -> Thing:
        return dict((await self._caller.post(f"{_BASE}/{path}", {singular: attributes}))[singular])

    async def _update(self, path: str, singular: str, attributes: dict[str, Any]) -> Thing:
        return dict((await self._caller.put(f"{_BASE}/{path}", {singular: attributes}))[singular])
