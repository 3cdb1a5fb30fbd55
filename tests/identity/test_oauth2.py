"""OAuth 2: an application credential as a client's id and secret."""

import base64
from typing import Any

import httpx
import pytest

from .conftest import Client

GRANT = {"grant_type": "client_credentials"}


async def ask(client: Client, form: Any, **headers: str) -> httpx.Response:
    client.headers.pop("x-auth-token", None)
    return await client.post("/v3/OS-OAUTH2/token", data=form, headers=headers)


def basic(id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()


@pytest.fixture
async def key(admin: Client) -> dict[str, Any]:
    user = (await admin.get("/v3/users?name=admin")).json()["users"][0]
    body = {"application_credential": {"name": "k", "secret": "a+b%41", "roles": [{"name": "reader"}]}}
    answer = await admin.post(f"/v3/users/{user['id']}/application_credentials", json=body)
    made: dict[str, Any] = answer.json()["application_credential"]
    return made


async def test_a_client_gets_a_token(admin: Client, key: dict[str, Any]) -> None:
    by_header = await ask(admin, GRANT, authorization=basic(key["id"], "a+b%41"))
    by_form = await ask(admin, {**GRANT, "client_id": key["id"], "client_secret": "a+b%41"})
    for answer in (by_header, by_form):
        assert answer.status_code == 200, answer.text
        given = answer.json()
        assert given["token_type"] == "Bearer"
        assert 14390 <= given["expires_in"] <= 14400
        looking = {"x-auth-token": given["access_token"], "x-subject-token": given["access_token"]}
        token = (await admin.get("/v3/auth/tokens", headers=looking)).json()["token"]
        assert [role["name"] for role in token["roles"]] == ["reader"]
        assert token["application_credential"]["id"] == key["id"]


@pytest.mark.parametrize(
    ("form", "secret", "status", "error"),
    [
        ({}, "a+b%41", 400, "invalid_request"),
        ({"grant_type": "password"}, "a+b%41", 400, "unsupported_grant_type"),
        (GRANT, "wrong", 401, "invalid_client"),
        (GRANT, "", 401, "invalid_client"),
    ],
)
async def test_refusals_are_oauths(
    admin: Client, key: dict[str, Any], form: dict[str, str], secret: str, status: int, error: str
) -> None:
    answer = await ask(admin, form, authorization=basic(key["id"], secret))
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_odd_headers_are_no_clients(admin: Client) -> None:
    for odd in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Bearer x"):
        assert (await ask(admin, GRANT, authorization=odd)).status_code == 401
