"""How tokens live and die: keys that change, what kills them, and how soon other processes know."""

import base64
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel.clock import clock, now
from aerostat.kernel.context import Context
from aerostat.kernel.db import Seal, Store, open_store
from aerostat.kernel.errors import Unauthorized
from aerostat.services.identity import model
from aerostat.services.identity.tokens import Tokens

from .conftest import Client, Persona, on


@pytest.fixture
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()


@pytest.fixture
async def other(admin: Client, tmp_path: Any) -> AsyncIterator[Tokens]:
    """Another process on the same database; it looks for changes each time that it is asked."""
    store = await open_store(f"sqlite:///{tmp_path}/identity.sqlite?synchronous=off", Seal("third"))
    tokens = Tokens(store, admin.house.state["identity"].config)
    await tokens.keys.load()
    yield tokens
    await store.close()


async def status(client: Client, token: str) -> int:
    return (await client.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code


@pytest.mark.usefixtures("standing_clock")
async def test_keys_change_and_nobody_is_signed_out(admin: Client, other: Tokens) -> None:
    here: Tokens = admin.house.state["identity"]
    first = admin.headers["x-auth-token"]
    await here.keys.rotate()
    early = await admin.become_admin()
    assert await admin.house.store.count(model.TOKEN_KEYS) == 2
    clock.step(seconds=here.keys.settling_s)
    late = await admin.become_admin()
    for token in (first, early, late):
        assert isinstance(await other.validate(token), Context)
    # What only the new key opens is what was sealed after every process had it.
    store: Store = admin.house.store
    old = (await store.all(model.TOKEN_KEYS, order="number"))[0]
    await store.delete(model.TOKEN_KEYS, number=old.number)
    for token, good in ((first, False), (early, False), (late, True)):
        for tokens in (here, other):
            await tokens.refresh()
            if good:
                await tokens.validate(token)
            else:
                with pytest.raises(Unauthorized):
                    await tokens.validate(token)


@pytest.mark.usefixtures("standing_clock")
async def test_a_key_goes_when_no_token_needs_it(admin: Client) -> None:
    tokens: Tokens = admin.house.state["identity"]
    for _ in range(4):
        assert await tokens.keys.rotate() == 0
    clock.step(seconds=tokens.config.token_lifetime_s + tokens.config.allow_expired_window_s + 60)
    assert await tokens.keys.rotate() == 4  # the newest of the old ones was still sealing
    assert await admin.house.store.count(model.TOKEN_KEYS) == 2


async def test_all_keys_go_at_once_if_they_must(admin: Client, other: Tokens) -> None:
    tokens: Tokens = admin.house.state["identity"]
    token = admin.headers["x-auth-token"]
    assert await tokens.keys.rotate(at_once=True) == 1
    tokens.changed()
    assert await status(admin, token) == 401
    await other.refresh()
    with pytest.raises(Unauthorized):
        await other.validate(token)
    assert await status(admin, await admin.become_admin()) == 200


async def test_another_process_knows_of_a_revocation_when_it_looks(admin: Client, other: Tokens) -> None:
    token = admin.headers["x-auth-token"]
    assert (await other.validate(token)).user_name == "admin"
    await admin.delete("/v3/auth/tokens", headers={"x-subject-token": token})
    assert await status(admin, token) == 401  # at once here
    await other.refresh()  # which it does by itself every `refresh_s`, at most a second
    with pytest.raises(Unauthorized):
        await other.validate(token)


@pytest.mark.usefixtures("standing_clock")
async def test_a_revocation_is_seen_although_clocks_differ(admin: Client, other: Tokens) -> None:
    tokens: Tokens = admin.house.state["identity"]
    for step_s in (-3600, 120, 3600):  # put back and forth since the other looked
        token = await admin.become_admin()
        await other.refresh()
        clock.step(seconds=step_s)
        payload, _ = await tokens.open(token)
        await tokens.revoke(audit_id=payload.audit_ids[0])
        await other.refresh()
        with pytest.raises(Unauthorized):
            await other.validate(token)
        clock.step(seconds=-step_s)


async def test_a_look_reads_what_is_new_however_much_is_old(admin: Client) -> None:
    tokens: Tokens = admin.house.state["identity"]
    old = now() - timedelta(hours=1)
    for number in range(20):
        await admin.house.store.insert(
            model.REVOCATIONS, audit_id=f"old {number}", issued_before=old, revoked_at=old
        )
    read: list[int] = []
    fetch = Store.fetch

    async def counting(self: Store, clause: Any, parameters: Any = None) -> Any:
        rows = await fetch(self, clause, parameters)
        if "identity_revocations" in str(clause):
            read.append(len(rows))
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "fetch", counting)
        await tokens.refresh()
        await tokens.revoke(audit_id="new")
        await tokens.refresh()
    assert read == [0, 1]


async def test_a_process_looks_every_refresh_s(
    admin: Client, other: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = admin.headers["x-auth-token"]
    await other.validate(token)
    await admin.delete("/v3/auth/tokens", headers={"x-subject-token": token})
    moment_s = time.monotonic()
    monkeypatch.setattr("aerostat.services.identity.tokens.time.monotonic", lambda: moment_s + 1.01)
    assert other.config.refresh_s <= 1.0
    with pytest.raises(Unauthorized):
        await other.validate(token)


async def test_a_revoked_token_leaves_those_made_with_it(admin: Client) -> None:
    """As dashboards need it: they change the project and drop the token that they had before."""
    first = admin.headers["x-auth-token"]
    auth = {"identity": {"methods": ["token"], "token": {"id": first}}, "scope": on("demo")}
    second = (await admin.post("/v3/auth/tokens", json={"auth": auth})).headers["x-subject-token"]
    await admin.delete("/v3/auth/tokens", headers={"x-subject-token": first})
    assert await status(admin, first) == 401
    assert await status(admin, second) == 200


@pytest.fixture
async def member(admin: Client) -> Persona:
    domain = await admin.make("domains", name="far")
    project = await admin.make("projects", name="work", domain_id=domain["id"])
    return await admin.persona("member", f"projects/{project['id']}", domain["id"])


async def _disable(admin: Client, kind: str, id: str) -> None:
    for enabled in (False, True):  # on again: a token stays dead all the same
        answer = await admin.patch(f"/v3/{kind}s/{id}", json={kind: {"enabled": enabled}})
        assert answer.status_code == 200, answer.text


async def _act(admin: Client, member: Persona, what: str) -> None:
    project = member.scope["project"]["id"]  # type: ignore[index]
    domain = (await admin.get(f"/v3/projects/{project}")).json()["project"]["domain_id"]
    role = await admin.role_id("member")
    grant = f"/v3/projects/{project}/users/{member.id}/roles/{role}"
    match what:
        case "user off":
            await _disable(admin, "user", member.id)
        case "project off":
            await _disable(admin, "project", project)
        case "domain off":
            await _disable(admin, "domain", domain)
        case "role gone":
            assert (await admin.delete(grant)).status_code == 204
        case "project gone":
            assert (await admin.delete(f"/v3/projects/{project}")).status_code == 204
        case "user gone":
            assert (await admin.delete(f"/v3/users/{member.id}")).status_code == 204
        case "password set":
            await admin.patch(f"/v3/users/{member.id}", json={"user": {"password": "new"}})
        case "password changed":
            body = {"user": {"original_password": "pw", "password": "new"}}
            assert (await admin.post(f"/v3/users/{member.id}/password", json=body)).status_code == 204


@pytest.mark.parametrize(
    "what",
    [
        "user off",
        "project off",
        "domain off",
        "role gone",
        "project gone",
        "user gone",
        "password set",
        "password changed",
    ],
)
async def test_what_kills_a_token_kills_it_everywhere(
    admin: Client, other: Tokens, member: Persona, what: str
) -> None:
    assert await status(admin, member.token) == 200
    assert (await other.validate(member.token)).user_id == member.id
    await _act(admin, member, what)
    assert await status(admin, member.token) == 401
    looked = await admin.get("/v3/auth/tokens", headers={"x-subject-token": member.token})
    assert looked.status_code == 404
    auth = {"identity": {"methods": ["token"], "token": {"id": member.token}}}
    assert (await admin.post("/v3/auth/tokens", json={"auth": auth})).status_code == 404
    await other.refresh()
    with pytest.raises(Unauthorized):
        await other.validate(member.token)


async def test_a_token_that_was_tampered_with_is_none(admin: Client) -> None:
    token = admin.headers["x-auth-token"]
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at in (0, 1, 9, 25, len(raw) - 33, len(raw) - 1):
        odd = bytearray(raw)
        odd[at] ^= 1
        changed = base64.urlsafe_b64encode(odd).rstrip(b"=").decode()
        assert await status(admin, changed) == 401, at
    assert await status(admin, token[:-4]) == 401
    assert await status(admin, token + "AAAA") == 401


async def test_a_system_token_becomes_no_project_token(admin: Client) -> None:
    token = await admin.become("admin", "first", {"system": {"all": True}})
    for scope, expected in ((on("admin"), 403), ({"domain": {"id": "default"}}, 403), (None, 201)):
        auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": token}}}
        if scope is not None:
            auth["scope"] = scope
        assert (await admin.post("/v3/auth/tokens", json={"auth": auth})).status_code == expected


async def test_revocations_are_told_to_services(admin: Client) -> None:
    token = await admin.become_admin()
    await admin.become_admin()
    await admin.delete("/v3/auth/tokens", headers={"x-subject-token": token})
    (event,) = (await admin.get("/v3/OS-REVOKE/events")).json()["events"]
    assert set(event) == {"audit_id", "issued_before"}
    later = (await admin.get("/v3/OS-REVOKE/events?since=2100-01-01T00:00:00Z")).json()["events"]
    assert later == []
    for odd in ("later", "0001-01-01T00:00:00%2B14:00"):
        assert (await admin.get(f"/v3/OS-REVOKE/events?since={odd}")).status_code == 400
    await admin.become("demo", "second")
    assert (await admin.get("/v3/OS-REVOKE/events")).status_code == 403
