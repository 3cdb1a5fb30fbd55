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

    async def find_stack(self, id: str) -> dict[str, Any] | None:
        """The stack of this id, nested and deleted ones too; for an administrator, anybody's."""
        query = {"id": id, "show_nested": True, "show_deleted": True}
        if self._caller.context.is_admin:
            query["global_tenant"] = True
        return next(iter(await self.list_stacks(**query)), None)

    async def list_resources(self, stack: dict[str, Any], *, nested_depth: int = 0) -> list[dict[str, Any]]:
        """Of a stack as `find_stack` answers it. In each, `links` say which stack it is of."""
        base = f"/v1/{stack.get('project') or self._caller.context.project_id}"
        path = f"{base}/stacks/{stack['stack_name']}/{stack['id']}/resources"
        return list((await self._caller.get(path, nested_depth=nested_depth))["resources"])

    async def get_stack(self, name: str, id: str) -> dict[str, Any]:
        return dict((await self._caller.get(f"{self._base}/stacks/{name}/{id}"))["stack"])

    async def create_stack(self, **body: Any) -> dict[str, Any]:
        return dict((await self._caller.post(f"{self._base}/stacks", body))["stack"])

    async def delete_stack(self, name: str, id: str) -> None:
        await self._caller.delete(f"{self._base}/stacks/{name}/{id}")
