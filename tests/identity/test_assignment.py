"""Grants of each kind, inherited ones, and the list of them all."""

from typing import Any

import pytest

from .conftest import Client

PLACES = ["projects", "domains", "system"]


async def place_of(admin: Client, kind: str) -> str:
    if kind == "system":
        return "system"
    return f"{kind}/{(await admin.make(kind, name='place'))['id']}"


@pytest.mark.parametrize("actors", ["users", "groups"])
@pytest.mark.parametrize("kind", PLACES)
async def test_granted_checked_listed_revoked(admin: Client, kind: str, actors: str) -> None:
    place = await place_of(admin, kind)
    actor = (await admin.make(actors, name="actor"))["id"]
    role = await admin.role_id("reader")
    base = f"/v3/{place}/{actors}/{actor}/roles"
    assert (await admin.head(f"{base}/{role}")).status_code == 404
    for _ in range(2):
        assert (await admin.put(f"{base}/{role}")).status_code == 204
    assert (await admin.head(f"{base}/{role}")).status_code == 204
    assert (await admin.get(f"{base}/{role}")).status_code == 204
    assert [one["name"] for one in (await admin.get(base)).json()["roles"]] == ["reader"]
    assert (await admin.delete(f"{base}/{role}")).status_code == 204
    assert (await admin.delete(f"{base}/{role}")).status_code == 404
    assert (await admin.put(f"{base}/absent")).status_code == 404
    assert (await admin.put(f"/v3/{place}/{actors}/absent/roles/{role}")).status_code == 404
    if kind != "system":
        assert (await admin.put(f"/v3/{kind}/absent/{actors}/{actor}/roles/{role}")).status_code == 404


@pytest.mark.parametrize("actors", ["users", "groups"])
@pytest.mark.parametrize("kind", ["projects", "domains"])
async def test_inherited_grants_reach_the_projects_below_and_not_the_place_itself(
    admin: Client, kind: str, actors: str
) -> None:
    place = await place_of(admin, kind)
    id = place.partition("/")[2]
    where = {"domain_id": id} if kind == "domains" else {"parent_id": id}
    below = (await admin.make("projects", name="below", **where))["id"]
    user = (await admin.make("users", name="u", password="pw"))["id"]
    actor = user
    if actors == "groups":
        actor = (await admin.make("groups", name="g"))["id"]
        await admin.put(f"/v3/groups/{actor}/users/{user}")
    role = await admin.role_id("member")
    base = f"/v3/OS-INHERIT/{place}/{actors}/{actor}/roles"
    grant = f"{base}/{role}/inherited_to_projects"
    assert (await admin.put(grant)).status_code == 204
    assert (await admin.head(grant)).status_code == 204
    listed = (await admin.get(f"{base}/inherited_to_projects")).json()["roles"]
    assert [one["name"] for one in listed] == ["member"]
    assert (await admin.get(f"/v3/{place}/{actors}/{actor}/roles")).json()["roles"] == []
    inside = await admin.signed_in(user, {"project": {"id": below}})
    assert await inside.status("GET", "auth/catalog") == 200
    itself = {kind.removesuffix("s"): {"id": id}}
    identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "pw"}}}
    refused = await admin.post("/v3/auth/tokens", json={"auth": {"identity": identity, "scope": itself}})
    assert refused.status_code == 401
    assert (await admin.delete(grant)).status_code == 204
    assert await inside.status("GET", "auth/catalog") == 401


async def assignments(client: Client, query: str) -> list[Any]:
    answer = await client.get(f"/v3/role_assignments?{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["role_assignments"]
    return found


async def test_the_list_as_stored_and_as_it_takes_effect(admin: Client) -> None:
    project = (await admin.make("projects", name="work"))["id"]
    user, group = await admin.make("users", name="u"), await admin.make("groups", name="g")
    await admin.put(f"/v3/groups/{group['id']}/users/{user['id']}")
    role = await admin.role_id("member")
    await admin.put(f"/v3/projects/{project}/groups/{group['id']}/roles/{role}")
    stored = await assignments(admin, f"scope.project.id={project}")
    assert [(one["group"]["id"], one["role"]["id"]) for one in stored] == [(group["id"], role)]
    assert stored[0]["links"]["assignment"].endswith(f"/projects/{project}/groups/{group['id']}/roles/{role}")
    assert await assignments(admin, f"user.id={user['id']}") == []
    effective = await assignments(admin, f"user.id={user['id']}&effective&include_names")
    assert {one["role"]["name"] for one in effective} == {"member", "reader"}
    assert effective[0]["scope"]["project"]["name"] == "work"
    assert effective[0]["scope"]["project"]["domain"]["name"] == "Default"
    assert effective[0]["user"]["name"] == "u"
    assert effective[0]["user"]["domain"]["id"] == "default"
    narrow = await assignments(admin, f"user.id={user['id']}&role.id={role}&effective")
    assert len(narrow) == 1
    system = await assignments(admin, "scope.system=all")
    assert system
    assert all(one["scope"] == {"system": {"all": True}} for one in system)


async def test_inherited_assignments_are_marked_and_laid_out(admin: Client) -> None:
    domain = (await admin.make("domains", name="d"))["id"]
    project = (await admin.make("projects", name="p", domain_id=domain))["id"]
    user, role = (await admin.make("users", name="u"))["id"], await admin.role_id("reader")
    await admin.put(f"/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/{role}/inherited_to_projects")
    stored = await assignments(admin, f"user.id={user}&scope.OS-INHERIT:inherited_to=projects")
    assert stored[0]["scope"] == {"domain": {"id": domain}, "OS-INHERIT:inherited_to": "projects"}
    assert stored[0]["links"]["assignment"].endswith("/inherited_to_projects")
    effective = await assignments(admin, f"user.id={user}&effective")
    scope = {"project": {"id": project}, "OS-INHERIT:inherited_to": "projects"}
    assert [(one["scope"], one["links"]["assignment"]) for one in effective] == [
        (scope, stored[0]["links"]["assignment"])
    ]


async def test_a_whole_tree(admin: Client) -> None:
    top = (await admin.make("projects", name="top"))["id"]
    below = (await admin.make("projects", name="below", parent_id=top))["id"]
    user = (await admin.make("users", name="u"))["id"]
    await admin.grant(user, "reader", f"projects/{below}")
    assert await assignments(admin, f"scope.project.id={top}") == []
    tree = await assignments(admin, f"scope.project.id={top}&include_subtree=true")
    assert [one["scope"]["project"]["id"] for one in tree] == [below]
    assert (await admin.get("/v3/role_assignments?include_subtree=true")).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "user.id=a&group.id=b",
        "scope.project.id=a&scope.domain.id=b",
        "group.id=a&effective",
        "effective=perhaps",
    ],
)
async def test_odd_questions(admin: Client, query: str) -> None:
    assert (await admin.get(f"/v3/role_assignments?{query}")).status_code == 400


async def test_deleted_people_and_places_leave_no_assignments(admin: Client) -> None:
    project = (await admin.make("projects", name="work"))["id"]
    user, group = await admin.make("users", name="u"), await admin.make("groups", name="g")
    role = await admin.make("roles", name="r")
    await admin.grant(user["id"], "reader", f"projects/{project}")
    await admin.put(f"/v3/projects/{project}/groups/{group['id']}/roles/{role['id']}")
    await admin.delete(f"/v3/users/{user['id']}")
    await admin.delete(f"/v3/roles/{role['id']}")
    assert await assignments(admin, f"scope.project.id={project}") == []
    other = await admin.make("users", name="other")
    await admin.grant(other["id"], "reader", f"projects/{project}")
    await admin.delete(f"/v3/projects/{project}")
    assert await assignments(admin, f"user.id={other['id']}") == []


async def test_what_takes_effect_says_where_it_comes_from(admin: Client) -> None:
    project = (await admin.make("projects", name="p"))["id"]
    user, group = await admin.make("users", name="u"), await admin.make("groups", name="g")
    await admin.put(f"/v3/groups/{group['id']}/users/{user['id']}")
    member = await admin.role_id("member")
    await admin.put(f"/v3/projects/{project}/groups/{group['id']}/roles/{member}")
    found = await assignments(admin, f"user.id={user['id']}&effective&include_names")
    links = {one["role"]["name"]: one["links"] for one in found}
    assert set(links) == {"member", "reader"}
    for name, own in links.items():
        assert own["assignment"].endswith(f"/projects/{project}/groups/{group['id']}/roles/{member}")
        assert own["membership"].endswith(f"/groups/{group['id']}/users/{user['id']}")
        assert ("prior_role" in own) is (name == "reader")
        for link in own.values():
            assert (await admin.get(link)).status_code in (200, 204), link
    await admin.put(f"/v3/projects/{project}/users/{user['id']}/roles/{member}")
    found = await assignments(admin, f"user.id={user['id']}&effective&role.id={member}")
    assert [list(one["links"]) for one in found] == [["assignment"]]  # held directly as well: once, as such
