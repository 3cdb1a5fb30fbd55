"""Dynamic large objects: names with a prefix, read as one object."""

import hashlib
import os

import pytest
from structlog.testing import capture_logs

from aerostat.services.object.middleware import dlo

from .kit import opened
from .test_tempauth import as_user, settings

AS_IT_IS = "multipart-manifest=get"


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/parts")
        for letter in "abc":
            await store.put(f"/v1/a/parts/x/{letter}", letter.encode() * 10)
        await store.put("/v1/a/parts/y", b"another")
        await store.put("/v1/a/c/m", b"the manifest", x_object_manifest="parts/x/")
        yield store


WHOLE = b"a" * 10 + b"b" * 10 + b"c" * 10


def md5(data):
    return hashlib.md5(data).hexdigest()


async def test_a_manifest_is_read_as_what_has_its_prefix(store):
    got = await store("GET", "/v1/a/c/m")
    assert (got.status, got.body) == (200, WHOLE)
    hashes = "".join(md5(letter * 10) for letter in (b"a", b"b", b"c"))
    assert got.headers["etag"] == f'"{md5(hashes.encode())}"'
    assert got.headers["x-object-manifest"] == "parts/x/"
    head = await store("HEAD", "/v1/a/c/m")
    assert (head.headers["content-length"], head.headers["etag"]) == ("30", got.headers["etag"])
    await store.put("/v1/a/parts/x/d", b"d")
    assert (await store("GET", "/v1/a/c/m")).body == WHOLE + b"d"
    assert "dlo" in (await store("GET", "/info")).json


async def test_the_manifest_itself_can_be_read(store):
    got = await store("GET", "/v1/a/c/m", query=AS_IT_IS)
    assert (got.body, got.headers["etag"]) == (b"the manifest", md5(b"the manifest"))


@pytest.mark.parametrize("value", ["parts", "parts/", "/x", "parts//x", "parts/x?y", "parts/x&y", ""])
async def test_manifests_that_make_no_sense(store, value):
    answer = await store("PUT", "/v1/a/c/n", b"", {"x-object-manifest": value})
    assert (answer.status, answer.text) == (
        400,
        "X-Object-Manifest must be in the format container/prefix",
    )


async def test_names_are_quoted_in_manifests(store):
    await store.put("/v1/a/pär ts")
    await store.put("/v1/a/pär ts/ü?1", b"one")
    await store.put("/v1/a/c/q", x_object_manifest="p%C3%A4r%20ts/%C3%BC%3F")
    assert (await store("GET", "/v1/a/c/q")).body == b"one"


async def test_ranges_and_conditions_are_of_the_whole(store):
    etag = (await store("GET", "/v1/a/c/m")).headers["etag"]
    for start in range(30):
        for end in (start, start + 1, start + 11, 29):
            got = await store("GET", "/v1/a/c/m", headers={"range": f"bytes={start}-{end}"})
            assert (got.status, got.body) == (206, WHOLE[start : end + 1])
    assert (await store("GET", "/v1/a/c/m", headers={"range": "bytes=-3"})).body == b"ccc"
    got = await store("GET", "/v1/a/c/m", headers={"range": "bytes=30-"})
    assert (got.status, got.headers["content-range"]) == (416, "bytes */30")
    got = await store("GET", "/v1/a/c/m", headers={"range": "bytes=0-1,4-5"})
    assert (got.status, got.body) == (200, WHOLE)
    for headers, status in (
        ({"if-match": etag}, 200),
        ({"if-match": md5(b"the manifest")}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-none-match": "x"}, 200),
    ):
        for method in ("GET", "HEAD"):
            assert (await store(method, "/v1/a/c/m", headers=headers)).status == status


async def test_nothing_has_the_prefix(store):
    await store.put("/v1/a/c/none", x_object_manifest="parts/z")
    got = await store("GET", "/v1/a/c/none")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")
    await store.put("/v1/a/c/nowhere", x_object_manifest="nowhere/z")
    for method in ("GET", "HEAD"):
        assert (await store(method, "/v1/a/c/nowhere")).status == 404


async def test_a_post_may_change_the_manifest_or_end_it(store):
    await store("POST", "/v1/a/c/m", headers={"x-object-manifest": "parts/y"})
    assert (await store("GET", "/v1/a/c/m")).body == b"another"
    await store("POST", "/v1/a/c/m")
    assert (await store("GET", "/v1/a/c/m")).body == b"the manifest"


@pytest.fixture
async def long(tmp_path):
    """With thirty-five segments, and pages of ten names."""
    async with opened(tmp_path, limits={"container_listing_limit": 10}) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/m")
        store.parts = [os.urandom(index) for index in range(1, 36)]
        for index, part in enumerate(store.parts):
            await store.put(f"/v1/a/c/x/{index:04d}", part)
        await store.put("/v1/a/m/m", b"manifest", x_object_manifest="c/x/")
        yield store


async def test_more_names_than_a_page_has(long):
    whole = b"".join(long.parts)
    got = await long("GET", "/v1/a/m/m")
    assert (got.body, got.headers["content-length"]) == (whole, str(len(whole)))
    assert got.headers["etag"] == '"' + md5("".join(md5(part) for part in long.parts).encode()) + '"'
    for start in range(0, len(whole), 7):
        got = await long("GET", "/v1/a/m/m", headers={"range": f"bytes={start}-{start + 99}"})
        assert (got.status, got.body) == (206, whole[start : start + 100])
    assert (await long("COPY", "/v1/a/m/m", headers={"destination": "m/copy"})).status == 201
    assert (await long("GET", "/v1/a/m/copy")).body == whole


async def test_more_names_than_are_counted(long, monkeypatch):
    """The size is not known before the end: it comes in chunks, whole."""
    monkeypatch.setattr(dlo, "MOST_PAGES", 3)
    for headers in ({}, {"range": "bytes=5-"}):
        got = await long("GET", "/v1/a/m/m", headers=headers)
        assert (got.status, got.body) == (200, b"".join(long.parts))
        assert "content-length" not in got.headers
        assert got.headers["etag"] == md5(b"manifest")
    head = await long("HEAD", "/v1/a/m/m")
    assert (head.status, "content-length" in head.headers) == (200, False)
    assert (await long("COPY", "/v1/a/m/m", headers={"destination": "m/copy"})).status == 413
    for index in range(29, 35):
        await long("DELETE", f"/v1/a/c/x/{index:04d}")
    assert (await long("HEAD", "/v1/a/m/m")).headers["content-length"] == str(sum(range(1, 30)))


async def test_a_segment_that_is_away_ends_the_answer(store, monkeypatch):
    await store.put("/v1/a/parts/x/0", b"0" * 200_000)
    objects = store.room.cluster.objects(0)
    find = objects.find
    away = {"x/b"}

    async def holed(account, container, name, **more):
        return None if name in away else await find(account, container, name, **more)

    monkeypatch.setattr(objects, "find", holed)
    with capture_logs() as logs:
        got = await store("GET", "/v1/a/c/m")
    assert (got.status, got.headers["content-length"], got.body) == (200, "200030", b"0" * 200_000)
    assert [log["log_level"] for log in logs] == ["warning", "warning"]
    away.add("x/0")
    assert (await store("GET", "/v1/a/c/m")).status == 409


async def test_copies_are_of_the_whole_or_of_the_manifest(store):
    answer = await store("COPY", "/v1/a/c/m", headers={"destination": "c/whole"})
    assert answer.status == 201
    got = await store("GET", "/v1/a/c/whole")
    assert (got.body, "x-object-manifest" in got.headers) == (WHOLE, False)
    assert got.headers["etag"] == md5(WHOLE)
    answer = await store("COPY", "/v1/a/c/m", headers={"destination": "c/again"}, query=AS_IT_IS)
    assert answer.status == 201
    got = await store("GET", "/v1/a/c/again")
    assert (got.body, got.headers["x-object-manifest"]) == (WHOLE, "parts/x/")
    assert (await store("GET", "/v1/a/c/again", query=AS_IT_IS)).body == b"the manifest"


async def test_segments_are_read_as_the_reader_may(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        owner, other = await as_user(store, "test:tester"), await as_user(store, "test:tester3")
        for container in ("manifests", "segments"):
            await owner.put(f"/v1/AUTH_test/{container}")
        await owner.put("/v1/AUTH_test/segments/s", b"secret")
        path = "/v1/AUTH_test/manifests/m"
        await owner.put(path, x_object_manifest="segments/s")
        acl = {"x-container-read": ".r:*.example.com,.rlistings"}
        asking = other.as_(referer="http://a.example.com/")
        assert (await asking("GET", path)).status == 403
        await owner("POST", "/v1/AUTH_test/manifests", headers=acl)
        assert (await asking("GET", path)).status == 403
        await owner("POST", "/v1/AUTH_test/segments", headers=acl)
        assert (await asking("GET", path)).body == b"secret"
        assert (await other("GET", path)).status == 403
