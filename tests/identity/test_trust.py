"""Trusts: one user acts with a part of another's rights."""

from typing import Any

import pytest

from .conftest import Client, Persona, password_auth


class World:
    def __init__(self, client: Client, project: str, trustor: Persona, trustee: Persona) -> None:
        self.client, self.project, self.trustor, self.trustee = client, project, trustor, trustee

    def body(self, **values: Any) -> Any:
        trust = {
            "trustor_user_id": self.trustor.id,
            "trustee_user_id": self.trustee.id,
            "impersonation": True,
            "project_id": self.project,
            "roles": [{"name": "member"}],
        }
        return {"trust": {**trust, **values}}

    async def make(self, **values: Any) -> Any:
        answer = await self.trustor.request("POST", "OS-TRUST/trusts", self.body(**values))
        assert answer.status_code == 201, answer.text
        return answer.json()["trust"]

    async def act(self, trust: Any, who: Persona | None = None) -> Any:
        scope = {"OS-TRUST:trust": {"id": trust["id"]}}
        auth = password_auth((who or self.trustee).id, "pw", scope)
        return await self.client.post("/v3/auth/tokens", json=auth)


@pytest.fixture
async def world(admin: Client) -> World:
    project = (await admin.make("projects", name="work"))["id"]
    elsewhere = (await admin.make("projects", name="elsewhere"))["id"]
    trustor = await admin.persona("member", f"projects/{project}")
    return World(admin, project, trustor, await admin.persona("member", f"projects/{elsewhere}"))


async def test_the_trustee_acts_as_the_trustor(world: World) -> None:
    trust = await world.make(roles=[{"name": "reader"}])
    assert trust["redelegation_count"] == 0
    token = (await world.act(trust)).json()["token"]
    assert token["user"]["id"] == world.trustor.id
    assert token["project"]["id"] == world.project
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["OS-TRUST:trust"] == {
        "id": trust["id"],
        "impersonation": True,
        "trustor_user": {"id": world.trustor.id},
        "trustee_user": {"id": world.trustee.id},
    }


async def test_without_impersonation_it_is_the_trustee_with_the_trustors_roles(world: World) -> None:
    token = (await world.act(await world.make(impersonation=False))).json()["token"]
    assert token["user"]["id"] == world.trustee.id
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}


async def test_nobody_else_uses_it(world: World) -> None:
    trust = await world.make()
    third = await world.client.persona("member", f"projects/{world.project}")
    assert (await world.act(trust, third)).status_code == 403
    assert (await world.act(trust, world.trustor)).status_code == 403
    assert (await world.act({"id": "absent"})).status_code == 401


async def test_it_is_used_up(world: World) -> None:
    trust = await world.make(remaining_uses=2)
    assert (await world.act(trust)).status_code == 201
    assert (await world.act(trust)).status_code == 201
    assert (await world.act(trust)).status_code == 401


async def test_it_ends_with_the_trust_and_with_the_trustors_role(world: World) -> None:
    trust = await world.make()
    token = Persona(world.client, world.trustor.id, (await world.act(trust)).headers["x-subject-token"])
    assert await token.status("GET", "auth/catalog") == 200
    assert await world.trustor.status("DELETE", f"OS-TRUST/trusts/{trust['id']}") == 204
    assert await token.status("GET", "auth/catalog") == 401
    again = await world.make()
    role = await world.client.role_id("member")
    await world.client.delete(f"/v3/projects/{world.project}/users/{world.trustor.id}/roles/{role}")
    assert (await world.act(again)).status_code == 401


async def test_a_trusts_token_makes_no_other_and_hands_nothing_on(world: World) -> None:
    trust = await world.make()
    token = Persona(world.client, world.trustor.id, (await world.act(trust)).headers["x-subject-token"])
    auth = {"identity": {"methods": ["token"], "token": {"id": token.token}}}
    assert (await world.client.post("/v3/auth/tokens", json={"auth": auth})).status_code == 403
    assert await token.status("POST", "OS-TRUST/trusts", world.body()) == 403
    body = {"application_credential": {"name": "robot"}}
    assert await token.status("POST", f"users/{world.trustor.id}/application_credentials", body) == 403
    key = {"tenant_id": world.project}
    assert await token.status("POST", f"users/{world.trustor.id}/credentials/OS-EC2", key) == 403
    assert await token.status("DELETE", f"OS-TRUST/trusts/{trust['id']}") == 403


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"roles": [{"name": "admin"}]}, 403),
        ({"roles": []}, 403),
        ({"roles": [{}]}, 400),
        ({"project_id": "elsewhere"}, 403),
        ({"project_id": None}, 400),
        ({"trustee_user_id": "nobody"}, 404),
        ({"trustor_user_id": "somebody"}, 403),
        ({"expires_at": "yesterday"}, 400),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"remaining_uses": 0}, 400),
        ({"impersonation": None}, 400),
        ({"allow_redelegation": True, "remaining_uses": 2}, 400),
        ({"allow_redelegation": True, "redelegation_count": 4}, 403),
    ],
)
async def test_what_is_refused(world: World, values: Any, status: int) -> None:
    assert await world.trustor.status("POST", "OS-TRUST/trusts", world.body(**values)) == status


async def test_who_sees_it(world: World) -> None:
    trust = await world.make()
    third = await world.client.persona("member", f"projects/{world.project}")
    path = f"OS-TRUST/trusts/{trust['id']}"
    for person, status in ((world.trustor, 200), (world.trustee, 200), (third, 403)):
        assert await person.status("GET", path) == status
        assert await person.status("GET", f"{path}/roles") == status
    role = trust["roles"][0]["id"]
    assert await world.trustee.status("GET", f"{path}/roles/{role}") == 200
    assert await world.trustee.status("GET", f"{path}/roles/absent") == 404
    assert await world.trustee.status("DELETE", path) == 403
    own = f"OS-TRUST/trusts?trustor_user_id={world.trustor.id}"
    assert len((await world.trustor.request("GET", own)).json()["trusts"]) == 1
    assert await third.status("GET", own) == 403
    assert await third.status("GET", f"{own}&trustee_user_id={third.id}") == 403
    assert await third.status("GET", "OS-TRUST/trusts") == 403
    mine = f"OS-TRUST/trusts?trustee_user_id={world.trustee.id}"
    assert len((await world.trustee.request("GET", mine)).json()["trusts"]) == 1
    assert len((await world.client.get("/v3/OS-TRUST/trusts")).json()["trusts"]) == 1


async def hand_on(world: World, token: str, to: Persona, **values: Any) -> Any:
    """A trust made with a trust's token."""
    body = world.body(trustee_user_id=to.id, **values)
    headers = {"x-auth-token": token}
    return await world.client.post("/v3/OS-TRUST/trusts", json=body, headers=headers)


async def test_a_trust_is_handed_on_as_often_as_it_says(world: World, admin: Client) -> None:
    third = await admin.persona("reader", f"projects/{world.project}")
    first = await world.make(allow_redelegation=True, redelegation_count=1)
    assert first["redelegation_count"] == 1
    token = (await world.act(first)).headers["x-subject-token"]
    answer = await hand_on(world, token, third, allow_redelegation=True)
    assert answer.status_code == 201, answer.text
    second = answer.json()["trust"]
    assert second["redelegation_count"] == 0
    assert second["redelegated_trust_id"] == first["id"]
    acting = await world.act(second, third)
    assert acting.json()["token"]["user"]["id"] == world.trustor.id
    last = acting.headers["x-subject-token"]
    assert (await hand_on(world, last, third)).status_code == 403
    # What the first lost, the others lose.
    assert await world.trustor.status("DELETE", f"OS-TRUST/trusts/{first['id']}") == 204
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": last})).status_code == 401
    assert (await world.act(second, third)).status_code == 401
    assert (await admin.get(f"/v3/OS-TRUST/trusts/{second['id']}")).status_code == 404


async def test_what_is_handed_on_is_never_more(world: World, admin: Client) -> None:
    third = await admin.persona("reader", f"projects/{world.project}")
    at = "2037-01-01T00:00:00.000000Z"
    first = await world.make(
        allow_redelegation=True, roles=[{"name": "reader"}], impersonation=False, expires_at=at
    )
    assert first["redelegation_count"] == 3
    token = (await world.act(first)).headers["x-subject-token"]
    own = {"trustor_user_id": world.trustee.id, "roles": [{"name": "reader"}], "impersonation": False}
    for more in (
        {"roles": [{"name": "member"}]},
        {"impersonation": True},
        {"remaining_uses": 1},
        {"allow_redelegation": True, "redelegation_count": 3},
        {"expires_at": "2037-01-02T00:00:00Z"},
        {"trustor_user_id": world.trustor.id},
    ):
        assert (await hand_on(world, token, third, **{**own, **more})).status_code == 403, more
    answer = await hand_on(world, token, third, **own)
    assert answer.status_code == 201, answer.text
    second = answer.json()["trust"]
    assert second["expires_at"] == at
    shown = (await world.act(second, third)).json()["token"]
    assert [role["name"] for role in shown["roles"]] == ["reader"]
    assert shown["user"]["id"] == third.id
    # The one in the middle holds no role of his own there, and must be there all the same.
    await admin.patch(f"/v3/users/{world.trustee.id}", json={"user": {"enabled": False}})
    assert (await world.act(second, third)).status_code == 401


async def test_the_last_use_is_not_spent_on_a_refusal(world: World, admin: Client) -> None:
    trust = await world.make(remaining_uses=1)
    await admin.patch(f"/v3/users/{world.trustor.id}", json={"user": {"enabled": False}})
    assert (await world.act(trust)).status_code == 401
    await admin.patch(f"/v3/users/{world.trustor.id}", json={"user": {"enabled": True}})
    assert (await world.act(trust)).status_code == 201
    assert (await world.act(trust)).status_code == 401
