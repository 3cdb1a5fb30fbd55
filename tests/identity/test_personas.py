"""What administrators, domain managers, readers and members may do, and what they try in vain."""

from typing import Any

import pytest

from .conftest import Client, Persona


class World:
    """Two domains with a project, a user and a group each; `own` is that of the personas."""

    def __init__(self, admin: Client) -> None:
        self.admin = admin
        self.own: dict[str, str] = {}
        self.other: dict[str, str] = {}

    async def build(self) -> "World":
        for name, ids in (("own", self.own), ("other", self.other)):
            ids["domain"] = (await self.admin.make("domains", name=name))["id"]
            for kind in ("project", "user", "group"):
                made = await self.admin.make(f"{kind}s", name=f"{name} {kind}", domain_id=ids["domain"])
                ids[kind] = made["id"]
        return self

    async def persona(self, role: str, kind: str) -> Persona:
        place = "system" if kind == "system" else f"{kind}s/{self.own[kind]}"
        return await self.admin.persona(role, place, self.own["domain"])


@pytest.fixture
async def world(admin: Client) -> World:
    return await World(admin).build()


def things(ids: dict[str, str]) -> list[str]:
    return [f"{kind}s/{ids[kind]}" for kind in ("project", "user", "group")]


async def test_a_domain_manager_manages_the_own_domain(world: World) -> None:
    manager = await world.persona("manager", "domain")
    for kind in ("projects", "users", "groups"):
        single = kind.removesuffix("s")
        new = {"name": "new", "domain_id": world.own["domain"]}
        made = await manager.request("POST", kind, {single: new})
        assert made.status_code == 201, made.text
        view = made.json()[single]
        assert view["domain_id"] == world.own["domain"]
        path = f"{kind}/{view['id']}"
        assert await manager.status("PATCH", path, {single: {"name": "newer"}}) == 200
        listed = (await manager.request("GET", kind)).json()[kind]
        assert {one["domain_id"] for one in listed} == {world.own["domain"]}
        assert await manager.status("DELETE", path) == 204
    member = await world.admin.role_id("member")
    grant = f"projects/{world.own['project']}/users/{world.own['user']}/roles/{member}"
    assert await manager.status("PUT", grant) == 204
    assert await manager.status("HEAD", grant) == 204
    assert await manager.status("DELETE", grant) == 204
    membership = f"groups/{world.own['group']}/users/{world.own['user']}"
    assert await manager.status("PUT", membership) == 204
    assert await manager.status("DELETE", membership) == 204


async def test_a_domain_manager_does_not_reach_another_domain(world: World) -> None:
    manager, other = await world.persona("manager", "domain"), world.other
    for path in things(other):
        single = path.split("/")[0].removesuffix("s")
        assert await manager.status("GET", path) == 403
        assert await manager.status("PATCH", path, {single: {"name": "mine"}}) == 403
        assert await manager.status("DELETE", path) == 403
    for kind in ("projects", "users", "groups"):
        for domain in (other["domain"], "default", "absent"):
            body = {kind.removesuffix("s"): {"name": "x", "domain_id": domain}}
            assert await manager.status("POST", kind, body) == 403
        listed = (await manager.request("GET", f"{kind}?domain_id={other['domain']}")).json()[kind]
        assert listed == []
    below = {"project": {"name": "x", "parent_id": other["project"]}}
    assert await manager.status("POST", "projects", below) == 403
    below = {"project": {"name": "x", "parent_id": other["domain"]}}
    assert await manager.status("POST", "projects", below) == 403
    assert await manager.status("POST", "projects", {"project": {"name": "x", "is_domain": True}}) == 403
    assert await manager.status("POST", "domains", {"domain": {"name": "x"}}) == 403
    assert await manager.status("GET", f"domains/{other['domain']}") == 403
    assert await manager.status("DELETE", f"domains/{world.own['domain']}") == 403


async def test_a_domain_manager_grants_neither_more_than_allowed_nor_across_the_border(world: World) -> None:
    manager, own, other = await world.persona("manager", "domain"), world.own, world.other
    roles = {name: await world.admin.role_id(name) for name in ("admin", "member", "service")}
    for place in (f"projects/{own['project']}", f"domains/{own['domain']}"):
        for actor in (f"users/{manager.id}", f"users/{own['user']}", f"groups/{own['group']}"):
            for role in ("admin", "service"):
                assert await manager.status("PUT", f"{place}/{actor}/roles/{roles[role]}") == 403
                inherited = f"OS-INHERIT/{place}/{actor}/roles/{roles[role]}/inherited_to_projects"
                assert await manager.status("PUT", inherited) == 403
    member = roles["member"]
    assert (
        await manager.status("PUT", f"projects/{other['project']}/users/{manager.id}/roles/{member}") == 403
    )
    assert (
        await manager.status("PUT", f"projects/{own['project']}/users/{other['user']}/roles/{member}") == 403
    )
    assert await manager.status("PUT", f"domains/{other['domain']}/users/{manager.id}/roles/{member}") == 403
    assert await manager.status("PUT", f"system/users/{manager.id}/roles/{member}") == 403
    assert await manager.status("GET", f"system/users/{manager.id}/roles") == 403
    assert await manager.status("PUT", f"groups/{own['group']}/users/{other['user']}") == 403
    assert await manager.status("PUT", f"groups/{other['group']}/users/{manager.id}") == 403
    assert await manager.status("POST", "roles", {"role": {"name": "x"}}) == 403
    assert await manager.status("PUT", f"roles/{member}/implies/{roles['admin']}") == 403


async def test_a_manager_of_a_project_manages_no_identity(world: World) -> None:
    manager = await world.persona("manager", "project")
    for path in things(world.own)[1:]:
        assert await manager.status("DELETE", path) == 403
    for kind in ("projects", "users", "groups", "role_assignments", "roles", "services"):
        assert await manager.status("GET", kind) == 403, kind
    for kind in ("projects", "users", "groups"):
        assert await manager.status("POST", kind, {kind.removesuffix("s"): {"name": "x"}}) == 403


async def test_a_domain_reader_reads_the_own_domain(world: World) -> None:
    reader = await world.persona("reader", "domain")
    for path in things(world.own):
        assert await reader.status("GET", path) == 200
        single = path.split("/")[0].removesuffix("s")
        assert await reader.status("PATCH", path, {single: {"name": "mine"}}) == 403
        assert await reader.status("DELETE", path) == 403
    for path in things(world.other):
        assert await reader.status("GET", path) == 403
    await world.admin.grant(world.other["user"], "member", f"projects/{world.other['project']}")
    await world.admin.grant(world.other["user"], "member", f"projects/{world.own['project']}")
    for more in ("", "&effective", "&include_names", "&effective&include_names"):
        answer = await reader.request("GET", f"role_assignments?{more.strip('&')}")
        for one in answer.json()["role_assignments"]:
            place: Any = one["scope"].get("project") or one["scope"].get("domain")
            assert place["id"] in (world.own["project"], world.own["domain"]), one
        asked = f"role_assignments?scope.project.id={world.other['project']}{more}"
        assert (await reader.request("GET", asked)).json()["role_assignments"] == []
    tree = f"role_assignments?scope.project.id={world.other['project']}&include_subtree=true"
    assert await reader.status("GET", tree) == 403


async def test_a_system_reader_sees_all_and_changes_nothing(world: World) -> None:
    reader = await world.persona("reader", "system")
    for kind in (
        "projects",
        "users",
        "groups",
        "domains",
        "roles",
        "services",
        "endpoints",
        "role_assignments",
    ):
        assert await reader.status("GET", kind) == 200, kind
    for path in (*things(world.own), *things(world.other)):
        single = path.split("/")[0].removesuffix("s")
        assert await reader.status("GET", path) == 200
        assert await reader.status("PATCH", path, {single: {"name": "mine"}}) == 403
        assert await reader.status("DELETE", path) == 403
    assert await reader.status("POST", "regions", {"region": {"id": "x"}}) == 403
    assert await reader.status("PUT", "regions/x", {"region": {}}) == 403


async def test_a_member_sees_the_own_self_and_project(world: World) -> None:
    member = await world.persona("member", "project")
    own = world.own["project"]
    assert await member.status("GET", f"users/{member.id}") == 200
    assert await member.status("GET", f"users/{member.id}/projects") == 200
    assert await member.status("GET", f"users/{member.id}/groups") == 200
    assert await member.status("GET", f"projects/{own}") == 200
    assert await member.status("GET", f"projects/{own}/tags") == 200
    assert await member.status("GET", f"domains/{world.own['domain']}") == 200
    for path in (
        f"projects/{world.other['project']}",
        f"projects/{world.other['project']}/tags",
        f"users/{world.own['user']}",
        f"users/{world.own['user']}/projects",
        f"users/{world.own['user']}/groups",
        f"groups/{world.own['group']}",
        f"groups/{world.own['group']}/users",
        f"domains/{world.other['domain']}",
        "users",
        "projects",
        "groups",
        "domains",
        "roles",
        "services",
        "endpoints",
        "role_assignments",
        "role_inferences",
        f"role_assignments?user.id={member.id}",
        f"projects/{own}/users/{member.id}/roles",
    ):
        assert await member.status("GET", path) == 403, path
    role = await world.admin.role_id("admin")
    for method, path, body in (
        ("PUT", f"projects/{own}/users/{member.id}/roles/{role}", None),
        ("PUT", f"system/users/{member.id}/roles/{role}", None),
        ("PATCH", f"users/{member.id}", {"user": {"enabled": True}}),
        ("PATCH", f"users/{member.id}", {"user": {"password": "without the old one"}}),
        ("PATCH", f"projects/{own}", {"project": {"name": "x"}}),
        ("PUT", f"projects/{own}/tags/x", None),
        ("DELETE", f"projects/{own}", None),
        ("POST", "endpoints", {"endpoint": {"service_id": "x", "interface": "public", "url": "http://x"}}),
        ("POST", "services", {"service": {"type": "x"}}),
        ("POST", "regions", {"region": {"id": "x"}}),
        (
            "POST",
            "endpoints",
            {"endpoint": {"service_id": "x", "interface": "public", "url": "u", "region": "new"}},
        ),
        ("POST", "roles", {"role": {"name": "x"}}),
        ("POST", "domains", {"domain": {"name": "x"}}),
        ("PATCH", f"domains/{world.own['domain']}", {"domain": {"name": "x"}}),
    ):
        assert await member.status(method, path, body) == 403, (method, path)
    assert (await world.admin.get("/v3/regions/new")).status_code == 404


async def test_others_tokens_are_not_looked_into(world: World) -> None:
    one, two = await world.persona("member", "project"), await world.persona("member", "project")
    for method in ("GET", "HEAD", "DELETE"):
        headers = {"x-auth-token": one.token, "x-subject-token": two.token}
        answer = await world.admin.request(method, "/v3/auth/tokens", headers=headers)
        assert answer.status_code == 403, method
        headers = {"x-auth-token": one.token, "x-subject-token": one.token}
    assert (await world.admin.get("/v3/auth/tokens", headers=headers)).status_code == 200
    assert await two.status("GET", "auth/projects") == 200
