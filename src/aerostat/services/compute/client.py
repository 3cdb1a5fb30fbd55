"""The compute room as other rooms call it: its public API at its newest microversion, less the envelopes."""

from typing import Any

from aerostat.kernel.client import Caller

VERSION = "2.96"
GENERATES_KEYS = "2.91"  # the last version that does
LIMITS_OF_NETWORK = "2.35"  # the last version whose quotas know addresses and security groups
Thing = dict[str, Any]


class ComputeClient:
    """Servers, key pairs, flavors and what belongs to them. Every method raises `RoomError`."""

    def __init__(self, caller: Caller) -> None:
        self.caller = Caller(caller.house, caller.service, caller.context, VERSION)
        self._older = Caller(caller.house, caller.service, caller.context, GENERATES_KEYS)
        self._older_quota = Caller(caller.house, caller.service, caller.context, LIMITS_OF_NETWORK)

    # Servers

    async def create_server(self, hints: Thing | None = None, **attributes: Any) -> Thing:
        body: Thing = {"server": attributes}
        if hints:
            body["os:scheduler_hints"] = hints
        answer = await self.caller.post("/v2.1/servers", body)
        return dict(answer.get("server", answer))

    async def get_server(self, server_id: str) -> Thing:
        return await self._one(f"/v2.1/servers/{server_id}", "server")

    async def list_servers(self, **query: Any) -> list[Thing]:
        return await self._many("/v2.1/servers/detail", "servers", query)

    async def update_server(self, server_id: str, **attributes: Any) -> Thing:
        answer = await self.caller.put(f"/v2.1/servers/{server_id}", {"server": attributes})
        return dict(answer["server"])

    async def delete_server(self, server_id: str) -> None:
        await self.caller.delete(f"/v2.1/servers/{server_id}")

    async def act(self, server_id: str, action: str, argument: Any = None) -> Any:
        """Any action by its name on the wire: `act(id, "os-stop")`."""
        return await self.caller.post(f"/v2.1/servers/{server_id}/action", {action: argument})

    async def set_metadata(self, server_id: str, metadata: dict[str, str]) -> dict[str, str]:
        answer = await self.caller.put(f"/v2.1/servers/{server_id}/metadata", {"metadata": metadata})
        return dict(answer["metadata"])

    async def set_tags(self, server_id: str, tags: list[str]) -> None:
        await self.caller.put(f"/v2.1/servers/{server_id}/tags", {"tags": tags})

    # Interfaces

    async def list_interfaces(self, server_id: str) -> list[Thing]:
        return await self._many(f"/v2.1/servers/{server_id}/os-interface", "interfaceAttachments", {})

    async def attach_interface(self, server_id: str, **attributes: Any) -> Thing:
        body = {"interfaceAttachment": attributes}
        answer = await self.caller.post(f"/v2.1/servers/{server_id}/os-interface", body)
        return dict(answer["interfaceAttachment"])

    async def detach_interface(self, server_id: str, port_id: str) -> None:
        await self.caller.delete(f"/v2.1/servers/{server_id}/os-interface/{port_id}")

    async def get_console(self, server_id: str, protocol: str, kind: str) -> Thing:
        body = {"remote_console": {"protocol": protocol, "type": kind}}
        answer = await self.caller.post(f"/v2.1/servers/{server_id}/remote-consoles", body)
        return dict(answer["remote_console"])

    async def get_console_output(self, server_id: str, length: int | None = None) -> str:
        argument = {} if length is None else {"length": length}
        answer = await self.act(server_id, "os-getConsoleOutput", argument)
        return str(answer["output"])

    # Key pairs

    async def create_keypair(self, **attributes: Any) -> Thing:
        caller = self.caller if "public_key" in attributes else self._older
        answer = await caller.post("/v2.1/os-keypairs", {"keypair": attributes})
        return dict(answer["keypair"])

    async def get_keypair(self, name: str) -> Thing:
        return await self._one(f"/v2.1/os-keypairs/{name}", "keypair")

    async def delete_keypair(self, name: str) -> None:
        await self.caller.delete(f"/v2.1/os-keypairs/{name}")

    # Flavors

    async def create_flavor(self, extra_specs: dict[str, str] | None = None, **attributes: Any) -> Thing:
        flavor: Thing = (await self.caller.post("/v2.1/flavors", {"flavor": attributes}))["flavor"]
        if extra_specs:
            await self.set_flavor_extra_specs(flavor["id"], extra_specs)
        return flavor

    async def get_flavor(self, flavor_id: str) -> Thing:
        return await self._one(f"/v2.1/flavors/{flavor_id}", "flavor")

    async def list_flavors(self, **query: Any) -> list[Thing]:
        return await self._many("/v2.1/flavors/detail", "flavors", query)

    async def find_flavor(self, name_or_id: str) -> Thing | None:
        """The flavor of that id, or else of that name, that the caller may use."""
        flavors = await self.list_flavors(**({"is_public": "None"} if self.caller.context.is_admin else {}))
        by_id = [flavor for flavor in flavors if flavor["id"] == name_or_id]
        by_name = [flavor for flavor in flavors if flavor["name"] == name_or_id]
        return next(iter([*by_id, *by_name]), None)

    async def delete_flavor(self, flavor_id: str) -> None:
        await self.caller.delete(f"/v2.1/flavors/{flavor_id}")

    async def set_flavor_extra_specs(self, flavor_id: str, specs: dict[str, str]) -> None:
        await self.caller.post(f"/v2.1/flavors/{flavor_id}/os-extra_specs", {"extra_specs": specs})

    async def add_flavor_access(self, flavor_id: str, project_id: str) -> None:
        await self.caller.post(
            f"/v2.1/flavors/{flavor_id}/action", {"addTenantAccess": {"tenant": project_id}}
        )

    # Server groups

    async def create_server_group(self, **attributes: Any) -> Thing:
        answer = await self.caller.post("/v2.1/os-server-groups", {"server_group": attributes})
        return dict(answer["server_group"])

    async def get_server_group(self, group_id: str) -> Thing:
        return await self._one(f"/v2.1/os-server-groups/{group_id}", "server_group")

    async def delete_server_group(self, group_id: str) -> None:
        await self.caller.delete(f"/v2.1/os-server-groups/{group_id}")

    async def list_server_groups(self) -> list[Thing]:
        return list((await self.caller.get("/v2.1/os-server-groups"))["server_groups"])

    # Aggregates

    async def list_aggregates(self) -> list[Thing]:
        return list((await self.caller.get("/v2.1/os-aggregates"))["aggregates"])

    async def get_aggregate(self, id: str) -> Thing:
        return await self._one(f"/v2.1/os-aggregates/{id}", "aggregate")

    async def create_aggregate(self, **attributes: Any) -> Thing:
        answer = await self.caller.post("/v2.1/os-aggregates", {"aggregate": attributes})
        return dict(answer["aggregate"])

    async def update_aggregate(self, id: str, **attributes: Any) -> None:
        await self.caller.put(f"/v2.1/os-aggregates/{id}", {"aggregate": attributes})

    async def act_on_aggregate(self, id: str, action: str, **argument: Any) -> None:
        """`add_host`, `remove_host` with `host`; `set_metadata` with `metadata`, where null takes a key away."""
        await self.caller.post(f"/v2.1/os-aggregates/{id}/action", {action: argument})

    async def delete_aggregate(self, id: str) -> None:
        await self.caller.delete(f"/v2.1/os-aggregates/{id}")

    # Quotas

    async def set_quota(self, project_id: str, **limits: int) -> None:
        await self._older_quota.put(f"/v2.1/os-quota-sets/{project_id}", {"quota_set": limits})

    async def reset_quota(self, project_id: str) -> None:
        """Let the project have the usual limits again."""
        await self.caller.delete(f"/v2.1/os-quota-sets/{project_id}")

    async def _one(self, path: str, key: str) -> Thing:
        return dict((await self.caller.get(path))[key])

    async def _many(self, path: str, key: str, query: Thing) -> list[Thing]:
        """All pages, one after the other."""
        found: list[Thing] = []
        marker = None
        while True:
            answer = await self.caller.get(path, **query, **({"marker": marker} if marker else {}))
            found += answer[key]
            if f"{key}_links" not in answer or not answer[key]:
                return found
            marker = answer[key][-1]["id"]
