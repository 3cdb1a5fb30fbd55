"""Projects, domains, users, groups, roles and the catalog: every verb, and what each refuses."""

from typing import Any

import pytest

from .conftest import Client, on

NAMED = ["projects", "domains", "users", "groups", "roles"]
UNICODE = "Kölner 雲 🎈"


async def patch(client: Client, path: str, **values: Any) -> Any:
    name = path.split("/")[0].removesuffix("s")
    return await client.patch(f"/v3/{path}", json={name: values})


@pytest.mark.parametrize("kind", NAMED)
async def test_made_shown_listed_changed_deleted(admin: Client, kind: str) -> None:
    single = kind.removesuffix("s")
    made = await admin.make(kind, name=UNICODE, description="first", colour="red")
    path = f"{kind}/{made['id']}"
    assert made["links"]["self"] == f"http://cloud.test/identity/v3/{path}"
    assert made["colour"] == "red"
    assert len(made["id"]) == 32
    assert (await admin.get(f"/v3/{path}")).json()[single] == made
    assert (await admin.head(f"/v3/{path}")).status_code == 200
    listed = await admin.get(f"/v3/{kind}", params={"name": UNICODE})
    assert listed.json()[kind] == [made]
    assert listed.json()["links"]["next"] is None
    changed = (await patch(admin, path, name="renamed", description="second", shape="round")).json()[single]
    assert (changed["name"], changed["description"]) == ("renamed", "second")
    assert (changed["colour"], changed["shape"]) == ("red", "round")
    if kind == "domains":
        assert (await admin.delete(f"/v3/{path}")).status_code == 403
        await patch(admin, path, enabled=False)
    assert (await admin.delete(f"/v3/{path}")).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await admin.request(method, f"/v3/{path}")
        assert gone.status_code == 404
        assert gone.json()["error"]["message"] == f"Could not find {single}: {made['id']}."


@pytest.mark.parametrize("kind", NAMED)
async def test_names_are_taken_once(admin: Client, kind: str) -> None:
    await admin.make(kind, name="one")
    two = await admin.make(kind, name="two")
    again = await admin.post(f"/v3/{kind}", json={kind.removesuffix("s"): {"name": "one"}})
    assert again.status_code == 409
    assert (await patch(admin, f"{kind}/{two['id']}", name="one")).status_code == 409


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"name": ""},
        {"name": "  "},
        {"name": 7},
        {"name": None},
        {"name": "x" * 256},
        {"name": "x", "description": {}},
    ],
)
async def test_odd_bodies(admin: Client, kind: str, values: Any) -> None:
    answer = await admin.post(f"/v3/{kind}", json={kind.removesuffix("s"): values})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["title"] == "Bad Request"
    assert (await admin.post(f"/v3/{kind}", content=b"{")).status_code == 400


async def test_a_name_may_be_in_two_domains(admin: Client) -> None:
    other = await admin.make("domains", name="other")
    for kind in ("projects", "users", "groups"):
        await admin.make(kind, name="same")
        made = await admin.make(kind, name="same", domain_id=other["id"])
        assert made["domain_id"] == other["id"]
        within = await admin.get(f"/v3/{kind}?name=same&domain_id={other['id']}")
        assert [one["id"] for one in within.json()[kind]] == [made["id"]]
        moved = await patch(admin, f"{kind}/{made['id']}", domain_id="default")
        assert moved.status_code == 400
        nowhere = {kind.removesuffix("s"): {"name": "x", "domain_id": "absent"}}
        assert (await admin.post(f"/v3/{kind}", json=nowhere)).status_code == 404


async def test_name_patterns_do_not_read_wildcards(admin: Client) -> None:
    for name in ("ab_cd", "abxcd", "AB%"):
        await admin.make("groups", name=name)

    async def names(query: str) -> list[str]:
        return sorted(one["name"] for one in (await admin.get(f"/v3/groups?{query}")).json()["groups"])

    assert await names("name__contains=b_c") == ["ab_cd"]
    assert await names("name__startswith=ab") in (["ab_cd", "abxcd"], ["AB%", "ab_cd", "abxcd"])
    assert await names("name__icontains=B%25") == ["AB%"]
    assert await names("name__endswith=cd") == ["ab_cd", "abxcd"]


async def test_trees_of_projects(admin: Client) -> None:
    top = await admin.make("projects", name="top")
    below = await admin.make("projects", name="below", parent_id=top["id"])
    assert top["parent_id"] == "default"
    assert below["parent_id"] == top["id"]
    assert (await admin.delete(f"/v3/projects/{top['id']}")).status_code == 403
    listed = (await admin.get(f"/v3/projects?parent_id={top['id']}")).json()["projects"]
    assert [one["id"] for one in listed] == [below["id"]]
    absent = {"project": {"name": "x", "parent_id": "absent"}}
    assert (await admin.post("/v3/projects", json=absent)).status_code == 404
    other = await admin.make("domains", name="other")
    astray = {"project": {"name": "x", "parent_id": top["id"], "domain_id": other["id"]}}
    assert (await admin.post("/v3/projects", json=astray)).status_code == 400
    await patch(admin, f"projects/{below['id']}", enabled=False)
    await patch(admin, f"projects/{top['id']}", enabled=False)
    asleep = {"project": {"name": "x", "parent_id": top["id"]}}
    assert (await admin.post("/v3/projects", json=asleep)).status_code == 400


async def test_a_disabled_project_lets_nobody_in(admin: Client) -> None:
    project = await admin.make("projects", name="work")
    member = await admin.persona("member", f"projects/{project['id']}")
    await patch(admin, f"projects/{project['id']}", enabled=False)
    assert await member.status("GET", f"users/{member.id}") == 401
    again = await admin.log_in("x", "pw", {"project": {"id": project["id"]}})
    assert again.status_code == 401


async def test_a_disabled_domain_lets_nobody_in_and_goes_with_all_it_holds(admin: Client) -> None:
    domain = await admin.make("domains", name="other")
    project = await admin.make("projects", name="work", domain_id=domain["id"])
    member = await admin.persona("member", f"projects/{project['id']}", domain["id"])
    await patch(admin, f"domains/{domain['id']}", enabled=False)
    assert await member.status("GET", f"users/{member.id}") == 401
    assert (await admin.delete(f"/v3/domains/{domain['id']}")).status_code == 204
    assert (await admin.get(f"/v3/projects/{project['id']}")).status_code == 404
    assert (await admin.get(f"/v3/users/{member.id}")).status_code == 404
    assert (await admin.get(f"/v3/role_assignments?user.id={member.id}")).json()["role_assignments"] == []


async def test_the_default_domain_stays(admin: Client) -> None:
    await patch(admin, "domains/default", description="x")
    assert (await admin.delete("/v3/domains/default")).status_code == 403


async def test_project_tags(admin: Client) -> None:
    project = await admin.make("projects", name="work", tags=["a", "b"])
    path = f"/v3/projects/{project['id']}/tags"
    assert (await admin.get(path)).json()["tags"] == ["a", "b"]
    assert (await admin.put(f"{path}/c")).status_code == 201
    assert (await admin.get(f"{path}/c")).status_code == 204
    assert (await admin.head(f"{path}/d")).status_code == 404
    assert (await admin.delete(f"{path}/a")).status_code == 204
    assert (await admin.delete(f"{path}/a")).status_code == 404

    async def found(query: str) -> bool:
        listed = (await admin.get(f"/v3/projects?{query}")).json()["projects"]
        return project["id"] in [one["id"] for one in listed]

    assert await found("tags=b,c")
    assert not await found("tags=b,x")
    assert await found("tags-any=b,x")
    assert not await found("not-tags=b,c")
    assert not await found("not-tags-any=b,x")
    assert not await found("tags=%25")
    assert (await admin.put(path, json={"tags": ["x", "y"]})).json()["tags"] == ["x", "y"]
    for odd in (["a,b"], ["a/b"], [""], ["x" * 256], ["x", "x"], [7], "x", [str(n) for n in range(81)]):
        assert (await admin.put(path, json={"tags": odd})).status_code == 400
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).json()["tags"] == []


async def test_passwords_are_changed_by_who_knows_them_and_never_shown(admin: Client) -> None:
    user = await admin.make("users", name="eve", password="old")
    assert not {"password", "password_hash"} & set(user)
    path = f"/v3/users/{user['id']}/password"
    wrong = {"user": {"original_password": "guess", "password": "new"}}
    assert (await admin.post(path, json=wrong)).status_code == 401
    same = {"user": {"original_password": "old", "password": "old"}}
    assert (await admin.post(path, json=same)).status_code == 400
    assert (await admin.post("/v3/users/absent/password", json=wrong)).status_code == 401
    before = (await admin.log_in("eve", "old")).headers["x-subject-token"]
    good = {"user": {"original_password": "old", "password": "n" * 100}}
    assert (await admin.post(path, json=good, headers={"x-auth-token": ""})).status_code == 204
    assert (await admin.log_in("eve", "old")).status_code == 401
    assert (await admin.log_in("eve", "n" * 100)).status_code == 201
    assert (await admin.log_in("eve", "n" * 99)).status_code == 401  # bcrypt itself reads 72 bytes only
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": before})).status_code == 401


async def test_a_disabled_user_is_out_at_once(admin: Client) -> None:
    user = await admin.make("users", name="eve", password="old")
    token = (await admin.log_in("eve", "old")).headers["x-subject-token"]
    await patch(admin, f"users/{user['id']}", enabled=False)
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401
    assert (await admin.log_in("eve", "old")).status_code == 401
    change = {"user": {"original_password": "old", "password": "new"}}
    assert (await admin.post(f"/v3/users/{user['id']}/password", json=change)).status_code == 401


async def test_users_without_a_password_do_not_log_in(admin: Client) -> None:
    await admin.make("users", name="eve")
    assert (await admin.log_in("eve", "")).status_code == 401


async def test_groups(admin: Client) -> None:
    group, user = await admin.make("groups", name="g"), await admin.make("users", name="u", password="pw")
    path = f"/v3/groups/{group['id']}/users/{user['id']}"
    assert (await admin.head(path)).status_code == 404
    for _ in range(2):
        assert (await admin.put(path)).status_code == 204
    assert (await admin.head(path)).status_code == 204
    members = (await admin.get(f"/v3/groups/{group['id']}/users")).json()["users"]
    assert [one["id"] for one in members] == [user["id"]]
    groups = (await admin.get(f"/v3/users/{user['id']}/groups")).json()["groups"]
    assert [one["id"] for one in groups] == [group["id"]]
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.delete(path)).status_code == 404
    assert (await admin.put(f"/v3/groups/{group['id']}/users/absent")).status_code == 404
    assert (await admin.put(f"/v3/groups/absent/users/{user['id']}")).status_code == 404


async def test_roles_imply_others(admin: Client) -> None:
    high, low = await admin.make("roles", name="high"), await admin.make("roles", name="low")
    path = f"/v3/roles/{high['id']}/implies/{low['id']}"
    assert (await admin.get(path)).status_code == 404
    made = await admin.put(path)
    assert made.status_code == 201
    assert made.json()["role_inference"]["implies"]["name"] == "low"
    assert (await admin.head(path)).status_code == 204
    listed = (await admin.get(f"/v3/roles/{high['id']}/implies")).json()["role_inference"]
    assert [one["name"] for one in listed["implies"]] == ["low"]
    assert (await admin.get("/v3/role_inferences")).status_code == 200
    project = await admin.make("projects", name="work")
    member = await admin.persona("high", f"projects/{project['id']}")
    token = (await member.request("GET", "auth/catalog")).status_code
    assert token == 200
    seen = await admin.get("/v3/auth/tokens", headers={"x-subject-token": member.token})
    assert {role["name"] for role in seen.json()["token"]["roles"]} == {"high", "low"}
    assert (
        await admin.put(f"/v3/roles/{low['id']}/implies/{high['id']}")
    ).status_code == 201  # a circle ends
    assert await member.status("GET", "auth/catalog") == 200
    root = await admin.role_id("admin")
    assert (await admin.put(f"/v3/roles/{low['id']}/implies/{root}")).status_code == 403
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.delete(path)).status_code == 404


async def test_immutable_things(admin: Client) -> None:
    role = await admin.role_id("admin")
    assert (await patch(admin, f"roles/{role}", name="root")).status_code == 403
    assert (await admin.delete(f"/v3/roles/{role}")).status_code == 403
    project = await admin.make("projects", name="kept", options={"immutable": True})
    assert (await admin.delete(f"/v3/projects/{project['id']}")).status_code == 403
    assert (await patch(admin, f"projects/{project['id']}", options={"immutable": False})).status_code == 200
    assert (await admin.delete(f"/v3/projects/{project['id']}")).status_code == 204


async def test_a_domains_role_called_admin_is_no_administrator(admin: Client) -> None:
    domain = await admin.make("domains", name="other")
    own = await admin.make("roles", name="admin", domain_id=domain["id"])
    listed = (await admin.get(f"/v3/roles?domain_id={domain['id']}")).json()["roles"]
    assert [role["id"] for role in listed] == [own["id"]]
    project = await admin.make("projects", name="work", domain_id=domain["id"])
    eve = await admin.persona("reader", f"projects/{project['id']}", domain["id"])
    grant = f"/v3/projects/{project['id']}/users/{eve.id}/roles/{own['id']}"
    assert (await admin.put(grant)).status_code == 204
    again = await admin.signed_in(eve.id, eve.scope)
    assert await again.status("GET", "users") == 403
    foreign = await admin.make("projects", name="foreign")
    astray = f"/v3/projects/{foreign['id']}/users/{eve.id}/roles/{own['id']}"
    assert (await admin.put(astray)).status_code == 403
    member = await admin.role_id("member")
    assert (await admin.put(f"/v3/roles/{member}/implies/{own['id']}")).status_code == 403
    assert (await admin.put(f"/v3/roles/{own['id']}/implies/{member}")).status_code == 201
    after = await admin.signed_in(eve.id, eve.scope)
    seen = await admin.get("/v3/auth/tokens", headers={"x-subject-token": after.token})
    assert {role["name"] for role in seen.json()["token"]["roles"]} == {"member", "reader"}


async def test_the_catalog(admin: Client) -> None:
    service = await admin.make("services", type="weather", name="w")
    region = (await admin.post("/v3/regions", json={"region": {"id": "North"}})).json()["region"]
    url = "http://weather.test/%(project_id)s"
    end = await admin.make(
        "endpoints", service_id=service["id"], interface="public", url=url, region_id=region["id"]
    )
    assert (end["region"], end["region_id"]) == ("North", "North")
    shown = (await admin.get("/v3/auth/catalog")).json()["catalog"]
    found = next(one for one in shown if one["type"] == "weather")["endpoints"][0]
    assert "%(" not in found["url"]
    assert (await admin.get("/v3/services?type=weather")).json()["services"][0]["id"] == service["id"]
    for query in ("interface=public", f"service_id={service['id']}", "region_id=North"):
        listed = (await admin.get(f"/v3/endpoints?{query}")).json()["endpoints"]
        assert end["id"] in [one["id"] for one in listed], query
    assert (await patch(admin, f"endpoints/{end['id']}", enabled=False)).status_code == 200
    shown = (await admin.get("/v3/auth/catalog")).json()["catalog"]
    assert next(one for one in shown if one["type"] == "weather")["endpoints"] == []
    assert (await admin.delete("/v3/regions/North")).status_code == 403
    assert (await admin.delete(f"/v3/services/{service['id']}")).status_code == 204
    assert (await admin.get(f"/v3/endpoints/{end['id']}")).status_code == 404
    assert (await admin.delete("/v3/regions/North")).status_code == 204


@pytest.mark.parametrize(
    "values",
    [
        {"url": "http://x/%(admin_token)s"},
        {"url": "no spaces allowed"},
        {"url": ""},
        {"interface": "secret"},
        {"service_id": "absent"},
        {"region_id": "absent"},
        {"enabled": "yes"},
    ],
)
async def test_odd_endpoints(admin: Client, values: Any) -> None:
    service = await admin.make("services", type="weather")
    body = {"service_id": service["id"], "interface": "public", "url": "http://x/", **values}
    assert (await admin.post("/v3/endpoints", json={"endpoint": body})).status_code == 400


async def test_regions(admin: Client) -> None:
    made = await admin.put("/v3/regions/South", json={"region": {"description": "warm"}})
    assert made.status_code == 201
    assert (await admin.put("/v3/regions/South", json={"region": {}})).status_code == 409
    assert (await admin.put("/v3/regions/East", json={"region": {"id": "West"}})).status_code == 400
    below = {"region": {"id": "Deep South", "parent_region_id": "South"}}
    assert (await admin.post("/v3/regions", json=below)).status_code == 201
    listed = (await admin.get("/v3/regions?parent_region_id=South")).json()["regions"]
    assert [one["id"] for one in listed] == ["Deep South"]
    assert (await admin.delete("/v3/regions/South")).status_code == 403
    assert (await patch(admin, "regions/South", parent_region_id="South")).status_code == 400
    assert (await patch(admin, "regions/South", parent_region_id="absent")).status_code == 404
    assert (await patch(admin, "regions/South", description=None)).json()["region"]["description"] == ""


async def test_a_token_without_its_catalog_and_a_scope_of_the_system(admin: Client) -> None:
    token = admin.headers["x-auth-token"]
    answer = await admin.get("/v3/auth/tokens?nocatalog", headers={"x-subject-token": token})
    assert "catalog" not in answer.json()["token"]
    for odd in ({}, {"all": False}, {"all": "yes"}, True):
        assert (await admin.log_in("admin", "first", {"system": odd})).status_code == 400
    both = {"system": {"all": True}, **on("admin")}
    assert (await admin.log_in("admin", "first", both)).status_code == 400
    for odd in ({"domain": "x"}, {"domain": {}}, {"project": "x"}, {"project": {}}, {"galaxy": {}}, 7):
        assert (await admin.log_in("admin", "first", odd)).status_code == 400
    assert (await admin.log_in("demo", "second", {"system": {"all": True}})).status_code == 401
    assert (await admin.log_in("demo", "second", {"domain": {"id": "default"}})).status_code == 401


async def test_two_methods_must_agree_on_the_user(cloud: Client) -> None:
    token = (await cloud.log_in("demo", "second")).headers["x-subject-token"]
    user = {"name": "demo", "domain": {"id": "default"}, "password": "second"}
    identity: dict[str, Any] = {
        "methods": ["password", "token"],
        "password": {"user": user},
        "token": {"id": token},
    }
    answer = await cloud.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
    assert set(answer.json()["token"]["methods"]) == {"password", "token"}
    identity["password"] = {"user": {**user, "name": "admin", "password": "first"}}
    assert (await cloud.post("/v3/auth/tokens", json={"auth": {"identity": identity}})).status_code == 401
    identity["methods"] = ["password", "oracle"]
    identity["oracle"] = {}
    assert (await cloud.post("/v3/auth/tokens", json={"auth": {"identity": identity}})).status_code == 401
