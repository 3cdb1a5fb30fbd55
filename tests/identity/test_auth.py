"""Log-in, tokens, scopes."""

import pytest

from aerostat.kernel.clock import clock
from aerostat.services.identity.sweepers import old_revocations

from .conftest import Client, on


async def test_a_password_gives_a_token_with_roles_and_a_catalog(cloud: Client) -> None:
    answer = await cloud.log_in("admin", "first", on("admin"))
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    assert token["project"]["name"] == "admin"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert [service["type"] for service in token["catalog"]] == ["identity"]
    assert {end["interface"] for end in token["catalog"][0]["endpoints"]} == {"public", "internal", "admin"}


async def test_without_a_scope_the_default_project_is_taken(cloud: Client) -> None:
    assert (await cloud.log_in("demo", "second")).json()["token"]["project"]["name"] == "demo"
    unscoped = (await cloud.log_in("demo", "second", "unscoped")).json()["token"]
    assert "project" not in unscoped
    assert "roles" not in unscoped


async def test_a_token_gives_another_that_ends_with_it(admin: Client) -> None:
    first = admin.headers["x-auth-token"]
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": first}},
            "scope": {"system": {"all": True}},
        }
    }
    answer = await admin.post("/v3/auth/tokens", json=body)
    assert answer.status_code == 201, answer.text
    shown = answer.json()["token"]
    assert shown["system"] == {"all": True}
    assert shown["methods"] == ["password", "token"]
    parent = (await admin.get("/v3/auth/tokens", headers={"x-subject-token": first})).json()["token"]
    assert shown["expires_at"] == parent["expires_at"]
    assert shown["audit_ids"][1] == parent["audit_ids"][0]


async def test_a_revoked_token_is_refused_at_once(admin: Client) -> None:
    token = admin.headers["x-auth-token"]
    other = await admin.become("admin", "first", on("admin"))
    assert (await admin.delete("/v3/auth/tokens", headers={"x-subject-token": token})).status_code == 204
    assert (await admin.get("/v3/users", headers={"x-auth-token": token})).status_code == 401
    assert (await admin.get("/v3/auth/tokens", headers={"x-subject-token": token})).status_code == 404
    assert (await admin.get("/v3/users", headers={"x-auth-token": other})).status_code == 200


async def test_a_revocation_is_kept_while_its_token_could_be_good(admin: Client) -> None:
    clock.stop()
    try:
        token = await admin.become("admin", "first", on("admin"))
        headers = {"x-subject-token": token}
        assert (await admin.delete("/v3/auth/tokens", headers=headers)).status_code == 204
        clock.step(hours=4)
        assert await old_revocations.SWEEPER.run(admin.house) == 0
        clock.step(minutes=2)
        assert await old_revocations.SWEEPER.run(admin.house) == 1
        assert await old_revocations.SWEEPER.run(admin.house) == 0
    finally:
        clock.run()


async def test_an_expired_token_is_refused(admin: Client) -> None:
    clock.stop()
    try:
        await admin.become("admin", "first", on("admin"))
        assert (await admin.get("/v3/users")).status_code == 200
        clock.step(hours=4, seconds=1)
        assert (await admin.get("/v3/users")).status_code == 401
    finally:
        clock.run()


async def test_a_role_taken_away_is_gone_at_once(admin: Client) -> None:
    users = (await admin.get("/v3/users?name=demo")).json()["users"]
    projects = (await admin.get("/v3/projects?name=demo")).json()["projects"]
    roles = (await admin.get("/v3/roles?name=member")).json()["roles"]
    demo = (await admin.log_in("demo", "second")).headers["x-subject-token"]
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": demo})).status_code == 200
    grant = f"/v3/projects/{projects[0]['id']}/users/{users[0]['id']}/roles/{roles[0]['id']}"
    assert (await admin.head(grant)).status_code == 204
    assert (await admin.delete(grant)).status_code == 204
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": demo})).status_code == 401


@pytest.mark.parametrize(
    "user",
    [
        {"name": "admin", "domain": {"id": "default"}, "password": "wrong"},
        {"name": "nobody", "domain": {"id": "default"}, "password": "first"},
        {"name": "admin", "domain": {"id": "elsewhere"}, "password": "first"},
        {"id": "absent", "password": "first"},
    ],
)
async def test_a_refused_log_in_tells_nothing_about_what_was_wrong(
    cloud: Client, user: dict[str, object]
) -> None:
    answer = await cloud.post(
        "/v3/auth/tokens", json={"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The request you have made requires authentication."


@pytest.mark.parametrize(
    "auth",
    [
        None,
        [],
        {},
        {"identity": {}},
        {"identity": {"methods": []}},
        {"identity": {"methods": ["password"]}},
        {"identity": {"methods": ["password"], "password": {}}},
        {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "password": "first"}}}},
        {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": 7, "domain": {}, "password": "x"}},
            }
        },
        {"identity": {"methods": ["token"], "token": {"id": None}}},
    ],
)
async def test_odd_log_ins_are_bad_requests(cloud: Client, auth: object) -> None:
    assert (await cloud.post("/v3/auth/tokens", json={"auth": auth})).status_code == 400


@pytest.mark.parametrize("token", ["x", "gAAAAA", "é", "A" * 5000])
async def test_tokens_that_are_none(cloud: Client, token: str) -> None:
    answer = await cloud.get("/v3/users", headers={"x-auth-token": token.encode()})
    assert answer.status_code == 401


async def test_keys_rotate_while_tokens_live(admin: Client) -> None:
    tokens = admin.house.state["identity"]
    await tokens.rotate()
    assert (await admin.get("/v3/users")).status_code == 200
    await tokens.rotate()
    await tokens.rotate()
    tokens.changed()
    assert (await admin.get("/v3/users")).status_code == 401


async def test_a_user_sees_the_own_things_only(cloud: Client) -> None:
    await cloud.become("demo", "second")
    assert (await cloud.get("/v3/users")).status_code == 403
    assert (await cloud.post("/v3/projects", json={"project": {"name": "x"}})).status_code == 403
    own = (await cloud.get("/v3/auth/projects")).json()["projects"]
    assert [project["name"] for project in own] == ["demo"]
    assert (await cloud.get(f"/v3/projects/{own[0]['id']}")).status_code == 200


async def test_discovery(cloud: Client) -> None:
    versions = await cloud.get("/")
    assert versions.status_code == 300
    assert versions.json()["versions"]["values"][0]["status"] == "stable"
    assert (await cloud.get("/v3")).json()["version"]["links"][0]["href"] == "http://cloud.test/identity/v3/"
