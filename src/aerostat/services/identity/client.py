"""Identity, as other rooms ask it. Answers are dicts without the envelope; every refusal is a `RoomError`."""

from typing import Any

from aerostat.kernel.client import Caller

Thing = dict[str, Any]


class IdentityClient:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get_domain(self, id: str) -> Thing:
        return await self._get(f"domains/{id}", "domain")

    async def list_domains(self, **query: Any) -> list[Thing]:
        return await self._list("domains", query)

    async def get_project(self, id: str) -> Thing:
        return await self._get(f"projects/{id}", "project")

    async def list_projects(self, **query: Any) -> list[Thing]:
        return await self._list("projects", query)

    async def get_user(self, id: str) -> Thing:
        return await self._get(f"users/{id}", "user")

    async def list_users(self, **query: Any) -> list[Thing]:
        return await self._list("users", query)

    async def get_group(self, id: str) -> Thing:
        return await self._get(f"groups/{id}", "group")

    async def list_groups(self, **query: Any) -> list[Thing]:
        return await self._list("groups", query)

    async def get_role(self, id: str) -> Thing:
        return await self._get(f"roles/{id}", "role")

    async def list_roles(self, **query: Any) -> list[Thing]:
        return await self._list("roles", query)

    async def get_service(self, id: str) -> Thing:
        return await self._get(f"services/{id}", "service")

    async def list_services(self, **query: Any) -> list[Thing]:
        return await self._list("services", query)

    async def get_region(self, id: str) -> Thing:
        return await self._get(f"regions/{id}", "region")

    async def _get(self, path: str, singular: str) -> Thing:
        return dict((await self._caller.get(f"/v3/{path}"))[singular])

    async def _list(self, plural: str, query: Thing) -> list[Thing]:
        return list((await self._caller.get(f"/v3/{plural}", **query))[plural])
