"""Settings that no other test sets: with each of them the store answers otherwise than without."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from aerostat.kernel.context import Context
from aerostat.services.object.daemons.auditor import Auditor
from aerostat.services.object.daemons.expirer import Expirer
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.http.request import Request
from aerostat.services.object.http.response import Response
from aerostat.services.object.proxy import identity
from aerostat.services.object.proxy import object as object_proxy
from aerostat.services.object.proxy.core import Core

from .daemons_kit import UNHURRIED, WEEK_S
from .kit import Store, opened
from .test_keystone import authenticate
from .test_staticweb import INDEX, site
from .test_staticweb import USERS as OWNERS
from .test_tempauth import USERS, as_user, sign_in
from .test_tempurl import PATH, query, sign

LONG = {"x-object-meta-long": "long"}


@pytest.mark.parametrize(
    ("settings", "asked", "without", "said"),
    [
        ({"account_autocreate": False}, ("GET", "/v1/none"), 204, 404),
        ({"limits": {"max_meta_name_length": 3}}, ("PUT", "/v1/A/c/p", LONG), 201, 400),
        ({"limits": {"max_meta_value_length": 3}}, ("PUT", "/v1/A/c/p", LONG), 201, 400),
        ({"limits": {"max_meta_overall_size": 7}}, ("PUT", "/v1/A/c/p", LONG), 201, 400),
        ({"limits": {"max_meta_count": 0}}, ("PUT", "/v1/A/c/p", LONG), 201, 400),
        ({"limits": {"max_header_size": 30}}, ("PUT", "/v1/A/c/p", {"x-a": "b" * 31}), 201, 400),
        ({"limits": {"max_account_name_length": 3}}, ("GET", "/v1/AAAA"), 204, 400),
        ({"limits": {"max_container_name_length": 3}}, ("PUT", "/v1/A/cccc"), 201, 400),
        ({"limits": {"account_listing_limit": 1}}, ("GET", "/v1/A?limit=2"), 200, 412),
        (
            {"middleware": {"list_endpoints": {"list_endpoints_path": "/where"}}},
            ("GET", "/where/A"),
            400,
            200,
        ),
        ({"middleware": {"name_check": {"forbidden_chars": "p"}}}, ("PUT", "/v1/A/c/p"), 201, 400),
        ({"middleware": {"name_check": {"forbidden_regexp": "/p$"}}}, ("PUT", "/v1/A/c/p"), 201, 400),
    ],
)
async def test_what_is_answered(
    tmp_path: Path, settings: dict[str, Any], asked: Any, without: int, said: int
) -> None:
    method, path, *headers = asked
    path, _, words = path.partition("?")
    found = []
    for number, chosen in enumerate(({}, settings)):
        async with opened(tmp_path / str(number), **chosen) as store:
            if chosen.get("account_autocreate", True):
                for container in ("/v1/A/c", "/v1/A/d"):
                    await store.put(container)
            answer = await store(method, path, headers=headers[0] if headers else {}, query=words)
            found.append(answer.status)
    assert found == [without, said]


async def test_etags_are_quoted_by_default(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware={"etag_quoter": {"enable_by_default": True}}) as store:
        await store.put("/v1/A/c")
        assert (await store.put("/v1/A/c/o", b"x")).headers["etag"].startswith('"')


async def test_only_realms_are_followed(tmp_path: Path) -> None:
    headers = {"x-container-sync-to": "http://other.example/v1/A/c"}
    for allow, sentence in ((True, "Invalid host"), (False, "Full URLs are not allowed")):
        options = {"container_sync": {"allow_full_urls": allow}}
        async with opened(tmp_path / str(allow), middleware=options) as store:
            answer = await store("PUT", "/v1/A/c", headers=headers)
            assert (answer.status, answer.text[: len(sentence)]) == (400, sentence)


async def test_accounts_in_hosts_have_these_prefixes(tmp_path: Path) -> None:
    options = {"domain_remap": {"reseller_prefixes": "OWN", "path_root": "v1.0"}}
    async with opened(tmp_path, middleware=options) as store:
        await store.put("/v1/OWN_a/c")
        await store.put("/v1/OWN_a/c/o", b"bytes")
        for host, status in (("c.own-a.example.com", 200), ("c.auth-a.example.com", 412)):
            assert (await store("GET", "/o", headers={"host": host})).status == status


async def test_users_sign_in_as_the_settings_say(tmp_path: Path) -> None:
    options = {
        "users": USERS,
        "auth_prefix": "/login/",
        "reseller_prefixes": ["OWN", "SHARED"],
        "require_group": {"SHARED": "service"},
        "token_life_s": 5,
        "storage_url_scheme": "https",
    }
    async with opened(tmp_path, middleware={"tempauth": options}) as store:
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        assert (await sign_in(store, "test:tester")).status != 200
        got = await store("GET", "/login/v1.0", headers=headers)
        assert got.headers["x-storage-url"] == "https://127.0.0.1:8080/v1/OWN_test"
        assert got.headers["x-auth-token-expires"] == "5"
        tester = store.as_(x_auth_token=got.headers["x-auth-token"])
        assert (await tester("PUT", "/v1/OWN_test/c")).status == 201
        assert (await tester("PUT", "/v1/SHARED_test/c")).status == 403


async def test_roles_mean_what_the_settings_say(tmp_path: Path) -> None:
    options = {
        "reseller_prefixes": ["OWN"],
        "operator_roles": ["other"],
        "project_reader_roles": ["member"],
        "reseller_admin_role": "auditor",
        "service_roles": {},
    }
    async with opened(tmp_path, authenticate=authenticate, middleware={"keystone": options}) as store:
        assert (await store.as_(x_auth_token="none")("PUT", "/v1/OWN_p1-id/c")).status == 201
        alice = store.as_(x_auth_token="alice")
        assert (await alice("GET", "/v1/OWN_p1-id/c")).status == 204
        assert (await alice("PUT", "/v1/OWN_p1-id/d")).status == 403
        assert (await store.as_(x_auth_token="auditor")("PUT", "/v1/OWN_p1-id/d")).status == 201


@pytest.mark.parametrize(
    ("options", "status"),
    [({}, 200), ({"allow_names_in_acls": False}, 403), ({"default_domain_id": "elsewhere"}, 403)],
)
async def test_names_in_acls(tmp_path: Path, options: dict[str, Any], status: int) -> None:
    async with opened(tmp_path, authenticate=authenticate, middleware={"keystone": options}) as store:
        alice = store.as_(x_auth_token="alice")
        await alice.put("/v1/AUTH_p1-id/c", X_Container_Read="p2:bob")
        await alice.put("/v1/AUTH_p1-id/c/o", b"x")
        assert (await store.as_(x_auth_token="bob")("GET", "/v1/AUTH_p1-id/c/o")).status == status


async def test_temporary_urls_are_as_strict_as_the_settings_say(tmp_path: Path) -> None:
    options = {
        "allowed_digests": ["sha512"],
        "incoming_remove_headers": ["x-object-meta-*"],
        "incoming_allow_headers": ["x-object-meta-kept"],
        "outgoing_remove_headers": ["x-object-meta-hidden"],
        "outgoing_allow_headers": [],
    }
    middleware = {"tempauth": {"users": USERS}, "tempurl": options}
    async with opened(tmp_path, middleware=middleware) as store:
        tester = await as_user(store, "test:tester")
        await tester("POST", "/v1/AUTH_test", headers={"x-account-meta-temp-url-key": "k1"})
        await tester.put("/v1/AUTH_test/c")
        assert (await store("PUT", PATH, b"x", query=query(sign("PUT")))).status == 401
        headers = {f"x-object-meta-{name}": "1" for name in ("kept", "lost")}
        assert (
            await store("PUT", PATH, b"x", headers, query=query(sign("PUT", digest="sha512")))
        ).status == 201
        there = (await tester("HEAD", PATH)).headers
        assert ("x-object-meta-kept" in there, "x-object-meta-lost" in there) == (True, False)
        assert (
            await tester("POST", PATH, headers={"x-object-meta-kept": "1", "x-object-meta-hidden": "1"})
        ).status == 202
        got = await store("GET", PATH, query=query(sign(digest="sha512")))
        assert [name for name in got.headers if name.startswith("x-object-meta-")] == ["x-object-meta-kept"]


async def test_sites_are_where_the_settings_say(tmp_path: Path) -> None:
    middleware = {"tempauth": {"users": OWNERS}, "staticweb": {"url_base": "https://site.example"}}
    async with opened(tmp_path, middleware=middleware) as store:
        await site(store, INDEX)
        answer = await store("GET", "/v1/AUTH_a/c")
        assert answer.headers["location"] == "https://site.example/v1/AUTH_a/c/"


async def test_urls_are_for_the_methods_of_the_settings(tmp_path: Path) -> None:
    middleware = {"tempauth": {"users": USERS}, "tempurl": {"methods": ["GET", "HEAD"]}}
    async with opened(tmp_path, middleware=middleware) as store:
        tester = await as_user(store, "test:tester")
        await tester("POST", "/v1/AUTH_test", headers={"x-account-meta-temp-url-key": "k1"})
        await tester.put("/v1/AUTH_test/c")
        await tester.put(PATH, b"x")
        assert (await store("GET", PATH, query=query(sign("GET")))).status == 200
        assert (await store("PUT", PATH, b"y", query=query(sign("PUT")))).status == 401


async def test_tokens_are_asked_about_where_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        def __init__(self, url: str, remembered_s: float) -> None:
            assert (url, remembered_s) == ("http://there/identity/v3", 7)

        async def __call__(self, token: str, *, allow_expired: bool = False) -> Context:
            return await authenticate("alice", allow_expired=allow_expired)

    monkeypatch.setattr(identity, "Identity", Elsewhere)
    options = {"auth_url": "http://there/identity/v3", "remembered_s": 7}
    async with opened(tmp_path, middleware={"keystone": options}) as store:
        assert (await store.as_(x_auth_token="any")("PUT", "/v1/AUTH_p1-id/c")).status == 201


class Busy:
    """What lies below, slower, and how much of it went on at once."""

    def __init__(self, next: Callable[[Request], Any]) -> None:
        self._next = next
        self.now = self.most = 0

    async def __call__(self, request: Request) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.005)
        self.now -= 1
        answer: Response = await self._next(request)
        return answer


@pytest.mark.parametrize("most", [1, 5])
async def test_deletions_of_a_list_go_side_by_side(tmp_path: Path, most: int) -> None:
    async with opened(tmp_path, middleware={"bulk": {"delete_concurrency": most}}) as store:
        bulk: Any = store.room.layers["bulk"]
        bulk._next = busy = Busy(bulk._next)
        names = "\n".join(f"c/{number}" for number in range(12)).encode()
        await store("POST", "/v1/A", names, {"content-type": "text/plain"}, query="bulk-delete")
        assert busy.most == most


async def test_who_waits_for_his_turn_stands_in_the_log(tmp_path: Path) -> None:
    for log_s, told in ((0, 0), (0.01, 1), (30, 0)):
        options = {"account_ratelimit": 20, "rate_buffer_seconds": 0, "log_sleep_time_seconds": log_s}
        async with opened(tmp_path / str(log_s), middleware={"ratelimit": options}) as store:
            with capture_logs() as lines:
                await asyncio.gather(*(store.put(f"/v1/A/{name}") for name in "cd"))
        assert len([line for line in lines if line["event"] == "request has to wait"]) == told


def station(store: Store, settings: DaemonConfig, **about: Any) -> Station:
    room = store.room
    given = {"core": Core(room), "reclaim_age_s": WEEK_S, **about}
    return Station(lambda: room.cluster, given.pop("here", room.local), settings, **given)


@pytest.mark.parametrize("most", [1, 5])
async def test_what_has_expired_goes_side_by_side(tmp_path: Path, most: int) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        for number in range(12):
            await store.put(f"/v1/a/c/{number}", b"x", x_delete_at=str(soon))
        settings = msgspec.structs.replace(UNHURRIED, expire_at_once=most)
        busy = Busy(Core(store.room))
        await Expirer(station(store, settings, core=busy, clock=lambda: soon + 1.0)).pass_once()
        assert busy.most == most
        assert (await store("GET", "/v1/a/c")).lines == []


async def test_expired_objects_are_kept_for_as_long_as_the_settings_say(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/o", b"x", x_delete_at=str(soon))
        settings = msgspec.structs.replace(UNHURRIED, expire_late_s=50)
        for late_s, listed in ((1.0, ["o"]), (49.0, ["o"]), (51.0, [])):
            await Expirer(station(store, settings, clock=lambda at=soon + late_s: at)).pass_once()
            assert (await store("GET", "/v1/a/c")).lines == listed


async def test_what_another_node_should_have_expired_goes_in_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/o", b"x", x_delete_at=str(soon))
        settings = msgspec.structs.replace(UNHURRIED, expire_others_s=50)
        not_ours = {"local/d9": store.room.local["local/d1"]}
        for late_s, listed in ((40.0, ["o"]), (60.0, [])):
            clock = soon + late_s
            await Expirer(station(store, settings, here=not_ours, clock=lambda at=clock: at)).pass_once()
            assert (await store("GET", "/v1/a/c")).lines == listed


async def test_files_without_a_name_go_when_nobody_can_still_write_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        device = store.room.local["local/d1"]
        left = Path(device._containers.tree.unnamed) / "left"
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"bytes")
        os.utime(left, (time.time() - 100,) * 2)
        for leftover_s, is_there in ((200.0, True), (50.0, False)):
            settings = msgspec.structs.replace(UNHURRIED, leftover_s=leftover_s)
            auditor = Auditor(station(store, settings))
            while not await auditor.pass_once():
                pass
            assert left.exists() == is_there


async def test_what_has_expired_is_opened_where_the_settings_let_it_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the expirer comes, by who asks for it: also through a manifest, and to be given another time."""
    monkeypatch.setattr(object_proxy, "_is_expired", lambda facts: facts.delete_at is not None)
    opens = {"x-open-expired": "true"}
    for allowed in (False, True):
        async with opened(tmp_path / str(allowed), allow_open_expired=allowed) as store:
            assert (await store("GET", "/info")).json["swift"]["allow_open_expired"] == allowed
            await store.put("/v1/A/c")
            await store.put("/v1/A/c/o", b"bytes", x_delete_after="60")
            await store.put("/v1/A/c/d", b"", x_object_manifest="c/o")
            status = 200 if allowed else 404
            for method in ("GET", "HEAD"):
                assert (await store(method, "/v1/A/c/o")).status == 404
                assert (await store(method, "/v1/A/c/o", headers=opens)).status == status
            whole = await store("GET", "/v1/A/c/d", headers=opens)
            assert (whole.status, whole.body) == ((200, b"bytes") if allowed else (409, whole.body))
            assert (await store("POST", "/v1/A/c/o")).status == 404
            assert (await store("POST", "/v1/A/c/o", headers=opens)).status == (202 if allowed else 404)
            assert (await store("GET", "/v1/A/c/o")).status == status
