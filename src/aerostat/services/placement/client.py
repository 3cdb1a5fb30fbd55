"""Placement, as compute asks it."""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.client import Caller, RoomError

from .versions import VERSIONS


class PlacementClient:
    """Always in the newest version. Raises `RoomError` with placement's status and words."""

    def __init__(self, caller: Caller) -> None:
        caller.version = str(VERSIONS.maximum)
        self._caller = caller

    async def ensure_provider(self, id: str, name: str) -> dict[str, Any]:
        """The provider with this id; made if it is not there."""
        try:
            return dict(await self._caller.get(f"/resource_providers/{id}"))
        except RoomError as error:
            if error.status != 404:
                raise
        return dict(await self._caller.post("/resource_providers", {"uuid": id, "name": name}))

    async def list_providers(self) -> list[dict[str, Any]]:
        answer: dict[str, Any] = await self._caller.get("/resource_providers")
        found: list[dict[str, Any]] = answer["resource_providers"]
        return found

    async def delete_provider(self, id: str) -> None:
        try:
            await self._caller.delete(f"/resource_providers/{id}")
        except RoomError as error:
            if error.status != 404:
                raise

    async def set_inventories(self, id: str, inventories: Mapping[str, Mapping[str, Any]]) -> None:
        """Let the provider have exactly these inventories; nothing is sent when it has."""
        present = await self._caller.get(f"/resource_providers/{id}/inventories")
        if present["inventories"] == inventories:
            return
        body = {
            "resource_provider_generation": present["resource_provider_generation"],
            "inventories": inventories,
        }
        await self._caller.put(f"/resource_providers/{id}/inventories", body)

    async def get_inventories(self, id: str) -> dict[str, dict[str, Any]]:
        return dict((await self._caller.get(f"/resource_providers/{id}/inventories"))["inventories"])

    async def get_usages(self, id: str) -> dict[str, int]:
        return dict((await self._caller.get(f"/resource_providers/{id}/usages"))["usages"])

    async def provider_allocations(self, id: str) -> dict[str, Any]:
        """Consumer id → what it holds of the provider."""
        return dict((await self._caller.get(f"/resource_providers/{id}/allocations"))["allocations"])

    async def allocation_candidates(self, resources: Mapping[str, int], **query: Any) -> dict[str, Any]:
        asked = ",".join(f"{name}:{amount}" for name, amount in resources.items())
        return dict(await self._caller.get("/allocation_candidates", resources=asked, **query))

    async def set_allocations(
        self, consumer_id: str, wanted: Mapping[str, Mapping[str, int]], *, project_id: str, user_id: str
    ) -> None:
        """Let the consumer hold exactly `wanted` (provider → class → amount)."""
        body = {
            "allocations": {provider: {"resources": dict(amounts)} for provider, amounts in wanted.items()},
            "project_id": project_id,
            "user_id": user_id,
        }
        await self._caller.put(f"/allocations/{consumer_id}", body)

    async def set_allocations_of(
        self,
        wanted: Mapping[str, Mapping[str, Mapping[str, int]]],
        *,
        project_id: str,
        user_id: str,
    ) -> None:
        """Let each consumer hold exactly what `wanted` says (consumer → provider → class → amount): all or none."""
        body = {
            consumer: {
                "allocations": {id: {"resources": dict(amounts)} for id, amounts in of_one.items()},
                "project_id": project_id,
                "user_id": user_id,
            }
            for consumer, of_one in wanted.items()
        }
        await self._caller.post("/allocations", body)

    async def delete_allocations(self, consumer_id: str) -> None:
        """Give back whatever the consumer holds; holding nothing is success."""
        try:
            await self._caller.delete(f"/allocations/{consumer_id}")
        except RoomError as error:
            if error.status != 404:
                raise
