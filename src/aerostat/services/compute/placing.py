"""What compute says to the placement room: providers and inventories of hosts, claims of servers.

A server's claim is its allocation: consumer = server id. Claiming again replaces the claim, releasing what is not
claimed is success, so flows may repeat both.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row

from .config import ComputeConfig

VCPU, MEMORY_MB, DISK_GB = "VCPU", "MEMORY_MB", "DISK_GB"


def resources_of(flavor: Mapping[str, Any]) -> dict[str, int]:
    """What a flavor takes of a host, by resource class; classes of which it takes nothing are left out."""
    swap_gib = -(-flavor["swap_mib"] // 1024)
    amounts = {
        MEMORY_MB: flavor["memory_mib"],  # first: hosts with most memory free are offered first
        VCPU: flavor["vcpus"],
        DISK_GB: flavor["disk_gib"] + flavor["ephemeral_gib"] + swap_gib,
    }
    return {kind: amount for kind, amount in amounts.items() if amount}


def inventories_of(facts: Mapping[str, Any], config: ComputeConfig) -> dict[str, dict[str, Any]]:
    """A host's inventories as placement wants them."""

    def inventory(total: int, reserved: int, ratio: float) -> dict[str, Any]:
        return {
            "total": total,
            "reserved": min(reserved, total),
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": ratio,
        }

    made = {
        VCPU: inventory(facts["vcpus"], 0, config.cpu_ratio),
        MEMORY_MB: inventory(facts["memory_mib"], config.reserved_host_memory_mib, config.ram_ratio),
        DISK_GB: inventory(facts["disk_gib"], config.reserved_host_disk_gib, config.disk_ratio),
    }
    return {kind: one for kind, one in made.items() if one["total"] > 0}


class Placing:
    """The placement room as compute uses it, in the cloud's own name."""

    def __init__(self, house: Any, request_id: str) -> None:
        self._client = house.client("placement", internal_context(request_id, "compute"))

    async def ensure_host(self, host_id: str, name: str, inventories: Mapping[str, Any]) -> None:
        """Make the host's provider and its inventories what they should be."""
        await self._client.ensure_provider(host_id, name)
        await self._client.set_inventories(host_id, inventories)

    async def generations(self) -> dict[str, int]:
        """The generation of every provider by id; it moves on with each change of inventories or allocations."""
        return {one["uuid"]: one["generation"] for one in await self._client.list_providers()}

    async def inventories(self, host_id: str) -> dict[str, dict[str, Any]] | None:
        """The host's inventories as placement has them; None if it has no such provider."""
        try:
            found: dict[str, dict[str, Any]] = await self._client.get_inventories(host_id)
        except RoomError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def remove_host(self, host_id: str) -> None:
        await self._client.delete_provider(host_id)

    async def candidates(self, resources: Mapping[str, int], **query: Any) -> dict[str, dict[str, int]]:
        """Providers that have room for `resources`, each with what is free of each class.

        Those with most of the first class come first; `limit=` and placement's other arguments narrow the answer.
        """
        found = await self._client.allocation_candidates(resources, **query)
        return {
            provider: {kind: amount["capacity"] - amount["used"] for kind, amount in one["resources"].items()}
            for provider, one in found["provider_summaries"].items()
        }

    async def free_everywhere(self, kinds: Iterable[str]) -> dict[str, dict[str, int]]:
        """What is free of each of these classes on every provider that has any of it left."""
        left: dict[str, dict[str, int]] = {}
        for kind in kinds:
            for provider, amounts in (await self.candidates({kind: 1})).items():
                left.setdefault(provider, {}).update(amounts)
        return left

    async def free_on(self, host_id: str) -> dict[str, int]:
        """What is free on one host, whether or not anything fits; empty if placement does not know it."""
        inventories = await self.inventories(host_id)
        if inventories is None:
            return {}
        usages = await self._client.get_usages(host_id)
        return {
            kind: int((one["total"] - one["reserved"]) * one["allocation_ratio"]) - usages.get(kind, 0)
            for kind, one in inventories.items()
        }

    async def claim(self, server: Row, host_id: str, resources: Mapping[str, int]) -> bool:
        """Take the resources on a host for the server; False if somebody else was faster."""
        try:
            await self._client.set_allocations(
                server.id,
                {host_id: dict(resources)},
                project_id=server.project_id,
                user_id=server.user_id,
            )
        except RoomError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def hold_both(
        self, server: Row, move_id: str, source_id: str, dest_id: str, resources: Mapping[str, int]
    ) -> bool:
        """For a server that moves: it holds the target, its migration what it leaves; False if there is no room."""
        wanted = {move_id: {source_id: dict(resources)}, server.id: {dest_id: dict(resources)}}
        try:
            await self._client.set_allocations_of(
                wanted, project_id=server.project_id, user_id=server.user_id
            )
        except RoomError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def hold_one(self, server: Row, move_id: str, host_id: str, resources: Mapping[str, int]) -> None:
        """The move is over: the server holds this host, the migration nothing."""
        wanted = {move_id: {}, server.id: {host_id: dict(resources)}}
        await self._client.set_allocations_of(wanted, project_id=server.project_id, user_id=server.user_id)

    async def release(self, server_id: str) -> None:
        await self._client.delete_allocations(server_id)

    async def claims_on(self, host_id: str) -> dict[str, dict[str, int]]:
        """How much of each class everybody who has a claim on the host holds of it, by consumer."""
        held = await self._client.provider_allocations(host_id)
        return {consumer: dict(one["resources"]) for consumer, one in held.items()}
