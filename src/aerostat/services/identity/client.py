"""Identity, as other rooms ask it."""

from typing import Any

from aerostat.kernel.client import Caller


class IdentityClient:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get_project(self, id: str) -> dict[str, Any]:
        return (await self._caller.get(f"/v3/projects/{id}"))["project"]  # type: ignore[no-any-return]

    async def get_user(self, id: str) -> dict[str, Any]:
        return (await self._caller.get(f"/v3/users/{id}"))["user"]  # type: ignore[no-any-return]

    async def list_projects(self, **query: Any) -> list[dict[str, Any]]:
        return (await self._caller.get("/v3/projects", **query))["projects"]  # type: ignore[no-any-return]
