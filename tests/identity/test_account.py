"""Accounts: wrong passwords, locks, passwords that end, that must differ, that were forgotten about."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from aerostat.kernel.clock import clock
from aerostat.services.identity import model
from aerostat.services.identity.methods import password

from .conftest import Client, password_auth

REFUSED = "The request you have made requires authentication."


@pytest.fixture(autouse=True)
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()


def configure(client: Client, **settings: Any) -> None:
    tokens = client.house.state["identity"]
    tokens.config = msgspec.structs.replace(tokens.config, **settings)


async def try_in(client: Client, user: dict[str, Any], password: str) -> httpx.Response:
    return await client.post("/v3/auth/tokens", json=password_auth(user["id"], password))


async def change(client: Client, user: dict[str, Any], old: str, new: str) -> httpx.Response:
    clock.step(seconds=1)
    body = {"user": {"original_password": old, "password": new}}
    return await client.post(f"/v3/users/{user['id']}/password", json=body)


async def set_options(client: Client, user: dict[str, Any], **options: Any) -> None:
    answer = await client.patch(f"/v3/users/{user['id']}", json={"user": {"options": options}})
    assert answer.status_code == 200, answer.text


async def test_wrong_passwords_make_the_account_wait(admin: Client) -> None:
    user = await admin.make("users", name="u", password="pw")
    for _ in range(5):
        assert (await try_in(admin, user, "no")).status_code == 401
    answer = await try_in(admin, user, "pw")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == REFUSED
    clock.step(seconds=1)
    assert (await try_in(admin, user, "no")).status_code == 401  # the next wait is twice as long
    clock.step(seconds=1)
    assert (await try_in(admin, user, "pw")).status_code == 401
    clock.step(seconds=1)
    assert (await try_in(admin, user, "pw")).status_code == 201
    assert (await try_in(admin, user, "no")).status_code == 401  # and all is forgotten
    assert (await try_in(admin, user, "pw")).status_code == 201


async def test_guesses_made_at_once_are_no_way_around_it(admin: Client) -> None:
    user = await admin.make("users", name="u", password="pw")
    answers = await asyncio.gather(*(try_in(admin, user, f"no {number}") for number in range(20)))
    assert {answer.status_code for answer in answers} == {401}
    row = await admin.house.store.get(model.USERS, id=user["id"])
    assert row.failed_log_ins == 5  # the others would have been refused if they had been right
    assert (await try_in(admin, user, "pw")).status_code == 401


async def test_an_account_is_locked_for_a_while(admin: Client) -> None:
    configure(admin, lockout_failure_attempts=2, lockout_duration_s=60, slow_after_failures=0)
    user = await admin.make("users", name="u", password="pw")
    for given in ("no", "no", "pw"):
        answer = await try_in(admin, user, given)
        assert answer.json()["error"]["message"] == REFUSED
    assert (await change(admin, user, "pw", "other")).status_code == 401
    clock.step(seconds=60)
    assert (await try_in(admin, user, "no")).status_code == 401  # counts from one again
    assert (await try_in(admin, user, "pw")).status_code == 201


async def test_a_lock_for_ever_ends_with_a_new_password(admin: Client) -> None:
    configure(admin, lockout_failure_attempts=1, lockout_duration_s=0)
    user = await admin.make("users", name="u", password="pw")
    await try_in(admin, user, "no")
    clock.step(hours=1000)
    await admin.become_admin()
    assert (await try_in(admin, user, "pw")).status_code == 401
    await admin.patch(f"/v3/users/{user['id']}", json={"user": {"password": "new"}})
    assert (await try_in(admin, user, "new")).status_code == 201
    await try_in(admin, user, "no")
    await set_options(admin, user, ignore_lockout_failure_attempts=True)
    assert (await try_in(admin, user, "new")).status_code == 201


async def test_a_password_ends(admin: Client) -> None:
    configure(admin, password_expires_days=1)
    user = await admin.make("users", name="u", password="pw")
    assert user["password_expires_at"] is not None
    clock.step(days=1)
    await admin.become_admin()
    answer = await try_in(admin, user, "pw")
    assert answer.status_code == 401
    assert "expired" in answer.json()["error"]["message"]
    assert (await try_in(admin, user, "no")).json()["error"]["message"] == REFUSED
    await set_options(admin, user, ignore_password_expiry=True)
    assert (await try_in(admin, user, "pw")).status_code == 201
    await set_options(admin, user, ignore_password_expiry=None)
    assert (await change(admin, user, "pw", "other")).status_code == 204
    assert (await try_in(admin, user, "other")).status_code == 201


async def test_users_are_found_by_when_their_password_ends(admin: Client) -> None:
    configure(admin, password_expires_days=1)
    first = await admin.make("users", name="first", password="pw")
    clock.step(hours=1)
    second = await admin.make("users", name="second", password="pw")
    group = await admin.make("groups", name="g")
    for user in (first, second):
        await admin.put(f"/v3/groups/{group['id']}/users/{user['id']}")

    async def found(path: str, text: str) -> set[str]:
        answer = await admin.get(path, params={"password_expires_at": text})
        assert answer.status_code == 200, answer.text
        return {one["name"] for one in answer.json()["users"]}

    at = second["password_expires_at"]
    for path in ("/v3/users", f"/v3/groups/{group['id']}/users"):
        assert await found(path, f"lt:{at}") == {"first"}
        assert await found(path, f"gte:{at}") == {"second"}
        assert await found(path, f"neq:{at}") == {"first"}
        assert await found(path, at) == {"second"}
    for odd in ("soon", "lt:0001-01-01T00:00:00+14:00", ":::"):
        answer = await admin.get("/v3/users", params={"password_expires_at": odd})
        assert answer.status_code == 400


async def test_a_password_must_be_changed_before_it_lets_in(admin: Client) -> None:
    configure(admin, change_password_upon_first_use=True)
    user = await admin.make("users", name="u", password="pw")
    assert (await try_in(admin, user, "pw")).status_code == 401
    assert (await change(admin, user, "pw", "own")).status_code == 204
    assert (await try_in(admin, user, "own")).status_code == 201
    option = {"ignore_change_password_upon_first_use": True}
    robot = await admin.make("users", name="robot", password="pw", options=option)
    assert (await try_in(admin, robot, "pw")).status_code == 201


async def test_old_passwords_are_not_taken_again(admin: Client) -> None:
    configure(admin, unique_last_password_count=3)
    user = await admin.make("users", name="u", password="1")
    assert (await change(admin, user, "1", "2")).status_code == 204
    assert (await change(admin, user, "2", "3")).status_code == 204
    for used in ("3", "2", "1"):
        assert (await change(admin, user, "3", used)).status_code == 400
    assert (await change(admin, user, "3", "4")).status_code == 204
    assert (await change(admin, user, "4", "1")).status_code == 204
    answer = await admin.patch(f"/v3/users/{user['id']}", json={"user": {"password": "1"}})
    assert answer.status_code == 200  # administrators set what they like


async def test_a_user_keeps_a_password_for_a_while(admin: Client) -> None:
    configure(admin, minimum_password_age_days=2)
    user = await admin.make("users", name="u", password="pw")
    assert (
        await change(admin, user, "pw", "own")
    ).status_code == 204  # an administrator's is changed at once
    assert (await change(admin, user, "own", "next")).status_code == 400
    clock.step(days=2)
    assert (await change(admin, user, "own", "next")).status_code == 204


async def test_weak_passwords_are_refused(admin: Client) -> None:
    configure(
        admin, password_regex=r"^(?=.*\d)(?=.*[a-z]).{7,}$", password_regex_description="7, one a digit"
    )
    answer = await admin.post("/v3/users", json={"user": {"name": "u", "password": "short1"}})
    assert answer.status_code == 400
    assert "7, one a digit" in answer.json()["error"]["message"]
    user = await admin.make("users", name="u", password="longer1")
    assert (await change(admin, user, "longer1", "nodigits")).status_code == 400
    answer = await admin.patch(f"/v3/users/{user['id']}", json={"user": {"password": "x"}})
    assert answer.status_code == 400


async def test_a_locked_password_stays(admin: Client) -> None:
    user = await admin.make("users", name="u", password="pw", options={"lock_password": True})
    assert (await change(admin, user, "pw", "own")).status_code == 400
    assert (await try_in(admin, user, "pw")).status_code == 201


async def test_an_account_that_nobody_uses_is_disabled(admin: Client) -> None:
    configure(admin, disable_user_account_days_inactive=30)
    user = await admin.make("users", name="u", password="pw")
    clock.step(days=29)
    assert (await try_in(admin, user, "pw")).status_code == 201
    await admin.become_admin()
    clock.step(days=29)
    assert (await try_in(admin, user, "pw")).status_code == 201
    await admin.become_admin()
    clock.step(days=30)
    assert (await try_in(admin, user, "pw")).status_code == 401
    configure(admin, disable_user_account_days_inactive=0)
    await admin.become_admin()
    configure(admin, disable_user_account_days_inactive=30)
    assert (await admin.get(f"/v3/users/{user['id']}")).json()["user"]["enabled"] is False
    await admin.patch(f"/v3/users/{user['id']}", json={"user": {"enabled": True}})
    assert (await try_in(admin, user, "pw")).status_code == 201
    robot = await admin.make("users", name="r", password="pw", options={"ignore_user_inactivity": True})
    clock.step(days=100)
    assert (await try_in(admin, robot, "pw")).status_code == 201


@pytest.mark.parametrize(
    "options",
    [
        {"lock_password": "yes"},
        {"unheard_of": True},
        {"multi_factor_auth_rules": ["password"]},
        {"multi_factor_auth_rules": [[]]},
        {"multi_factor_auth_rules": [["password"], ["password"]]},
    ],
)
async def test_odd_options_are_refused(admin: Client, options: dict[str, Any]) -> None:
    answer = await admin.post("/v3/users", json={"user": {"name": "u", "options": options}})
    assert answer.status_code == 400


async def test_a_refusal_takes_as_long_whoever_it_is(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns from the time whether an account is there, waits or is disabled: each pays one hash."""
    configure(admin, slow_after_failures=1)
    known = await admin.make("users", name="known", password="pw")
    waiting = await admin.make("users", name="waiting", password="pw")
    disabled = await admin.make("users", name="disabled", password="pw", enabled=False)
    without = await admin.make("users", name="without")
    await try_in(admin, waiting, "no")
    paid: list[str] = []
    check = password.is_password

    async def counting(given: str, stored: str | None, rounds: int) -> bool:
        paid.append(given)
        return await check(given, stored, rounds)

    monkeypatch.setattr(password, "is_password", counting)
    for user in (known, waiting, disabled, without, {"id": "absent"}):
        paid.clear()
        answer = await try_in(admin, user, "no")
        assert (answer.status_code, answer.json()["error"]["message"]) == (401, REFUSED)
        assert paid == ["no"], user
