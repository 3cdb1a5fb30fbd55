"""Writes that come signed by the container that this one follows."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from aerostat.services.object.realms import Realm, Realms, signature

from .kit import Answer, Store, opened

REALMS = {
    "us": {
        "key": "realm key",
        "key2": "other key",
        "clusters": {"self": "http://127.0.0.1:1/v1/", "other": "http://127.0.0.1:2/v1/"},
    }
}
ON = {
    "container_sync": {"realms": REALMS, "current": "//us/self"},
    "tempauth": {"users": {"a:u": {"key": "k", "groups": [".admin"]}}},
}
AT = "1763870000.12345"


async def ready(store: Store) -> Store:
    """The container's owner."""
    sign_in = {"x-auth-user": "a:u", "x-auth-key": "k"}
    token = (await store("GET", "/auth/v1.0", headers=sign_in)).headers["x-auth-token"]
    owner = store.as_(x_auth_token=token)
    await owner.put("/v1/AUTH_a/c", x_container_sync_key="user key")
    return owner


async def signed(
    store: Store,
    method: str,
    name: str,
    body: bytes | None = None,
    at: str = AT,
    realm: str = "US",
    key: str = "realm key",
    user_key: str = "user key",
    **headers: str,
) -> Answer:
    path = f"/v1/AUTH_a/c/{name}"
    auth = signature(method, quote(path), at, "nonce", key, user_key)
    sent = {"x-timestamp": at, "x-container-sync-auth": f"{realm} nonce {auth}", **headers}
    return await store(method, path, body, sent)


async def test_signed_writes_have_the_time_they_were_made_at(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        owner = await ready(store)
        assert (await signed(store, "PUT", "ä o", b"bytes")).status == 201
        got = await owner("GET", "/v1/AUTH_a/c/ä o")
        assert (got.body, got.headers["x-timestamp"]) == (b"bytes", AT)
        assert (await signed(store, "HEAD", "ä o")).status == 200
        assert (await signed(store, "PUT", "ä o", b"older", at="1763870000.00000")).status == 409
        assert (
            await signed(store, "PUT", "ä o", b"newer", at="1763870001.00000", key="other key")
        ).status == 201
        assert (await signed(store, "DELETE", "ä o", at="1763870000.50000")).status == 409
        assert (await signed(store, "DELETE", "ä o", at="1763870002.00000")).status == 204
        assert (await owner("GET", "/v1/AUTH_a/c/ä o")).status == 404


@pytest.mark.parametrize(
    "wrong",
    [{"realm": "EU"}, {"key": "a guess"}, {"user_key": "a guess"}, {"x-container-sync-auth": "US nonce"}],
)
async def test_others_are_not_let_in(tmp_path: Path, wrong: Any) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        owner = await ready(store)
        answer = await signed(store, "PUT", "o", b"bytes", **wrong)
        assert answer.status == 401
        assert "contact cluster operator" in answer.text
        assert answer.headers["www-authenticate"].startswith("SwiftContainerSync")
        assert (await owner("GET", "/v1/AUTH_a/c/o")).status == 404


async def test_a_signature_is_good_for_one_thing_only(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        owner = await ready(store)
        auth = f"US nonce {signature('PUT', '/v1/AUTH_a/c/o', AT, 'nonce', 'realm key', 'user key')}"
        for method, path, at in (
            ("DELETE", "/v1/AUTH_a/c/o", AT),
            ("PUT", "/v1/AUTH_a/c/p", AT),
            ("PUT", "/v1/AUTH_a/c/o", "1763870000.12346"),
            ("PUT", "/v1/AUTH_a/c", AT),
            ("DELETE", "/v1/AUTH_a/c", AT),
            ("PUT", "/v1/AUTH_a/other/o", AT),
        ):
            sent = {"x-timestamp": at, "x-container-sync-auth": auth}
            assert (await store(method, path, None, sent)).status == 401
        bad_time = await signed(store, "PUT", "o", b"", at="yesterday")
        assert bad_time.status == 400
        assert (await owner("GET", "/v1/AUTH_a/c")).status == 204


async def test_where_a_container_may_send_to(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=ON) as store:
        owner = await ready(store)
        for target, status in (
            ("//us/other/AUTH_b/c", 204),
            ("//US/OTHER/AUTH_b/c", 204),
            ("", 204),
            ("//eu/other/AUTH_b/c", 400),
            ("//us/nowhere/AUTH_b/c", 400),
            ("//us/other/AUTH_b", 400),
            ("http://elsewhere.example.com/v1/a/c", 400),
            ("ftp://127.0.0.1/v1/a/c", 400),
        ):
            answer = await owner("POST", "/v1/AUTH_a/c", headers={"x-container-sync-to": target})
            assert answer.status == status, target
        assert (await store("GET", "/info")).json["container_sync"] == {
            "realms": {"US": {"clusters": {"SELF": {"current": True}, "OTHER": {}}}}
        }


def test_targets() -> None:
    realms = Realms({"us": Realm(key="k", clusters={"o": "http://h/v1/"})})
    found = realms.target("//US/O/AUTH_a/c ä")
    assert found is not None
    assert (found.url, found.realm, found.key) == ("http://h/v1/AUTH_a/c%20%C3%A4", "US", "k")
    assert realms.target("http://h/v1/a/c") is None
