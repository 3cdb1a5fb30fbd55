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

    # What any of them has: `kind` is the word for one, such as `"project"`.

    async def list_of(self, kind: str, **query: Any) -> list[Thing]:
        return await self._list(_PLURALS[kind], query)

    async def get(self, kind: str, id: str) -> Thing:
        return await self._get(f"{_PLURALS[kind]}/{id}", kind)

    async def create(self, kind: str, **attributes: Any) -> Thing:
        return dict((await self._caller.post(f"/v3/{_PLURALS[kind]}", {kind: attributes}))[kind])

    async def update(self, kind: str, id: str, **attributes: Any) -> Thing:
        return dict((await self._caller.patch(f"/v3/{_PLURALS[kind]}/{id}", {kind: attributes}))[kind])

    async def delete(self, kind: str, id: str) -> None:
        await self._caller.delete(f"/v3/{_PLURALS[kind]}/{id}")

    # Roles and groups

    async def grant(self, role_id: str, **who_and_where: str) -> None:
        """`user=…` or `group=…`, `project=…` or `domain=…`. Granting again is no error."""
        await self._caller.put(_grant_path(role_id, who_and_where))

    async def revoke(self, role_id: str, **who_and_where: str) -> None:
        await self._caller.delete(_grant_path(role_id, who_and_where))

    async def list_role_names(self, user_id: str, project_id: str) -> list[str]:
        """Roles that a user has on a project by any way: groups, inheritance, other roles."""
        query = {"user.id": user_id, "scope.project.id": project_id, "effective": "", "include_names": ""}
        found = (await self._caller.get("/v3/role_assignments", **query))["role_assignments"]
        return sorted({one["role"]["name"] for one in found})

    async def list_groups_of(self, user_id: str) -> list[Thing]:
        return list((await self._caller.get(f"/v3/users/{user_id}/groups"))["groups"])

    async def add_to_group(self, group_id: str, user_id: str) -> None:
        await self._caller.put(f"/v3/groups/{group_id}/users/{user_id}")

    async def remove_from_group(self, group_id: str, user_id: str) -> None:
        await self._caller.delete(f"/v3/groups/{group_id}/users/{user_id}")

    async def _get(self, path: str, singular: str) -> Thing:
        return dict((await self._caller.get(f"/v3/{path}"))[singular])

    async def _list(self, plural: str, query: Thing) -> list[Thing]:
        return list((await self._caller.get(f"/v3/{plural}", **query))[plural])


_PLURALS = {
    "domain": "domains",
    "endpoint": "endpoints",
    "group": "groups",
    "project": "projects",
    "region": "regions",
    "role": "roles",
    "service": "services",
    "user": "users",
}


def _grant_path(role_id: str, who_and_where: dict[str, str]) -> str:
    (where,) = (one for one in ("project", "domain") if one in who_and_where)
    (who,) = (one for one in ("user", "group") if one in who_and_where)
    return f"/v3/{where}s/{who_and_where[where]}/{who}s/{who_and_where[who]}/roles/{role_id}"
