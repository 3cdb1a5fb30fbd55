"""Identity, as other rooms ask it. Answers are dicts without the envelope; every refusal is a `RoomError`."""

from typing import Any

from aerostat.kernel.client import Caller
from aerostat.kernel.quota import UnifiedLimits

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

    # Limits

    async def limits_of(self, service: str, project_id: str) -> UnifiedLimits:
        """What identity limits a project to in one service (`"image"`), by the names registered there.

        This is how a room obeys unified limits. It asks as the cloud itself, since a user does not see what its domain
        may have, and before its transaction, since none is open while another room is called:

            asking = req.house.client("identity", internal_context(req.request_id))
            unified = await asking.limits_of("image", project_id)
            async with req.db.transaction() as tx:
                await QUOTAS.check(tx, project_id, {"image_count_total": 1}, unified)
                …

        The names of the room's quotas are those under which an operator registers them. What nobody registered is in
        neither map, and the room's own limit stands.
        """
        caller = self._caller
        ids = [one["id"] for one in (await caller.get("/v3/services", type=service))["services"]]
        if not ids:
            return UnifiedLimits({})
        region = caller.house.config.kernel.region
        registered = (await caller.get("/v3/registered_limits", service_id=ids))["registered_limits"]
        defaults = _by_resource(registered, "default_limit", region)
        if not defaults:
            return UnifiedLimits({})
        found = (await caller.get("/v3/limits", service_id=ids, project_id=project_id))["limits"]
        own = defaults | _by_resource(found, "resource_limit", region)
        if (await caller.get("/v3/limits/model"))["model"]["name"] == "flat":
            return UnifiedLimits(own)
        domain_id = (await self.get_project(project_id))["domain_id"]
        found = (await caller.get("/v3/limits", service_id=ids, domain_id=domain_id))["limits"]
        projects = await self.list_projects(domain_id=domain_id)
        shared = defaults | _by_resource(found, "resource_limit", region)
        return UnifiedLimits(own, shared, tuple(one["id"] for one in projects))

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


def _by_resource(found: list[Thing], key: str, region: str) -> dict[str, int]:
    """Limits by what they limit; one of this region goes before one of every region."""
    here = [one for one in found if one["region_id"] in (None, region)]
    return {
        one["resource_name"]: one[key] for one in sorted(here, key=lambda one: one["region_id"] is not None)
    }


def _grant_path(role_id: str, who_and_where: dict[str, str]) -> str:
    (where,) = (one for one in ("project", "domain") if one in who_and_where)
    (who,) = (one for one in ("user", "group") if one in who_and_where)
    return f"/v3/{where}s/{who_and_where[where]}/{who}s/{who_and_where[who]}/roles/{role_id}"
