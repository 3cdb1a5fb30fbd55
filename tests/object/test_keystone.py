"""Users of the cloud's identity, and what they may do in whose accounts."""

import pytest

from aerostat.kernel.context import AccessRule, Context
from aerostat.kernel.errors import Unauthorized

from .kit import opened

SETTINGS = {
    "middleware": {"keystone": {"system_reader_roles": ["auditor"]}},
    "allow_account_management": True,
}


def someone(user, project="p1", *roles, domain="default", **more):
    return Context(
        request_id="req-1",
        user_id=f"{user}-id",
        user_name=user,
        user_domain_id=domain,
        project_id=f"{project}-id",
        project_name=project,
        project_domain_id=domain,
        roles=roles,
        **more,
    )


TOKENS = {
    "alice": someone("alice", "p1", "Member"),
    "bob": someone("bob", "p2", "member"),
    "none": someone("none", "p1", "other"),
    "reader": someone("reader", "p1", "reader"),
    "auditor": someone("auditor", "p2", "auditor"),
    "reseller": someone("root", "p9", "reselleradmin"),
    "foreign": someone("alice", "p1", "member", domain="elsewhere"),
    "service": someone("glance", "services", "service"),
    "unscoped": Context(request_id="req-1", user_id="alice-id", user_name="alice"),
    "restricted": someone(
        "alice", "p1", "member", access_rules=(AccessRule("object-store", "GET", "/v1/AUTH_p1-id/**"),)
    ),
}
HOME = "/v1/AUTH_p1-id"


async def authenticate(token, *, allow_expired=False):
    if token == "ended" and allow_expired:
        return TOKENS["alice"]
    if token not in TOKENS:
        raise Unauthorized("The token is not one of ours.")
    return TOKENS[token]


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path, authenticate=authenticate, **SETTINGS) as store:
        yield store


def user(store, token, service=None):
    return store.as_(x_auth_token=token, **({"x_service_token": service} if service else {}))


async def test_operators_may_do_all_in_the_account_of_their_project(store):
    alice = user(store, "alice")
    await alice.put(f"{HOME}/c", X_Container_Sync_Key="k")
    await alice.put(f"{HOME}/c/o", b"x")
    assert (await alice("GET", f"{HOME}/c")).lines == ["o"]
    assert (await alice("HEAD", f"{HOME}/c")).headers["x-container-sync-key"] == "k"
    assert (await alice("POST", HOME, headers={"x-account-meta-a": "1"})).status == 204
    for other in ("bob", "none", "unscoped", "foreign"):
        expected = 201 if other == "foreign" else 403
        assert (await user(store, other)("PUT", f"{HOME}/c/p")).status == expected, other
        assert (await user(store, other)("PUT", "/v1/AUTH_p7-id/c")).status == 403, other
    assert (await alice("PUT", HOME)).status == 202
    assert (await alice("DELETE", HOME)).status == 403


async def test_without_a_good_token_nobody_asks(store):
    alice = user(store, "alice")
    await alice.put(f"{HOME}/c", X_Container_Read=".r:*")
    await alice.put(f"{HOME}/c/o", b"x")
    for visitor in (store, user(store, "bad"), user(store, "alice", "bad")):
        assert (await visitor("GET", f"{HOME}/c/o")).body == b"x"
        assert (await visitor("GET", f"{HOME}/c")).status == 401
        answer = await visitor("PUT", f"{HOME}/c/o")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Swift realm="AUTH_p1-id"')
        assert (await visitor("GET", "/v1/OTHER_x/c")).status == 401
    assert (await store("OPTIONS", f"{HOME}/c")).status == 200


async def test_readers(store):
    await user(store, "alice").put(f"{HOME}/c", X_Container_Read="x:y")
    for token in ("reader", "auditor"):
        reader = user(store, token)
        seen = await reader("HEAD", f"{HOME}/c")
        assert seen.status == 204
        assert "x-container-read" not in seen.headers
        assert (await reader("PUT", f"{HOME}/d")).status == 403
    assert (await user(store, "reader")("GET", "/v1/AUTH_p2-id")).status == 403


async def test_a_reseller_admin_may_do_all_everywhere(store):
    root = user(store, "reseller")
    assert (await root("PUT", "/v1/AUTH_anyone")).status == 201
    assert (await root("PUT", "/v1/AUTH_anyone/c")).status == 201
    assert (await root("DELETE", "/v1/AUTH_anyone")).status == 204


async def test_a_service_account_takes_an_operator_through_a_service(store):
    path = "/v1/SERVICE_p1-id/c"
    assert (await user(store, "alice")("PUT", path)).status == 403
    assert (await user(store, "service")("PUT", path)).status == 403
    assert (await user(store, "none", "service")("PUT", path)).status == 403
    assert (await user(store, "alice", "bob")("PUT", path)).status == 403
    assert (await user(store, "alice", "service")("PUT", path)).status == 201
    assert (await user(store, "reader")("GET", path)).status == 403
    assert (await user(store, "ended", "service")("GET", path)).status == 204
    assert (await user(store, "ended", "bob")("GET", path)).status == 401


@pytest.mark.parametrize(
    ("acl", "token", "allowed"),
    [
        ("p2-id:bob-id", "bob", True),
        ("*:bob-id", "bob", True),
        ("p2-id:*", "bob", True),
        ("*:*", "bob", True),
        ("p2:bob", "bob", True),
        ("p2-id:alice-id", "bob", False),
        ("p3-id:bob-id", "bob", False),
        ("other", "none", True),
        ("OTHER", "none", True),
        ("other", "bob", False),
        ("p1:alice", "foreign", True),
        ("p2-id:*", "unscoped", False),
        ("*:alice-id", "unscoped", True),
    ],
)
async def test_container_acls(store, acl, token, allowed):
    alice, other = user(store, "alice"), user(store, token)
    await alice.put(f"{HOME}/c", X_Container_Read=acl, X_Container_Write=acl)
    await alice.put(f"{HOME}/c/o", b"x")
    assert (await other("GET", f"{HOME}/c/o")).status == (200 if allowed else 403)
    assert (await other("PUT", f"{HOME}/c/o")).status == (201 if allowed else 403)
    if token != "foreign":
        assert (await other("POST", f"{HOME}/c")).status == 403


async def test_names_are_only_looked_at_in_the_default_domain(tmp_path):
    tokens = {
        "owner": someone("owner", "e1", "member", domain="elsewhere"),
        "bob": TOKENS["bob"],
        "ebob": someone("ebob", "e2", "member", domain="elsewhere"),
        "reseller": TOKENS["reseller"],
    }

    async def authenticate(token, *, allow_expired=False):
        return tokens[token]

    async with opened(tmp_path, authenticate=authenticate, **SETTINGS) as store:
        names = {"X_Container_Read": "p2:bob,e2:ebob,p1:alice"}
        await user(store, "owner").put("/v1/AUTH_e1-id/c", **names)
        seen = await user(store, "owner")("HEAD", "/v1/AUTH_e1-id")
        assert seen.headers["x-account-project-domain-id"] == "elsewhere"
        await user(store, "reseller").put("/v1/AUTH_p1-id/c", **names)
        assert (await user(store, "bob")("GET", "/v1/AUTH_e1-id/c")).status == 403
        assert (await user(store, "ebob")("GET", "/v1/AUTH_e1-id/c")).status == 403
        assert (await user(store, "bob")("GET", "/v1/AUTH_p1-id/c")).status == 403
        tokens["alice"] = TOKENS["alice"]
        await user(store, "alice").put("/v1/AUTH_p1-id/d")
        await user(store, "alice")("POST", "/v1/AUTH_p1-id")
        assert (await user(store, "bob")("GET", "/v1/AUTH_p1-id/c")).status == 204


async def test_access_rules_of_a_token_are_kept(store):
    await user(store, "alice").put(f"{HOME}/c")
    restricted = user(store, "restricted")
    assert (await restricted("GET", f"{HOME}/c")).status == 204
    assert (await restricted("PUT", f"{HOME}/d")).status == 401


async def test_what_the_store_asks_on_the_way_is_asked_by_the_same_user(store):
    """A copy reads and writes with requests of its own; so do manifests and versions."""
    alice = store.as_(**{"x-auth-token": "alice"})
    await alice.put(f"{HOME}/c")
    await alice.put(f"{HOME}/c/o", b"x")
    assert (await alice("COPY", f"{HOME}/c/o", headers={"destination": "c/p"})).status == 201
    manifest = b'[{"path": "/c/o"}]'
    answer = await alice("PUT", f"{HOME}/c/m", manifest, query="multipart-manifest=put")
    assert answer.status == 201, answer
    assert (await alice("GET", f"{HOME}/c/m")).body == b"x"


async def test_owners_see_acls_that_let_everybody_in(store):
    alice = store.as_(**{"x-auth-token": "alice"})
    await alice.put(f"{HOME}/c", X_Container_Read=".r:*,.rlistings")
    assert (await alice("HEAD", f"{HOME}/c")).headers["x-container-read"] == ".r:*,.rlistings"
    assert "x-container-read" not in (await store("HEAD", f"{HOME}/c")).headers
