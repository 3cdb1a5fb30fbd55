"""Several factors: passcodes that change with the time, rules of accounts, receipts for what was proved already."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aerostat.kernel.clock import clock
from aerostat.services.identity.methods.totp import STEP_S, passcode

from .conftest import Client, on, password_auth

SECRET = base64.b32encode(b"12345678901234567890").decode()
BOTH: dict[str, Any] = {"multi_factor_auth_rules": [["password", "totp"]]}


@pytest.fixture(autouse=True)
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()


def code(steps: int = 0) -> str:
    known = passcode(SECRET, int(clock.timestamp()) // STEP_S + steps)
    assert known is not None
    return known.decode()


def proof(user: dict[str, Any], *methods: str, **given: str) -> dict[str, Any]:
    parts = {
        "password": {"user": {"id": user["id"], "password": given.get("password", "pw")}},
        "totp": {"user": {"id": user["id"], "passcode": given.get("passcode", "")}},
    }
    identity = {"methods": list(methods), **{name: parts[name] for name in methods}}
    return {"auth": {"identity": identity}}


async def try_in(client: Client, body: dict[str, Any], receipt: str | None = None) -> httpx.Response:
    headers = {"openstack-auth-receipt": receipt} if receipt else {}
    return await client.post("/v3/auth/tokens", json=body, headers=headers)


async def user_with_secret(client: Client, name: str = "u", **options: Any) -> dict[str, Any]:
    user = await client.make("users", name=name, password="pw", options=options)
    await client.make("credentials", type="totp", blob=SECRET, user_id=user["id"])
    return user


def test_passcodes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, for SHA-1; the last six digits of its eight."""
    for at_s, expected in ((59, b"287082"), (1111111109, b"081804"), (20000000000, b"353130")):
        assert passcode(SECRET, at_s // STEP_S) == expected
    assert passcode("not base32!", 1) is None


async def test_a_passcode_lets_in_once(admin: Client) -> None:
    user = await user_with_secret(admin)
    answer = await try_in(admin, proof(user, "totp", passcode=code()))
    assert answer.status_code == 201
    assert answer.json()["token"]["methods"] == ["totp"]
    assert (await try_in(admin, proof(user, "totp", passcode=code()))).status_code == 401
    assert (
        await try_in(admin, proof(user, "totp", passcode=code(-1)))
    ).status_code == 401  # older than a used one
    clock.step(seconds=2 * STEP_S)
    assert (await try_in(admin, proof(user, "totp", passcode=code(-2)))).status_code == 401
    assert (
        await try_in(admin, proof(user, "totp", passcode=code(-1)))
    ).status_code == 201  # a clock that is late
    assert (await try_in(admin, proof(user, "totp", passcode=code(1)))).status_code == 401


async def test_guessing_passcodes_makes_the_account_wait(admin: Client) -> None:
    user = await user_with_secret(admin)
    for _ in range(5):
        assert (await try_in(admin, proof(user, "totp", passcode="000000"))).status_code == 401
    assert (await try_in(admin, proof(user, "totp", passcode=code()))).status_code == 401
    clock.step(seconds=1)
    assert (await try_in(admin, proof(user, "totp", passcode=code()))).status_code == 201


async def test_two_factors_at_once(admin: Client) -> None:
    user = await user_with_secret(admin, **BOTH)
    answer = await try_in(admin, proof(user, "password", "totp", passcode=code()))
    assert answer.status_code == 201
    assert answer.json()["token"]["methods"] == ["password", "totp"]
    other = await user_with_secret(admin, "other")
    clock.step(seconds=STEP_S)
    body = proof(user, "password", "totp", passcode=code())
    body["auth"]["identity"]["totp"]["user"]["id"] = other["id"]  # two people are none
    assert (await try_in(admin, body)).status_code == 401


async def test_one_factor_of_two_gives_a_receipt(admin: Client) -> None:
    user = await user_with_secret(admin, **BOTH)
    answer = await try_in(admin, proof(user, "password"))
    assert answer.status_code == 401
    assert answer.json()["required_auth_methods"] == [["password", "totp"]]
    shown = answer.json()["receipt"]
    assert shown["methods"] == ["password"]
    assert shown["user"] == {"id": user["id"], "name": "u", "domain": {"id": "default", "name": "Default"}}
    receipt = answer.headers["openstack-auth-receipt"]
    done = await try_in(admin, proof(user, "totp", passcode=code()), receipt)
    assert done.status_code == 201
    assert set(done.json()["token"]["methods"]) == {"password", "totp"}
    token = done.headers["x-subject-token"]
    again = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}
    assert (await try_in(admin, again)).status_code == 201  # both factors are in the token


async def test_a_receipt_is_no_token_and_good_for_its_user_a_short_while(admin: Client) -> None:
    user, other = await user_with_secret(admin, **BOTH), await user_with_secret(admin, "other", **BOTH)
    receipt = (await try_in(admin, proof(user, "password"))).headers["openstack-auth-receipt"]
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": receipt})).status_code == 401
    assert (await try_in(admin, proof(other, "totp", passcode=code()), receipt)).status_code == 401
    assert (await try_in(admin, proof(user, "totp", passcode="000000"), receipt)).status_code == 401
    token = admin.headers["x-auth-token"]
    assert (await try_in(admin, proof(user, "password"), token)).status_code == 401
    assert (await try_in(admin, proof(user, "password"), "odd")).status_code == 401
    clock.step(seconds=301)
    assert (await try_in(admin, proof(user, "totp", passcode=code()), receipt)).status_code == 401


async def test_rules_bind_only_while_they_are_on_and_can_be_met(admin: Client) -> None:
    for number, options in enumerate(
        (
            {**BOTH, "multi_factor_auth_enabled": False},
            {"multi_factor_auth_rules": []},
            {"multi_factor_auth_rules": [["retina"]]},
            {"multi_factor_auth_rules": [["password", "totp"], ["password"]]},
        )
    ):
        user = await admin.make("users", name=f"u{number}", password="pw", options=options)
        assert (await try_in(admin, proof(user, "password"))).status_code == 201, options


async def test_wrong_scopes_stay_wrong_with_two_factors(admin: Client) -> None:
    user = await user_with_secret(admin, **BOTH)
    body = password_auth(user["id"], "pw", on("admin"))
    assert "openstack-auth-receipt" in (await try_in(admin, body)).headers
    full = proof(user, "password", "totp", passcode=code())
    full["auth"]["scope"] = on("admin")
    answer = await try_in(admin, full)
    assert answer.status_code == 401
    assert "openstack-auth-receipt" not in answer.headers
