"""Symbolic links, by name and by ETag."""

import hashlib
import itertools

import msgspec
import pytest

from .dying_requests import Cut, until
from .kit import opened
from .test_tempauth import as_user, settings

PUT = "multipart-manifest=put"


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/links")
        await store.put("/v1/a/c/t", b"target", content_type="text/one", x_object_meta_color="blue")
        yield store


ETAG = hashlib.md5(b"target").hexdigest()
OF_NOTHING = hashlib.md5(b"").hexdigest()


async def link(store, name, target, **headers):
    named = {f"x-symlink-target-{name}": value for name, value in headers.items()}
    return await store("PUT", f"/v1/a/links/{name}", b"", {"x-symlink-target": target, **named})


async def listed(store, container="/v1/a/links"):
    return {row["name"]: row for row in (await store("GET", container, query="format=json")).json}


async def test_a_link_is_read_as_its_target(store):
    assert (await link(store, "l", "c/t")).status == 201
    for method in ("GET", "HEAD"):
        got = await store(method, "/v1/a/links/l")
        assert (got.status, got.headers["etag"], got.headers["content-length"]) == (200, ETAG, "6")
        assert got.headers["content-location"] == "/v1/a/c/t"
        assert (got.headers["content-type"], got.headers["x-object-meta-color"]) == ("text/one", "blue")
        assert "x-symlink-target" not in got.headers
    assert (await store("GET", "/v1/a/links/l", headers={"range": "bytes=1-3"})).body == b"arg"
    got = await store("GET", "/v1/a/links/l", headers={"if-match": "x"})
    assert (got.status, got.headers["content-location"]) == (412, "/v1/a/c/t")
    await store.put("/v1/a/c/t", b"another")
    assert (await store("GET", "/v1/a/links/l")).body == b"another"
    assert (await store("GET", "/info")).json["symlink"] == {"symloop_max": 2, "static_links": True}


async def test_a_link_itself_can_be_read(store):
    await link(store, "l", "c/t")
    for method in ("GET", "HEAD"):
        got = await store(method, "/v1/a/links/l", query="symlink=get")
        assert (got.status, got.headers["x-symlink-target"], got.body) == (200, "c/t", b"")
        assert (got.headers["content-type"], got.headers["etag"]) == ("application/symlink", OF_NOTHING)
        assert "x-symlink-target-account" not in got.headers
    assert (await store("GET", "/v1/a/c/t", query="symlink=get")).body == b"target"


async def test_a_link_to_nothing_says_where_it_leads(store):
    assert (await link(store, "l", "no/where")).status == 201
    got = await store("GET", "/v1/a/links/l")
    assert (got.status, got.headers["content-location"]) == (404, "/v1/a/no/where")


@pytest.mark.parametrize("target", ["c", "c/", "/c/t", "%2Fc/t", ""])
async def test_targets_that_make_no_sense(store, target):
    answer = await link(store, "l", target)
    said = "X-Symlink-Target header must be of the form <container name>/<object name>"
    assert (answer.status, answer.text) == (412, said)


async def test_links_that_cannot_be(store):
    answer = await store("PUT", "/v1/a/links/l", b"x", {"x-symlink-target": "c/t"})
    assert (answer.status, answer.text) == (400, "Symlink requests require a zero byte body")
    answer = await store("PUT", "/v1/a/links/l", [b"x"], {"x-symlink-target": "c/t"})
    assert answer.status == 400
    assert (await store("PUT", "/v1/a/links/k", [], {"x-symlink-target": "c/t"})).status == 201
    answer = await link(store, "l", "links/l")
    assert (answer.status, answer.text) == (400, "Symlink cannot target itself")
    assert (await link(store, "l", "links/l", account="b")).status == 201
    for account in ("x/y", "x%2Fy"):
        answer = await link(store, "l", "c/t", account=account)
        assert (answer.status, answer.text) == (412, "Account name cannot contain slashes")
    answer = await store("POST", "/v1/a/links/l", headers={"x-symlink-target": "c/t"})
    assert answer.status == 400
    for etag in ('a"b', "a;b", "a\\b"):
        answer = await link(store, "l", "c/t", etag=etag)
        assert (answer.status, answer.text) == (400, "Bad X-Symlink-Target-Etag format")


async def test_links_of_links_end_somewhere(store):
    await link(store, "one", "c/t")
    await link(store, "two", "links/one")
    await link(store, "three", "links/two")
    got = await store("GET", "/v1/a/links/two")
    assert (got.body, got.headers["content-location"]) == (b"target", "/v1/a/c/t")
    got = await store("GET", "/v1/a/links/three")
    assert (got.status, got.text) == (409, "Too many levels of symbolic links, maximum allowed is 2")
    await link(store, "x", "links/y")
    await link(store, "y", "links/x")
    assert (await store("HEAD", "/v1/a/links/x")).status == 409


async def test_how_far_links_go_is_a_setting(tmp_path):
    async with opened(tmp_path, middleware={"symlink": {"symloop_max": 1}}) as store:
        await store.put("/v1/a/links")
        await store.put("/v1/a/links/t", b"t")
        await link(store, "one", "links/t")
        await link(store, "two", "links/one")
        assert (await store("GET", "/v1/a/links/one")).body == b"t"
        assert (await store("GET", "/v1/a/links/two")).status == 409


async def test_a_static_link_stands_for_what_its_target_is_now(store):
    answer = await link(store, "l", "c/t", etag=f'"{ETAG}"')
    assert answer.status == 201
    got = await store("GET", "/v1/a/links/l", query="symlink=get")
    assert (got.headers["x-symlink-target-etag"], got.headers["x-symlink-target-bytes"]) == (ETAG, "6")
    assert got.headers["content-type"] == "text/one"
    assert (await store("GET", "/v1/a/links/l")).body == b"target"
    await store.put("/v1/a/c/t", b"another")
    for method in ("GET", "HEAD"):
        got = await store(method, "/v1/a/links/l")
        assert (got.status, got.headers["content-location"]) == (409, "/v1/a/c/t")
    assert (await store("GET", "/v1/a/links/l", headers={"if-match": "x"})).status == 409
    await store("DELETE", "/v1/a/c/t")
    assert (await store("GET", "/v1/a/links/l")).status == 404


async def test_a_static_link_needs_its_target(store):
    answer = await link(store, "l", "c/none", etag=ETAG)
    assert (answer.status, answer.text) == (409, "X-Symlink-Target does not exist")
    assert answer.headers["content-location"] == "/v1/a/c/none"
    answer = await link(store, "l", "c/t", etag="0" * 32)
    assert answer.status == 409
    assert answer.text == (f"Object Etag '{ETAG}' does not match X-Symlink-Target-Etag header '{'0' * 32}'")
    assert (await store("GET", "/v1/a/links/l")).status == 404


async def test_a_static_link_to_a_link(store):
    """To a dynamic one by the ETag of nothing; to a static one by that of the target."""
    await link(store, "dynamic", "c/t")
    await link(store, "static", "c/t", etag=ETAG)
    assert (await link(store, "l", "links/dynamic", etag=ETAG)).status == 409
    assert (await link(store, "l", "links/dynamic", etag=OF_NOTHING)).status == 201
    assert (await store("GET", "/v1/a/links/l")).body == b"target"
    answer = await link(store, "k", "links/static", etag=OF_NOTHING)
    assert (answer.status, answer.text) == (409, "X-Symlink-Target-Etag headers do not match")
    assert (await link(store, "k", "links/static", etag=ETAG)).status == 201
    assert (await store("GET", "/v1/a/links/k")).body == b"target"


async def test_listings_tell_of_links(store):
    await link(store, "dynamic", "c/t")
    await link(store, "other", "c/t", account="b%C3%BC")
    await link(store, "static", "c/t", etag=ETAG)
    rows = await listed(store)
    assert rows["dynamic"]["symlink_path"] == "/v1/a/c/t"
    assert (rows["dynamic"]["bytes"], rows["dynamic"]["hash"]) == (0, OF_NOTHING)
    assert "symlink_etag" not in rows["dynamic"]
    assert rows["other"]["symlink_path"] == "/v1/b%C3%BC/c/t"
    static = rows["static"]
    assert (static["symlink_etag"], static["symlink_bytes"], static["bytes"]) == (ETAG, 6, 0)
    assert static["content_type"] == "text/one"


async def test_a_post_is_for_the_link_and_says_so(store):
    await link(store, "l", "c/t")
    answer = await store("POST", "/v1/a/links/l", headers={"x-object-meta-a": "1"})
    assert (answer.status, answer.headers["location"]) == (307, "/v1/a/c/t")
    assert not [name for name in answer.headers if "sysmeta" in name]
    got = await store("GET", "/v1/a/links/l", query="symlink=get")
    assert (got.headers["x-object-meta-a"], got.headers["x-symlink-target"]) == ("1", "c/t")
    assert "x-object-meta-a" not in (await store("GET", "/v1/a/links/l")).headers
    assert (await listed(store))["l"]["symlink_path"] == "/v1/a/c/t"
    await link(store, "s", "c/t", etag=ETAG)
    answer = await store("POST", "/v1/a/links/s")
    assert answer.headers["x-symlink-target-etag"] == ETAG
    assert (await store("POST", "/v1/a/c/t")).status == 202


async def test_only_the_link_is_deleted(store):
    await link(store, "l", "c/t")
    assert (await store("DELETE", "/v1/a/links/l")).status == 204
    assert (await store("GET", "/v1/a/c/t")).body == b"target"


async def test_copies_of_links(store):
    await link(store, "l", "c/t")
    await link(store, "s", "c/t", etag=ETAG)
    await store("COPY", "/v1/a/links/l", headers={"destination": "links/whole"})
    got = await store("GET", "/v1/a/links/whole", query="symlink=get")
    assert (got.body, "x-symlink-target" in got.headers) == (b"target", False)
    for name in ("l", "s"):
        answer = await store(
            "COPY", f"/v1/a/links/{name}", headers={"destination": f"links/{name}2"}, query="symlink=get"
        )
        assert answer.status == 201
        one, other = [
            await store("HEAD", f"/v1/a/links/{which}", query="symlink=get") for which in (name, f"{name}2")
        ]
        for header in ("x-symlink-target", "x-symlink-target-etag", "x-symlink-target-bytes"):
            assert one.headers.get(header) == other.headers.get(header)
    rows = await listed(store)
    for name in ("l", "s"):
        for key in ("hash", "symlink_path", "symlink_etag", "symlink_bytes", "bytes"):
            assert rows[name].get(key) == rows[f"{name}2"].get(key)


async def test_links_and_large_objects(store):
    await store("PUT", "/v1/a/c/m", msgspec.json.encode([{"path": "/c/t"}] * 3), query=PUT)
    head = await store("HEAD", "/v1/a/c/m")
    own = head.headers["x-manifest-etag"]
    await link(store, "l", "c/m")
    got = await store("GET", "/v1/a/links/l", headers={"range": "bytes=4-8"})
    assert (got.status, got.body) == (206, b"ettar")
    assert got.headers["etag"] == head.headers["etag"]
    assert (await link(store, "s", "c/m", etag=head.headers["etag"])).status == 409
    assert (await link(store, "s", "c/m", etag=own)).status == 201
    row = (await listed(store))["s"]
    assert (row["symlink_etag"], row["symlink_bytes"], row["bytes"]) == (own, 18, 0)
    assert row["slo_etag"] == head.headers["etag"]
    assert (await store("GET", "/v1/a/links/s")).body == b"target" * 3
    answer = await store("PUT", "/v1/a/c/n", msgspec.json.encode([{"path": "/links/s"}] * 2), query=PUT)
    assert answer.status == 201
    assert (await store("GET", "/v1/a/c/n")).body == b"target" * 6
    await store.put("/v1/a/c/d", x_object_manifest="c/t")
    await link(store, "d", "c/d")
    assert (await store("GET", "/v1/a/links/d")).body == b"target"


async def test_links_are_followed_as_the_reader_may(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        owner, other = await as_user(store, "test:tester"), await as_user(store, "test2:tester2")
        await owner.put("/v1/AUTH_test/c")
        await owner.put("/v1/AUTH_test/c/t", b"target")
        await other.put("/v1/AUTH_test2/links")
        target = {"x-symlink-target": "c/t", "x-symlink-target-account": "AUTH_test"}
        assert (await other("PUT", "/v1/AUTH_test2/links/l", b"", target)).status == 201
        static = {**target, "x-symlink-target-etag": ETAG}
        assert (await other("PUT", "/v1/AUTH_test2/links/s", b"", static)).status == 403
        got = await other("GET", "/v1/AUTH_test2/links/l")
        assert (got.status, got.headers["content-location"]) == (403, "/v1/AUTH_test/c/t")
        await owner("POST", "/v1/AUTH_test/c", headers={"x-container-read": "test2:tester2"})
        assert (await other("GET", "/v1/AUTH_test2/links/l")).body == b"target"
        assert (await other("PUT", "/v1/AUTH_test2/links/s", b"", static)).status == 201
        await owner("POST", "/v1/AUTH_test/c", headers={"x-container-read": ".r:*.example.com"})
        assert (await other("GET", "/v1/AUTH_test2/links/l")).status == 403
        asking = other.as_(referer="http://a.example.com/")
        assert (await asking("GET", "/v1/AUTH_test2/links/l")).body == b"target"


async def test_a_link_is_written_or_not(tmp_path):
    outcomes = []
    for waits in itertools.count(1):
        folder = tmp_path / str(waits)
        async with opened(folder) as store:
            await store.put("/v1/a/links")
            await store.put("/v1/a/c")
            await store.put("/v1/a/c/t", b"target")
            await store.put("/v1/a/links/l", b"as it was")
            try:
                answer = await until(link(store, "l", "c/t", etag=ETAG), waits)
            except Cut:
                answer = None
        async with opened(folder) as store:
            got = await store("GET", "/v1/a/links/l")
            assert got.body in (b"as it was", b"target")
            outcomes.append(got.body == b"target")
            if answer is not None:
                assert (await listed(store))["l"]["symlink_path"] == "/v1/a/c/t"
                break
    assert outcomes[0] is False
    assert outcomes == sorted(outcomes)
