"""OAuth 1: a consumer asks, a user lets it in with some roles, and it logs in with what it got."""

from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from oauthlib.oauth1 import Client as Signer

from aerostat.kernel.clock import clock

from .conftest import URL, Client

BODY = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}


class Consumer:
    """A program with a consumer's key, asking for rights on the admin project."""

    def __init__(self, client: Client, id: str, secret: str, project: str) -> None:
        self.client, self.id, self.secret, self.project = client, id, secret, project

    async def send(self, path: str, json: object = None, **signing: Any) -> httpx.Response:
        signer = Signer(self.id, **{"client_secret": self.secret, **signing})
        _, headers, _ = signer.sign(f"{URL}/v3{path}", "POST")
        headers = {"authorization": headers["Authorization"], "requested-project-id": self.project}
        return await self.client.post(f"/v3{path}", json=json, headers=headers)

    async def ask(self, **signing: Any) -> httpx.Response:
        return await self.send("/OS-OAUTH1/request_token", callback_uri="oob", **signing)

    async def let_in(self, role: str = "reader") -> dict[str, str]:
        """The administrator gives one role; what is signed with from then on."""
        asked = fields(await self.ask())
        body = {"roles": [{"name": role}]}
        answer = await self.client.put(f"/v3/OS-OAUTH1/authorize/{asked['oauth_token']}", json=body)
        assert answer.status_code == 200, answer.text
        signing = keys(asked)
        verifier = answer.json()["token"]["oauth_verifier"]
        wrong = await self.send("/OS-OAUTH1/access_token", verifier="0", **signing)
        assert wrong.status_code == 401
        got = await self.send("/OS-OAUTH1/access_token", verifier=verifier, **signing)
        again = await self.send("/OS-OAUTH1/access_token", verifier=verifier, **signing)
        assert again.status_code == 404
        return keys(fields(got))

    async def log_in(self, signing: dict[str, str]) -> httpx.Response:
        return await self.send("/auth/tokens", json=BODY, **signing)


def fields(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return dict(parse_qsl(answer.text))


def keys(fields: dict[str, str]) -> dict[str, str]:
    return {
        "resource_owner_key": fields["oauth_token"],
        "resource_owner_secret": fields["oauth_token_secret"],
    }


@pytest.fixture
async def consumer(admin: Client) -> Consumer:
    made = await admin.make("OS-OAUTH1/consumers", description="a program")
    project = (await admin.get("/v3/projects?name=admin")).json()["projects"][0]["id"]
    return Consumer(admin, made["id"], made["secret"], project)


async def test_consumers_come_change_and_go(admin: Client) -> None:
    made = await admin.make("OS-OAUTH1/consumers", description="a program")
    path = f"/v3/OS-OAUTH1/consumers/{made['id']}"
    shown = (await admin.get(path)).json()["consumer"]
    assert "secret" not in shown
    assert shown["description"] == "a program"
    changed = await admin.patch(path, json={"consumer": {"description": "another", "colour": "red"}})
    assert changed.json()["consumer"] == {**shown, "description": "another", "colour": "red"}
    assert (await admin.patch(path, json={"consumer": {"secret": "mine"}})).status_code == 400
    listed = (await admin.get("/v3/OS-OAUTH1/consumers")).json()["consumers"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404


async def test_a_consumer_gets_what_it_was_given_and_no_more(consumer: Consumer) -> None:
    admin = consumer.client
    signing = await consumer.let_in("reader")
    answer = await consumer.log_in(signing)
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["methods"] == ["oauth1"]
    assert token["OS-OAUTH1"] == {
        "access_token_id": signing["resource_owner_key"],
        "consumer_id": consumer.id,
    }
    headers = {"x-auth-token": answer.headers["x-subject-token"]}
    assert (
        await admin.post("/v3/projects", json={"project": {"name": "x"}}, headers=headers)
    ).status_code == 403
    again = {"identity": {"methods": ["token"], "token": {"id": answer.headers["x-subject-token"]}}}
    assert (await admin.post("/v3/auth/tokens", json={"auth": again})).status_code == 403
    user_id = token["user"]["id"]
    key = {"application_credential": {"name": "k"}}
    answer = await admin.post(f"/v3/users/{user_id}/application_credentials", json=key, headers=headers)
    assert answer.status_code == 403


async def test_wrong_signatures_are_refused(consumer: Consumer) -> None:
    assert (await consumer.ask(client_secret="wrong")).status_code == 401
    assert (await consumer.ask(timestamp="1000000000")).status_code == 401
    assert (await consumer.ask(signature_method="PLAINTEXT")).status_code == 401
    assert (await consumer.ask(signature_method="HMAC-SHA256")).status_code == 201
    signing = await consumer.let_in()
    assert (await consumer.log_in({**signing, "resource_owner_secret": "wrong"})).status_code == 401
    assert (await consumer.log_in({**signing, "resource_owner_key": "absent"})).status_code == 401
    assert (await consumer.client.post("/v3/OS-OAUTH1/request_token")).status_code == 400
    odd = {"authorization": "OAuth nothing"}
    assert (await consumer.client.post("/v3/OS-OAUTH1/request_token", headers=odd)).status_code == 400


async def test_nobody_gives_roles_he_has_not(consumer: Consumer) -> None:
    asked = fields(await consumer.ask())
    path = f"/v3/OS-OAUTH1/authorize/{asked['oauth_token']}"
    body = {"roles": [{"name": "service"}]}
    assert (await consumer.client.put(path, json=body)).status_code == 401
    assert (await consumer.client.put(path, json={"roles": []})).status_code == 400
    early = await consumer.send("/OS-OAUTH1/access_token", verifier="00000000", **keys(asked))
    assert early.status_code == 401


async def test_access_tokens_are_seen_and_taken_back(consumer: Consumer) -> None:
    admin = consumer.client
    signing = await consumer.let_in("member")
    answer = await consumer.log_in(signing)
    token = answer.headers["x-subject-token"]
    base = f"/v3/users/{answer.json()['token']['user']['id']}/OS-OAUTH1/access_tokens"
    (shown,) = (await admin.get(base)).json()["access_tokens"]
    own = f"{base}/{shown['id']}"
    assert (await admin.get(own)).json()["access_token"] == shown
    (role,) = (await admin.get(f"{own}/roles")).json()["roles"]
    assert role["name"] == "member"
    assert (await admin.get(f"{own}/roles/{role['id']}")).json()["role"] == role
    assert (await admin.get(f"{own}/roles/{'0' * 32}")).status_code == 404
    assert (await admin.delete(own)).status_code == 204
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401
    assert (await consumer.log_in(signing)).status_code == 401


async def test_a_consumer_that_goes_takes_its_tokens_along(consumer: Consumer) -> None:
    signing = await consumer.let_in()
    token = (await consumer.log_in(signing)).headers["x-subject-token"]
    await consumer.client.delete(f"/v3/OS-OAUTH1/consumers/{consumer.id}")
    looked = await consumer.client.get("/v3/auth/projects", headers={"x-auth-token": token})
    assert looked.status_code == 401


async def test_requests_and_accesses_end(consumer: Consumer) -> None:
    clock.stop()
    try:
        signing = await consumer.let_in()
        asked = fields(await consumer.ask())
        clock.step(hours=8)
        late = {"timestamp": str(int(clock.timestamp()))}
        answer = await consumer.send("/OS-OAUTH1/access_token", verifier="0", **keys(asked), **late)
        assert answer.status_code == 401
        assert (await consumer.log_in({**signing, **late})).status_code == 201
        clock.step(hours=16)
        late = {"timestamp": str(int(clock.timestamp()))}
        assert (await consumer.log_in({**signing, **late})).status_code == 401
    finally:
        clock.run()
