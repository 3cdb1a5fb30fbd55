"""Trees of projects as they are shown, switched off and on, kept from change."""

from typing import Any

import pytest

from .conftest import Client


async def tree(admin: Client) -> dict[str, str]:
    """Four in a row, and one beside the second."""
    ids = {"domain": (await admin.make("domains", name="d"))["id"]}
    above = ids["domain"]
    for name in ("a", "b", "c"):
        above = (await admin.make("projects", name=name, parent_id=above))["id"]
        ids[name] = above
    ids["beside"] = (await admin.make("projects", name="beside", parent_id=ids["a"]))["id"]
    return ids


async def shown(admin: Client, id: str, query: str) -> Any:
    answer = await admin.get(f"/v3/projects/{id}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["project"]


async def test_what_is_above_and_below(admin: Client) -> None:
    ids = await tree(admin)
    above = (await shown(admin, ids["c"], "parents_as_ids"))["parents"]
    assert above == {ids["b"]: {ids["a"]: {ids["domain"]: None}}}
    below = (await shown(admin, ids["a"], "subtree_as_ids"))["subtree"]
    assert below == {ids["b"]: {ids["c"]: None}, ids["beside"]: None}
    assert (await shown(admin, ids["c"], "subtree_as_ids"))["subtree"] is None
    # As lists only those on which the caller has a role.
    assert (await shown(admin, ids["a"], "subtree_as_list"))["subtree"] == []
    caller = (await admin.get("/v3/users?name=admin")).json()["users"][0]["id"]
    await admin.grant(caller, "reader", f"projects/{ids['b']}")
    listed = (await shown(admin, ids["a"], "subtree_as_list&include_limits"))["subtree"]
    assert [(one["project"]["id"], one["project"]["limits"]) for one in listed] == [(ids["b"], [])]
    listed = (await shown(admin, ids["c"], "parents_as_list"))["parents"]
    assert [one["project"]["id"] for one in listed] == [ids["b"]]
    both = await admin.get(f"/v3/projects/{ids['a']}?parents_as_list&parents_as_ids")
    assert both.status_code == 400


async def test_below_a_disabled_project_nothing_is_enabled(admin: Client) -> None:
    ids = await tree(admin)

    async def switch(name: str, enabled: bool) -> int:
        body = {"project": {"enabled": enabled}}
        return (await admin.patch(f"/v3/projects/{ids[name]}", json=body)).status_code

    assert await switch("a", False) == 403
    for name in ("c", "b", "beside", "a"):
        assert await switch(name, False) == 200
    assert await switch("b", True) == 403
    assert await switch("a", True) == 200
    assert await switch("b", True) == 200


async def test_a_project_stays_where_it_is(admin: Client) -> None:
    ids = await tree(admin)
    for changes in ({"parent_id": ids["beside"]}, {"parent_id": None}):
        assert (await admin.patch(f"/v3/projects/{ids['c']}", json={"project": changes})).status_code == 403
    same = {"parent_id": ids["b"], "name": "renamed"}
    assert (await admin.patch(f"/v3/projects/{ids['c']}", json={"project": same})).status_code == 200


@pytest.mark.parametrize("settings", [{"max_project_tree_depth": 3}])
async def test_trees_have_an_end(admin: Client) -> None:
    first = (await admin.make("projects", name="first"))["id"]
    second = (await admin.make("projects", name="second", parent_id=first))["id"]
    third = {"project": {"name": "third", "parent_id": second}}
    assert (await admin.post("/v3/projects", json=third)).status_code == 403


@pytest.mark.parametrize("kind", ["projects", "domains", "roles"])
async def test_what_is_immutable_is_made_mutable_first(admin: Client, kind: str) -> None:
    one = await admin.make(kind, name="fixed", options={"immutable": True})
    path, singular = f"/v3/{kind}/{one['id']}", kind.removesuffix("s")

    async def change(**values: object) -> int:
        return (await admin.patch(path, json={singular: values})).status_code

    assert await change(name="other") == 403
    assert await change(name="other", options={"immutable": False}) == 403
    assert await change(color="blue") == 403
    assert (await admin.delete(path)).status_code == 403
    assert await change(options={"odd": 1}) == 400
    assert await change(options={"immutable": None}) == 200
    assert await change(name="other") == 200


async def test_lists_filter_by_parts_of_names(admin: Client) -> None:
    for name in ("Alpha one", "alpha two", "beta one", "50%"):
        await admin.make("projects", name=name)

    async def found(query: str) -> set[str]:
        listed = (await admin.get(f"/v3/projects?{query}")).json()["projects"]
        return {one["name"] for one in listed}

    assert await found("name__contains=alpha") == {"alpha two"}
    assert await found("name__icontains=ALPHA") == {"Alpha one", "alpha two"}
    assert await found("name__startswith=Alpha") == {"Alpha one"}
    assert await found("name__iendswith=ONE") == {"Alpha one", "beta one"}
    assert await found("name__contains=%25") == {"50%"}
    assert await found("name__iequals=BETA ONE") == {"beta one"}
    assert "alpha two" in await found("name__odd=x")


@pytest.mark.parametrize("settings", [{"list_limit": 2}])
async def test_a_list_that_is_cut_off_says_so(admin: Client) -> None:
    first = (await admin.get("/v3/projects")).json()
    assert (len(first["projects"]), first["truncated"]) == (2, True)
    rest = (await admin.get(first["links"]["next"])).json()
    assert (len(rest["projects"]), rest["links"]["next"], "truncated" in rest) == (1, None, False)
    assert len((await admin.get("/v3/projects?limit=1")).json()["projects"]) == 1
    assert len((await admin.get("/v3/projects?limit=9")).json()["projects"]) == 2


async def test_a_domains_own_roles_have_rules_of_their_own(admin: Client) -> None:
    domain = (await admin.make("domains", name="d"))["id"]
    role = await admin.make("roles", name="own", domain_id=domain)
    manager = await admin.persona("manager", f"domains/{domain}", domain)
    assert await manager.status("GET", "roles") == 200
    assert await manager.status("GET", f"roles?domain_id={domain}") == 403
    assert await manager.status("GET", f"roles/{role['id']}") == 403
    listed = (await admin.get(f"/v3/roles?domain_id={domain}")).json()["roles"]
    assert [one["id"] for one in listed] == [role["id"]]
    assert (await admin.get("/v3/roles?domain_id=default")).json()["roles"] == []


async def test_who_may_not_ask_is_not_told_what_is_there(admin: Client) -> None:
    member = await admin.persona("member", f"projects/{(await admin.make('projects', name='p'))['id']}")
    for kind in ("users", "projects", "domains", "groups", "services", "endpoints", "policies"):
        assert await member.status("GET", f"{kind}/absent") == 403, kind
    for path in ("groups/absent/users/absent", "users/absent/groups"):
        assert await member.status("GET", path) == 403, path
