"""Application credentials: made once, used by programs, bounded by roles, rules, time and whoever made them."""

from typing import Any

import pytest

from aerostat.kernel.clock import clock
from aerostat.services.identity import passwords

from .conftest import Client, Persona


@pytest.fixture
async def member(admin: Client) -> Persona:
    project = await admin.make("projects", name="work")
    return await admin.persona("member", f"projects/{project['id']}")


async def make(persona: Persona, **values: Any) -> Any:
    body = {"application_credential": {"name": "robot", **values}}
    answer = await persona.request("POST", f"users/{persona.id}/application_credentials", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["application_credential"]


async def log_in(client: Client, credential: Any, scope: Any = None) -> Any:
    given = {"id": credential["id"], "secret": credential["secret"]}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": given}}
    body = {"auth": {**auth, **({"scope": scope} if scope else {})}}
    return await client.post("/v3/auth/tokens", json=body)


async def robot(persona: Persona, credential: Any) -> Persona:
    answer = await log_in(persona.client, credential)
    assert answer.status_code == 201, answer.text
    return Persona(persona.client, persona.id, answer.headers["x-subject-token"])


async def test_it_logs_in_on_its_project_with_its_roles(member: Persona) -> None:
    made = await make(member, description="for CI", roles=[{"name": "reader"}])
    assert [role["name"] for role in made["roles"]] == ["reader"]
    assert made["unrestricted"] is False
    assert "access_rules" not in made
    token = (await log_in(member.client, made)).json()["token"]
    assert token["methods"] == ["application_credential"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["project"]["id"] == made["project_id"]
    assert token["application_credential"] == {"id": made["id"], "name": "robot", "restricted": True}
    shown = (await member.request("GET", f"users/{member.id}/application_credentials/{made['id']}")).json()
    assert "secret" not in shown["application_credential"]


async def test_it_logs_in_by_name(member: Persona) -> None:
    made = await make(member, secret="of my own")
    assert made["secret"] == "of my own"
    given = {"name": "robot", "user": {"id": member.id}, "secret": "of my own"}
    identity = {"methods": ["application_credential"], "application_credential": given}
    answer = await member.client.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
    assert answer.status_code == 201
    given["secret"] = "of another"
    answer = await member.client.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "given", [{}, {"secret": "x"}, {"id": "x"}, {"id": 7, "secret": "x"}, {"name": "x", "secret": "x"}]
)
async def test_odd_log_ins(cloud: Client, given: Any) -> None:
    identity = {"methods": ["application_credential"], "application_credential": given}
    answer = await cloud.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
    assert answer.status_code == 400


async def test_it_asks_for_no_scope_and_makes_no_other_token(member: Persona) -> None:
    made = await make(member)
    refused = await log_in(member.client, made, {"project": {"id": made["project_id"]}})
    assert refused.status_code == 401
    token = (await robot(member, made)).token
    for scope in (None, "unscoped", {"project": {"id": made["project_id"]}}):
        auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
        assert (await member.client.post("/v3/auth/tokens", json={"auth": auth})).status_code == 403


async def test_roles_that_are_not_held_are_not_given(member: Persona) -> None:
    admin_id = await member.client.role_id("admin")
    for role in ({"name": "admin"}, {"id": admin_id}, {"name": "absent"}):
        body = {"application_credential": {"name": "robot", "roles": [role]}}
        assert await member.status("POST", f"users/{member.id}/application_credentials", body) == 400


async def test_it_ends_with_the_roles_of_who_made_it(member: Persona) -> None:
    made = await make(member)
    token = await robot(member, made)
    role = await member.client.role_id("member")
    await member.client.delete(f"/v3/projects/{made['project_id']}/users/{member.id}/roles/{role}")
    assert await token.status("GET", "auth/catalog") == 401
    assert (await log_in(member.client, made)).status_code == 401


async def test_it_ends_when_deleted_and_so_do_its_tokens(member: Persona) -> None:
    made = await make(member)
    token = await robot(member, made)
    assert await token.status("GET", "auth/catalog") == 200
    path = f"users/{member.id}/application_credentials/{made['id']}"
    assert await member.status("DELETE", path) == 204
    assert await member.status("DELETE", path) == 404
    assert await token.status("GET", "auth/catalog") == 401
    assert (await log_in(member.client, made)).status_code == 401


async def test_it_ends_in_time(member: Persona) -> None:
    clock.stop()
    try:
        soon = "%Y-%m-%dT%H:%M:%S.%fZ"
        from datetime import timedelta

        expires_at = (clock.now() + timedelta(hours=1)).strftime(soon)
        made = await make(member, expires_at=expires_at)
        answer = await log_in(member.client, made)
        assert answer.json()["token"]["expires_at"] == expires_at
        clock.step(hours=1, seconds=1)
        assert (await log_in(member.client, made)).status_code == 401
    finally:
        clock.run()


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": " "},
        {"name": "x" * 256},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "tomorrow"},
        {"expires_at": "9999-12-31T23:59:59-23:00"},
        {"roles": [{}]},
        {"roles": "member"},
        {"unrestricted": "yes"},
        {"access_rules": [{"path": "/v3"}]},
        {"access_rules": [{"path": "v3", "method": "GET", "service": "identity"}]},
        {"access_rules": [{"path": "/v3", "method": "BREW", "service": "identity"}]},
    ],
)
async def test_odd_ones_are_refused(member: Persona, values: Any) -> None:
    body = {"application_credential": {"name": "robot", **values}}
    assert await member.status("POST", f"users/{member.id}/application_credentials", body) == 400


async def test_names_are_taken_once_by_a_user(member: Persona) -> None:
    await make(member)
    body = {"application_credential": {"name": "robot"}}
    assert await member.status("POST", f"users/{member.id}/application_credentials", body) == 409


async def test_a_restricted_one_makes_nothing_that_would_outlast_it(member: Persona) -> None:
    made = await make(member)
    bound = await robot(member, made)
    base = f"users/{member.id}"
    body = {"application_credential": {"name": "offspring"}}
    assert await bound.status("POST", f"{base}/application_credentials", body) == 403
    assert await bound.status("DELETE", f"{base}/application_credentials/{made['id']}") == 403
    key = {"tenant_id": made["project_id"]}
    assert await bound.status("POST", f"{base}/credentials/OS-EC2", key) == 403
    stored = {"credential": {"type": "note", "blob": "x", "user_id": member.id}}
    assert await bound.status("POST", "credentials", stored) == 403
    trust = {"trustor_user_id": member.id, "trustee_user_id": member.id, "impersonation": True}
    given = {"trust": {**trust, "project_id": made["project_id"], "roles": [{"name": "member"}]}}
    assert await bound.status("POST", "OS-TRUST/trusts", given) == 403
    free = await robot(member, await make(member, name="free", unrestricted=True))
    assert await free.status("POST", f"{base}/application_credentials", body) == 201


async def test_access_rules_bound_every_request(member: Persona) -> None:
    rules = [
        {"service": "identity", "method": "GET", "path": "/v3/users/*/application_credentials"},
        {"service": "compute", "method": "GET", "path": "/v2.1/**"},
    ]
    made = await make(member, access_rules=rules)
    assert [rule["path"] for rule in made["access_rules"]] == [rule["path"] for rule in rules]
    bound = await robot(member, made)
    assert await bound.status("GET", f"users/{member.id}/application_credentials") == 200
    assert await bound.status("GET", f"users/{member.id}/application_credentials/{made['id']}") == 401
    assert await bound.status("GET", f"users/{member.id}") == 401
    assert await bound.status("GET", "auth/projects") == 401
    nothing = await robot(member, await make(member, name="nothing", access_rules=[]))
    assert await nothing.status("GET", "auth/projects") == 401


async def test_access_rules_are_shared_and_kept_while_used(member: Persona) -> None:
    rule = {"service": "compute", "method": "GET", "path": "/v2.1/servers"}
    one = await make(member, access_rules=[rule])
    two = await make(member, name="two", access_rules=[rule])
    id = one["access_rules"][0]["id"]
    assert two["access_rules"][0]["id"] == id
    path = f"users/{member.id}/access_rules"
    listed = (await member.request("GET", path)).json()["access_rules"]
    assert [found["id"] for found in listed] == [id]
    assert (await member.request("GET", f"{path}/{id}")).json()["access_rule"]["path"] == rule["path"]
    assert await member.status("DELETE", f"{path}/{id}") == 403
    for made in (one, two):
        await member.request("DELETE", f"users/{member.id}/application_credentials/{made['id']}")
    assert await member.status("DELETE", f"{path}/{id}") == 204
    assert await member.status("GET", f"{path}/{id}") == 404


async def test_another_user_sees_and_changes_none(admin: Client, member: Persona) -> None:
    made = await make(member, access_rules=[{"service": "x", "method": "GET", "path": "/"}])
    other = await admin.persona("member", f"projects/{made['project_id']}")
    base = f"users/{member.id}"
    body = {"application_credential": {"name": "robot"}}
    assert await other.status("POST", f"{base}/application_credentials", body) == 403
    assert await other.status("GET", f"{base}/application_credentials") == 403
    assert await other.status("GET", f"{base}/application_credentials/{made['id']}") == 403
    assert await other.status("DELETE", f"{base}/application_credentials/{made['id']}") == 403
    own = f"users/{other.id}/application_credentials/{made['id']}"
    assert await other.status("GET", own) == 403  # another's, whoever the path names
    assert await other.status("DELETE", own) == 403
    assert await other.status("GET", f"users/{other.id}/application_credentials/absent") == 404
    rule = made["access_rules"][0]["id"]
    assert await other.status("GET", f"{base}/access_rules") == 403
    assert await other.status("GET", f"users/{other.id}/access_rules/{rule}") == 404
    assert await other.status("DELETE", f"users/{other.id}/access_rules/{rule}") == 404
    borrowed = {"application_credential": {"name": "mine", "access_rules": [{"id": rule}]}}
    assert await other.status("POST", f"users/{other.id}/application_credentials", borrowed) == 404
    assert (await admin.get(f"/v3/{base}/application_credentials")).status_code == 200


async def test_a_token_without_a_project_makes_none(admin: Client) -> None:
    user = await admin.make("users", name="nomad", password="pw")
    nomad = await admin.signed_in(user["id"], "unscoped")
    body = {"application_credential": {"name": "robot"}}
    assert await nomad.status("POST", f"users/{user['id']}/application_credentials", body) == 403


async def test_a_program_that_logs_in_again_pays_its_hash_once(
    member: Persona, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, paid = await make(member), []
    check = passwords.is_password

    async def counting(*args: Any) -> bool:
        paid.append(args)
        return await check(*args)

    monkeypatch.setattr(passwords, "is_password", counting)
    for _ in range(3):
        assert (await log_in(member.client, made)).status_code == 201
    assert len(paid) == 1
    assert (await log_in(member.client, {**made, "secret": "wrong"})).status_code == 401
    assert (await log_in(member.client, {**made, "id": "0" * 32})).status_code == 401  # pays as well
    assert len(paid) == 3
    path = f"users/{member.id}/application_credentials/{made['id']}"
    assert await member.status("DELETE", path) == 204
    assert (await log_in(member.client, made)).status_code == 401


async def test_roles_that_are_not_held_are_named_in_the_refusal(member: Persona) -> None:
    body = {"application_credential": {"name": "robot", "roles": [{"name": "admin"}]}}
    answer = await member.request("POST", f"users/{member.id}/application_credentials", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith("role assignment with role: admin.")
