"""Orchestration, as other rooms ask it."""

from typing import Any

from aerostat.kernel.client import Caller


class OrchestrationClient:
    """Stacks of the caller's own project. Raises `RoomError`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._base = f"/v1/{caller.context.project_id}"

    async def list_stacks(self, **query: Any) -> list[dict[str, Any]]:
        return list((await self._caller.get(f"{self._base}/stacks", **query))["stacks"])

    async def get_stack(self, name: str, id: str) -> dict[str, Any]:
        return dict((await self._caller.get(f"{self._base}/stacks/{name}/{id}"))["stack"])

    async def create_stack(self, **body: Any) -> dict[str, Any]:
        return dict((await self._caller.post(f"{self._base}/stacks", body))["stack"])

    async def delete_stack(self, name: str, id: str) -> None:
        await self._caller.delete(f"{self._base}/stacks/{name}/{id}")
