"""Log-in, tokens, scopes."""

import asyncio
from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.kernel.db import Row
from aerostat.services.identity import model
from aerostat.services.identity.sweepers import old_revocations
from aerostat.services.identity.tokens import Tokens

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
        clock.step(hours=4 + 48)  # a service may vouch for it two days longer
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


async def test_a_service_vouches_for_a_token_that_has_ended(admin: Client) -> None:
    project = (await admin.get("/v3/projects?name=service")).json()["projects"][0]["id"]
    clock.stop()
    try:
        user = await admin.become("admin", "first", on("admin"))
        robot = await admin.persona("service", f"projects/{project}")
        clock.step(hours=4, seconds=1)
        robot = await admin.signed_in(robot.id, {"project": {"id": project}})
        beside = {"x-auth-token": user, "x-service-token": robot.token}
        assert (await admin.get("/v3/users")).status_code == 401
        assert (await admin.get("/v3/users", headers=beside)).status_code == 200
        assert (await admin.get("/v3/users", headers={**beside, "x-service-token": user})).status_code == 401
        clock.step(hours=47)
        robot = await admin.signed_in(robot.id, {"project": {"id": project}})
        beside["x-service-token"] = robot.token
        assert (await admin.get("/v3/users", headers=beside)).status_code == 200
        looking = {"x-auth-token": robot.token, "x-subject-token": user}
        assert (await admin.get("/v3/auth/tokens", headers=looking)).status_code == 404
        for method in ("GET", "HEAD"):
            answer = await admin.request(method, "/v3/auth/tokens?allow_expired=1", headers=looking)
            assert answer.status_code == 200
        clock.step(hours=1)
        assert (await admin.get("/v3/users", headers=beside)).status_code == 401
    finally:
        clock.run()


async def test_a_revoked_token_stays_revoked_beside_a_service(admin: Client) -> None:
    project = (await admin.get("/v3/projects?name=service")).json()["projects"][0]["id"]
    robot = await admin.persona("service", f"projects/{project}")
    token = admin.headers["x-auth-token"]
    await admin.become("admin", "first", on("admin"))
    await admin.delete("/v3/auth/tokens", headers={"x-subject-token": token})
    beside = {"x-auth-token": token, "x-service-token": robot.token}
    assert (await admin.get("/v3/users", headers=beside)).status_code == 401


async def test_who_is_not_signed_in_is_told_where_to(cloud: Client) -> None:
    answer = await cloud.get("/v3/users")
    assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud.test/identity"'


async def test_a_token_shows_a_changed_catalog_at_once(admin: Client) -> None:
    async def shown() -> dict[str, Any]:
        looking = {"x-subject-token": admin.headers["x-auth-token"]}
        token: dict[str, Any] = (await admin.get("/v3/auth/tokens", headers=looking)).json()["token"]
        return token

    before = await shown()
    assert "weather" not in [one["type"] for one in before["catalog"]]
    service = await admin.make("services", type="weather", name="sun")
    assert {"type": "weather", "name": "sun", "endpoints": [], "id": service["id"]} in (await shown())[
        "catalog"
    ]
    url = "http://weather.test/%(project_id)s"
    endpoint = await admin.make("endpoints", interface="public", service_id=service["id"], url=url)
    (weather,) = [one for one in (await shown())["catalog"] if one["type"] == "weather"]
    assert [one["url"] for one in weather["endpoints"]] == [f"http://weather.test/{before['project']['id']}"]
    await admin.delete(f"/v3/endpoints/{endpoint['id']}")
    await admin.patch(f"/v3/users/{before['user']['id']}", json={"user": {"name": "chief"}})
    after = await shown()
    assert [one["endpoints"] for one in after["catalog"] if one["type"] == "weather"] == [[]]
    assert after["user"]["name"] == "chief"
    await admin.delete(f"/v3/services/{service['id']}")
    assert (await shown())["catalog"] == before["catalog"]


async def test_another_process_s_changes_are_seen_when_it_is_time(admin: Client) -> None:
    tokens: Tokens = admin.house.state["identity"]
    looking = {"x-subject-token": admin.headers["x-auth-token"]}

    async def catalog() -> set[str]:
        token = (await admin.get("/v3/auth/tokens", headers=looking)).json()["token"]
        return {one["type"] for one in token["catalog"]}

    assert "weather" not in await catalog()
    await admin.house.store.insert(model.SERVICES, type="weather", name="elsewhere")
    assert "weather" not in await catalog()
    await tokens.refresh()  # what happens by itself every `refresh_s`
    assert "weather" in await catalog()


async def test_a_change_during_a_refresh_is_not_lost(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation that is written while the revocations are being read counts for the next request."""
    tokens: Tokens = admin.house.state["identity"]
    payload, _ = await tokens.open(admin.headers["x-auth-token"])
    has_read, may_go_on = asyncio.Event(), asyncio.Event()
    read = tokens.store.fetch

    async def read_slowly(*args: Any, **options: Any) -> list[Row]:
        rows = await read(*args, **options)
        has_read.set()
        await may_go_on.wait()
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(tokens.store, "fetch", read_slowly)
        reading = asyncio.ensure_future(tokens.refresh())
        await has_read.wait()
    await tokens.revoke(audit_id=payload.audit_ids[0])
    may_go_on.set()
    await reading
    assert (await admin.get("/v3/users")).status_code == 401


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
