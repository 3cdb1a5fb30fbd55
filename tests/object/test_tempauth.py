"""Users from the settings: signing in, tokens, and who may do what to whose accounts."""

import pytest

from aerostat.services.object.middleware import tempauth

from .kit import opened

USERS = {
    "test:tester": {"key": "testing", "groups": [".admin"]},
    "test:tester3": {"key": "testing3"},
    "test2:tester2": {"key": "testing2", "groups": [".admin"]},
    "test5:tester5": {"key": "testing5", "groups": ["service"]},
    "admin:admin": {"key": "admin", "groups": [".admin", ".reseller_admin"]},
    "audit:reader": {"key": "reader", "groups": [".reseller_reader"]},
    "els:where": {"key": "else", "groups": [".admin"], "storage_url": "$HOST/v1/AUTH_other"},
}


def settings(users=USERS, **more):
    return {"middleware": {"tempauth": {"enabled": True, "users": users, **more}}}


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        yield store


async def sign_in(store, name, key=None):
    return await store(
        "GET", "/auth/v1.0", headers={"x-auth-user": name, "x-auth-key": key or USERS[name]["key"]}
    )


async def as_user(store, name, service=None):
    headers = {"x_auth_token": (await sign_in(store, name)).headers["x-auth-token"]}
    if service:
        headers["x_service_token"] = (await sign_in(store, service)).headers["x-auth-token"]
    return store.as_(**headers)


async def test_a_user_signs_in_and_is_told_where(store):
    answer = await sign_in(store, "test:tester")
    assert answer.status == 200
    assert answer.headers["x-storage-url"] == "http://127.0.0.1:8080/v1/AUTH_test"
    assert answer.headers["x-auth-token"] == answer.headers["x-storage-token"]
    assert answer.headers["x-auth-token-expires"] == "86400"
    assert (await sign_in(store, "els:where")).headers["x-storage-url"].endswith("/v1/AUTH_other")
    for path, headers in (
        ("/auth/v1", {"x-storage-user": "test:tester", "x-storage-pass": "testing"}),
        ("/auth/v1/test/auth", {"x-storage-user": "tester", "x-storage-pass": "testing"}),
        ("/auth/v1/test/auth", {"x-auth-user": "test:tester", "x-auth-key": "testing"}),
    ):
        assert (await store("GET", path, headers=headers)).status == 200, path


async def test_signing_in_is_refused(store):
    wrong = await sign_in(store, "test:tester", "wrong")
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, 'Swift realm="test"')
    assert (await sign_in(store, "test:nobody", "x")).status == 401
    assert (await store("GET", "/auth/v1.0")).headers["www-authenticate"] == 'Swift realm="unknown"'
    other = {"x-auth-user": "test2:tester2", "x-auth-key": "testing2"}
    assert (await store("GET", "/auth/v1/test/auth", headers=other)).status == 401
    assert (await store("POST", "/auth/v1.0")).status == 405
    assert (await store("GET", "/auth/v2.0")).status == 400


async def test_a_token_survives_a_restart_and_ends_with_the_users_key(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        tester = await as_user(store, "test:tester")
        assert (await tester("HEAD", "/v1/AUTH_test")).status == 204
    async with opened(tmp_path, **settings()) as store:
        assert (await store.as_(**tester.headers)("HEAD", "/v1/AUTH_test")).status == 204
    changed = {**USERS, "test:tester": {"key": "changed", "groups": [".admin"]}}
    async with opened(tmp_path, **settings(changed)) as store:
        answer = await store.as_(**tester.headers)("HEAD", "/v1/AUTH_test")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Swift realm="AUTH_test"')


async def test_tokens_are_neither_made_nor_kept_by_others(store, tmp_path, monkeypatch):
    token = (await sign_in(store, "test:tester")).headers["x-auth-token"]
    for bad in (token[:-4], token[:12] + "A" + token[13:], "AUTH_tk", "AUTH_tk€", "AUTH_tkAAAA", token + "x"):
        assert (await store.as_(x_auth_token=bad)("HEAD", "/v1/AUTH_test")).status == 401, bad
    async with opened(tmp_path / "other", **settings()) as other:
        assert (await other.as_(x_auth_token=token)("HEAD", "/v1/AUTH_test")).status == 401
    tester = store.as_(x_auth_token=token)
    assert (await tester("HEAD", "/v1/AUTH_test")).status == 204
    now_s = tempauth.time.time()
    monkeypatch.setattr(tempauth.time, "time", lambda: now_s + 86_401)
    assert (await tester("HEAD", "/v1/AUTH_test")).status == 401


async def test_accounts_are_their_admins(store):
    tester = await as_user(store, "test:tester")
    await tester.put("/v1/AUTH_test/c")
    await tester.put("/v1/AUTH_test/c/o", b"x")
    for other in (await as_user(store, "test:tester3"), await as_user(store, "test2:tester2")):
        for method, path in (("GET", ""), ("POST", ""), ("PUT", "/d"), ("GET", "/c"), ("DELETE", "/c/o")):
            assert (await other(method, f"/v1/AUTH_test{path}")).status == 403, (method, path)
        assert (await other("GET", "/v1/AUTH_test/nowhere/o")).status == 403
    answer = await store("GET", "/v1/AUTH_test/c/o")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Swift realm="AUTH_test"')
    assert (await tester("GET", "/v1/other")).status == 403
    assert (await store("GET", "/v1/other")).status == 401


async def test_reseller_admins_and_readers(store):
    await (await as_user(store, "test:tester")).put("/v1/AUTH_test/c", X_Container_Sync_Key="k")
    admin, reader = await as_user(store, "admin:admin"), await as_user(store, "audit:reader")
    assert (await admin("HEAD", "/v1/AUTH_test/c")).headers["x-container-sync-key"] == "k"
    seen = await reader("HEAD", "/v1/AUTH_test/c")
    assert seen.status == 204
    assert "x-container-sync-key" not in seen.headers
    assert (await reader("PUT", "/v1/AUTH_test/d")).status == 403
    assert (await admin("PUT", "/v1/AUTH_test/d")).status == 201
    for hidden in ("AUTH_.store", "AUTH"):
        assert (await admin("GET", f"/v1/{hidden}")).status == 403, hidden


async def test_a_service_account_takes_both_tokens(store):
    path = "/v1/SERVICE_test/c"
    assert (await (await as_user(store, "test:tester"))("PUT", path)).status == 403
    assert (await (await as_user(store, "test5:tester5"))("PUT", path)).status == 403
    assert (await (await as_user(store, "test:tester3", "test5:tester5"))("PUT", path)).status == 403
    both = await as_user(store, "test:tester", "test5:tester5")
    assert (await both("PUT", path)).status == 201


async def test_container_acls(store):
    tester, other = await as_user(store, "test:tester"), await as_user(store, "test2:tester2")
    await tester.put("/v1/AUTH_test/c")
    await tester.put("/v1/AUTH_test/c/o", b"x")

    async def allow(**acls):
        sent = {f"x-container-{kind}": value for kind, value in acls.items()}
        return (await tester("POST", "/v1/AUTH_test/c", headers=sent)).status

    assert await allow(read="test2:tester2") == 204
    assert (await other("GET", "/v1/AUTH_test/c/o")).body == b"x"
    assert "x-container-read" not in (await other("HEAD", "/v1/AUTH_test/c")).headers
    assert (await other("PUT", "/v1/AUTH_test/c/o")).status == 403
    assert await allow(read="", write="test2") == 204
    assert (await other("PUT", "/v1/AUTH_test/c/o", b"y")).status == 201
    assert (await other("GET", "/v1/AUTH_test/c/o")).status == 403
    assert (await other("POST", "/v1/AUTH_test/c")).status == 403
    assert await allow(read=".r:*, .r:-.bad.example") == 204
    assert (await store("GET", "/v1/AUTH_test/c/o")).body == b"y"
    assert (await store("GET", "/v1/AUTH_test/c")).status == 401
    from_bad = {"referer": "http://x.bad.example/"}
    assert (await store("GET", "/v1/AUTH_test/c/o", headers=from_bad)).status == 401
    assert await allow(read=".r:*,.rlistings") == 204
    assert (await store("GET", "/v1/AUTH_test/c")).lines == ["o"]
    assert await allow(write=".r:*") == 400
    assert await allow(read=".who:*") == 400


async def test_account_acls(store):
    tester, other = await as_user(store, "test:tester"), await as_user(store, "test2:tester2")
    header = "x-account-access-control"

    async def allow(acl):
        return await tester("POST", "/v1/AUTH_test", headers={header: acl})

    for bad, reason in (
        ("[]", "Syntax error"),
        ('{"all": []}', 'Key "all" not recognized'),
        ('{"admin": "x"}', 'Value for key "admin" must be a list'),
        ('{"admin": [1]}', 'Elements of "admin" list must be strings'),
    ):
        answer = await allow(bad)
        assert answer.status == 400
        assert reason in answer.text
    await tester.put("/v1/AUTH_test/c")
    assert (await allow('{"read-only": ["test2:tester2"]}')).status == 204
    assert (await tester("HEAD", "/v1/AUTH_test")).headers[header] == '{"read-only":["test2:tester2"]}'
    seen = await other("GET", "/v1/AUTH_test")
    assert seen.status == 200
    assert header not in seen.headers
    assert (await other("PUT", "/v1/AUTH_test/c/o")).status == 403
    assert (await allow('{"read-write": ["test2:tester2"]}')).status == 204
    assert (await other("PUT", "/v1/AUTH_test/c/o")).status == 201
    assert (await other("POST", "/v1/AUTH_test")).status == 403
    assert (await allow('{"admin": ["test2:tester2"]}')).status == 204
    assert (await other("POST", "/v1/AUTH_test", headers={header: ""})).status == 204
    assert header not in (await tester("HEAD", "/v1/AUTH_test")).headers
    assert (await other("GET", "/v1/AUTH_test")).status == 403


async def test_a_client_cannot_write_the_acl_as_the_store_keeps_it(store):
    tester, other = await as_user(store, "test:tester"), await as_user(store, "test2:tester2")
    sneaky = {"x-account-sysmeta-core-access-control": '{"admin":["test2"]}'}
    assert (await tester("POST", "/v1/AUTH_test", headers=sneaky)).status == 204
    assert (await other("GET", "/v1/AUTH_test")).status == 403


async def test_settings_are_looked_at(tmp_path):
    with pytest.raises(Exception, match="ACCOUNT:USER"):
        async with opened(tmp_path, **settings({"nobody": {"key": "x"}})):
            pass
