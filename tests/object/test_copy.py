"""Copies that the store makes itself."""

import hashlib
import itertools
import os
import time

import msgspec
import pytest

from .dying_requests import Cut, until
from .kit import opened
from .test_tempauth import as_user, settings


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/d")
        await store.put(
            "/v1/a/c/s",
            b"source",
            content_type="text/one",
            x_object_meta_color="blue",
            x_object_meta_size="small",
            content_encoding="gzip",
            content_disposition="attachment",
        )
        yield store


ETAG = hashlib.md5(b"source").hexdigest()


async def copy(store, destination="d/t", path="/v1/a/c/s", *, query="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store("COPY", path, headers={"destination": destination, **named}, query=query)


async def copy_from(store, source="c/s", path="/v1/a/d/t", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store("PUT", path, b"", {"x-copy-from": source, **named})


@pytest.mark.parametrize("way", [copy, copy_from])
async def test_a_copy_is_the_same_with_the_same_metadata(store, way):
    for slash in ("", "/"):
        answer = await (copy(store, slash + "d/t") if way is copy else copy_from(store, slash + "c/s"))
        assert (answer.status, answer.headers["etag"]) == (201, ETAG)
        source = await store("HEAD", "/v1/a/c/s")
        assert answer.headers["x-copied-from"] == "c/s"
        assert answer.headers["x-copied-from-account"] == "a"
        assert answer.headers["x-copied-from-last-modified"] == source.headers["last-modified"]
        assert answer.headers["x-object-meta-color"] == "blue"
        got = await store("GET", "/v1/a/d/t")
        assert got.body == b"source"
        for name in (
            "content-type",
            "x-object-meta-color",
            "content-encoding",
            "content-disposition",
            "etag",
        ):
            assert got.headers[name] == source.headers[name]


@pytest.mark.parametrize("way", [copy, copy_from])
async def test_what_the_request_says_goes_before(store, way):
    await way(store, content_type="text/two", x_object_meta_color="red", x_object_meta_taste="sweet")
    got = await store("GET", "/v1/a/d/t")
    assert got.headers["content-type"] == "text/two"
    meta = {name: value for name, value in got.headers.items() if name.startswith("x-object-meta-")}
    assert meta == {
        "x-object-meta-color": "red",
        "x-object-meta-size": "small",
        "x-object-meta-taste": "sweet",
    }


@pytest.mark.parametrize("way", [copy, copy_from])
async def test_fresh_metadata(store, way):
    answer = await way(store, x_fresh_metadata="true", x_object_meta_taste="sweet")
    assert "x-object-meta-color" not in answer.headers
    got = await store("GET", "/v1/a/d/t")
    meta = {name for name in got.headers if name.startswith("x-object-meta-")}
    assert meta == {"x-object-meta-taste"}
    assert (got.headers["content-type"], got.body) == ("text/one", b"source")
    assert "content-encoding" not in got.headers


async def test_a_copy_to_itself_changes_metadata(store):
    await copy(store, "c/s", x_fresh_metadata="yes", x_object_meta_new="1")
    got = await store("GET", "/v1/a/c/s")
    assert (got.body, got.headers["x-object-meta-new"]) == (b"source", "1")
    assert "x-object-meta-color" not in got.headers


async def test_names_are_quoted_in_headers(store):
    await store.put("/v1/a/c/ü ?/%", b"funny")
    answer = await copy(store, "d/%C3%A4%25/x", "/v1/a/c/ü ?/%")
    assert (answer.status, answer.headers["x-copied-from"]) == (201, "c/%C3%BC%20%3F/%25")
    assert (await store("GET", "/v1/a/d/ä%/x")).body == b"funny"
    assert (await copy_from(store, "c/%C3%BC%20%3F/%25")).status == 201


@pytest.mark.parametrize("size", [0, 1, 64 << 10, 3_000_000])
async def test_sizes(store, size):
    data = os.urandom(size)
    await store.put("/v1/a/c/big", data)
    assert (await copy(store, path="/v1/a/c/big")).status == 201
    got = await store("GET", "/v1/a/d/t")
    assert (got.body, got.headers["etag"]) == (data, hashlib.md5(data).hexdigest())


async def test_accounts(store):
    await store.put("/v1/b/d")
    answer = await copy(store, destination_account="b")
    assert (answer.status, answer.headers["x-copied-from-account"]) == (201, "a")
    assert (await store("GET", "/v1/b/d/t")).body == b"source"
    answer = await copy_from(store, path="/v1/b/d/u", x_copy_from_account="a")
    assert (answer.status, (await store("GET", "/v1/b/d/u")).body) == (201, b"source")
    for account, said in (
        ("x/y", "Account name cannot contain slashes"),
        ("", "Account name cannot be empty"),
    ):
        answer = await copy(store, destination_account=account)
        assert (answer.status, answer.text) == (412, said)
        answer = await copy_from(store, x_copy_from_account=account)
        assert (answer.status, answer.text) == (412, said)


async def test_copies_that_are_refused(store):
    answer = await store("COPY", "/v1/a/c/s")
    assert (answer.status, answer.text) == (412, "Destination header required")
    for destination in ("d", "/d", "d/", "/"):
        answer = await copy(store, destination)
        said = "Destination header must be of the form <container name>/<object name>"
        assert (answer.status, answer.text) == (412, said)
        assert (await copy_from(store, destination)).status == 412
    assert (await copy(store, "none/t")).status == 404
    assert (await copy(store, path="/v1/a/c/none")).status == 404
    assert (await copy(store, path="/v1/a/none/s")).status == 404
    answer = await store("PUT", "/v1/a/d/t", b"bytes", {"x-copy-from": "c/s"})
    assert (answer.status, answer.text) == (400, "Copy requests require a zero byte body")
    assert (await store("PUT", "/v1/a/d/t", [b"bytes"], {"x-copy-from": "c/s"})).status == 400
    assert (await store("COPY", "/v1/a/c", headers={"destination": "d/t"})).status == 405
    assert (await store("GET", "/v1/a/d/t")).status == 404


async def test_an_object_may_be_too_large(tmp_path):
    async with opened(tmp_path, limits={"max_file_size": 10}) as store:
        await store.put("/v1/a/c")
        for name in "ab":
            await store.put(f"/v1/a/c/{name}", b"x" * 10)
        manifest = msgspec.json.encode([{"path": "/c/a"}, {"path": "/c/b"}])
        answer = await store("PUT", "/v1/a/c/m", manifest, query="multipart-manifest=put")
        assert answer.status == 413  # of the manifest itself
    async with opened(tmp_path, limits={"max_file_size": 1000}) as store:
        answer = await store("PUT", "/v1/a/c/m", manifest, query="multipart-manifest=put")
        assert answer.status == 201
    async with opened(tmp_path, limits={"max_file_size": 10}) as store:
        assert (await copy(store, "c/t", "/v1/a/c/a")).status == 201
        assert (await copy(store, "c/t", "/v1/a/c/m")).status == 413


async def test_conditions_are_of_the_source(store):
    assert (await copy(store, if_match="x")).status == 412
    assert (await copy(store, if_match=ETAG)).status == 201
    assert (await copy(store, if_none_match=ETAG)).status == 304
    assert (await copy(store, if_unmodified_since="Mon, 01 Jan 2001 00:00:00 GMT")).status == 412
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert (await copy(store, if_modified_since=later)).status == 304


async def test_a_range_of_the_source(store):
    answer = await copy(store, range="bytes=1-3")
    assert answer.status == 201
    got = await store("GET", "/v1/a/d/t")
    assert (got.body, got.headers["etag"]) == (b"our", hashlib.md5(b"our").hexdigest())
    assert (await copy(store, range="bytes=6-")).status == 416


async def test_an_end_goes_with_the_copy(store):
    at = str(int(time.time()) + 1000)
    await store("POST", "/v1/a/c/s", headers={"x-delete-at": at})
    answer = await copy(store)
    assert answer.headers["x-delete-at"] == at
    assert (await store("HEAD", "/v1/a/d/t")).headers["x-delete-at"] == at


async def test_large_objects_are_copied_whole_or_as_manifests(store):
    await store.put("/v1/a/c/s2", b"second")
    manifest = msgspec.json.encode([{"path": "/c/s"}, {"path": "/c/s2"}])
    await store("PUT", "/v1/a/c/m", manifest, {"x-object-meta-a": "1"}, query="multipart-manifest=put")
    head = (await store("HEAD", "/v1/a/c/m")).headers
    assert (await copy(store, path="/v1/a/c/m")).status == 201
    got = await store("GET", "/v1/a/d/t")
    assert (got.body, got.headers["etag"]) == (b"sourcesecond", hashlib.md5(b"sourcesecond").hexdigest())
    assert "x-static-large-object" not in got.headers
    row = (await store("GET", "/v1/a/d", query="format=json")).json[0]
    assert (row["bytes"], row["hash"], "slo_etag" in row) == (12, got.headers["etag"], False)
    for way in ("copy", "from"):
        if way == "copy":
            answer = await copy(store, path="/v1/a/c/m", query="multipart-manifest=get")
        else:
            answer = await store(
                "PUT", "/v1/a/d/t", b"", {"x-copy-from": "c/m"}, query="multipart-manifest=get"
            )
        assert answer.status == 201
        got = await store("GET", "/v1/a/d/t")
        assert (got.body, got.headers["etag"]) == (b"sourcesecond", head["etag"])
        assert got.headers["x-manifest-etag"] == head["x-manifest-etag"]
        assert got.headers["x-object-meta-a"] == "1"
        await store("DELETE", "/v1/a/d/t")
    assert (await copy(store, path="/v1/a/c/m", query="part-number=2")).status == 201
    assert (await store("GET", "/v1/a/d/t")).body == b"second"
    await store("DELETE", "/v1/a/c/s2")
    assert (await copy(store, path="/v1/a/c/m", range="bytes=8-")).status == 409
    await store.put("/v1/a/c/s", os.urandom(100_000))
    assert (await copy(store, path="/v1/a/c/m")).status == 409


async def test_a_source_that_breaks_off_leaves_the_destination(store):
    await store.put("/v1/a/c/large", os.urandom(3_000_000))
    manifest = msgspec.json.encode([{"path": "/c/large"}, {"path": "/c/s"}])
    await store("PUT", "/v1/a/c/m", manifest, query="multipart-manifest=put")
    await store.put("/v1/a/d/t", b"as it was")
    await store("DELETE", "/v1/a/c/s")
    assert (await copy(store, path="/v1/a/c/m")).status == 409
    assert (await store("GET", "/v1/a/d/t")).body == b"as it was"


async def test_a_heartbeat_tells_in_the_end(store):
    answer = await copy(store, query="heartbeat=on", accept="application/json")
    told = msgspec.json.decode(answer.body.strip())
    assert (answer.status, told["Response Status"], told["Errors"]) == (202, "201 Created", [])
    assert (told["X-Copied-From"], told["Etag"]) == ("c/s", ETAG)
    answer = await copy(store, "none/t", query="heartbeat=on")
    assert "Response Status: 404 Not Found" in answer.lines
    assert answer.lines[-1] == "c/s, 404 Not Found"
    manifest = msgspec.json.encode([{"path": "/c/s"}])
    await store("PUT", "/v1/a/c/m", manifest, query="multipart-manifest=put")
    for status in ("201 Created", "400 Bad Request"):
        answer = await copy(store, path="/v1/a/c/m", query="multipart-manifest=get&heartbeat=on")
        assert f"Response Status: {status}" in answer.lines
        await store("DELETE", "/v1/a/c/s")
    assert "/c/s, 404 Not Found" in answer.text


async def test_both_sides_are_asked(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        owner, other = await as_user(store, "test:tester"), await as_user(store, "test2:tester2")
        for container in ("from", "to"):
            await owner.put(f"/v1/AUTH_test/{container}")
        await owner.put("/v1/AUTH_test/from/s", b"secret")
        await other.put("/v1/AUTH_test2/c")
        await other.put("/v1/AUTH_test2/c/s", b"own")

        def take():
            return other(
                "COPY",
                "/v1/AUTH_test/from/s",
                headers={"destination": "c/t", "destination-account": "AUTH_test2"},
            )

        def give():
            return other(
                "PUT",
                "/v1/AUTH_test/to/t",
                b"",
                {"x-copy-from": "c/s", "x-copy-from-account": "AUTH_test2"},
            )

        assert (await take()).status == 403
        assert (await give()).status == 403
        await owner("POST", "/v1/AUTH_test/from", headers={"x-container-read": "test2:tester2"})
        assert (await take()).status == 201
        assert (await other("GET", "/v1/AUTH_test2/c/t")).body == b"secret"
        assert (await give()).status == 403
        await owner("POST", "/v1/AUTH_test/to", headers={"x-container-write": "test2:tester2"})
        assert (await give()).status == 201
        assert (await owner("GET", "/v1/AUTH_test/to/t")).body == b"own"
        assert (await store("COPY", "/v1/AUTH_test/from/s", headers={"destination": "to/x"})).status == 401


@pytest.mark.parametrize("size", [10, 300_000])
async def test_a_copy_is_made_or_not(tmp_path, size):
    before, after = b"as it was", os.urandom(size)
    outcomes = []
    for waits in itertools.count(1):
        folder = tmp_path / str(waits)
        async with opened(folder) as store:
            await store.put("/v1/a/c")
            await store.put("/v1/a/c/s", after)
            await store.put("/v1/a/c/t", before)
            try:
                answer = await until(copy(store, "c/t"), waits)
                assert answer.status == 201
            except Cut:
                answer = None
        async with opened(folder) as store:
            got = await store("GET", "/v1/a/c/t")
            assert got.body in (before, after)
            assert got.headers["etag"] == hashlib.md5(got.body).hexdigest()
            assert (await store("GET", "/v1/a/c/s")).body == after
            outcomes.append(got.body == after)
            if answer is not None:
                break
    assert outcomes[0] is False
    assert outcomes == sorted(outcomes)
    assert not [path for path in folder.rglob("*") if "tmp" in path.name and path.is_file()]
