"""Static large objects: segments, read as one object."""

import asyncio
import base64
import itertools
import os

import pytest
from structlog.testing import capture_logs

from .kit import opened
from .slo_kit import DELETE, GET, listed, made, put, read, with_segments
from .test_encryption import on
from .test_tempauth import as_user, settings


@pytest.fixture
async def store(tmp_path):
    async with with_segments(tmp_path) as store:
        yield store


async def test_ranges_go_across_segments(store):
    await put(store, [{"path": "/c/a"}, {"data": "LS0t"}, {"path": "/c/b", "range": "2-4"}, {"path": "/c/c"}])
    whole = b"a" * 10 + b"---" + b"bbb" + b"c" * 10
    assert (await read(store)).body == whole
    for start, end in itertools.combinations(range(len(whole) + 1), 2):
        got = await read(store, range_=f"bytes={start}-{end - 1}")
        assert (got.status, got.body) == (206, whole[start:end]), (start, end)
    assert (await read(store, range_="bytes=-3")).body == b"ccc"
    got = await read(store, range_="bytes=8-11,20-")
    assert got.status == 206
    assert b"\r\n\r\naa--\r\n" in got.body
    assert b"\r\n\r\ncccccc\r\n" in got.body
    got = await read(store, range_="bytes=26-")
    assert (got.status, got.headers["content-range"]) == (416, "bytes */26")


async def test_conditions_are_of_the_whole(store):
    etag = (await made(store, "a")).headers["etag"]
    own = (await read(store)).headers["x-manifest-etag"]
    for headers, status in (
        ({"if-match": etag}, 200),
        ({"if-match": own}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-none-match": own}, 200),
        ({"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 412),
    ):
        for method in ("GET", "HEAD"):
            assert (await store(method, "/v1/a/c/m", headers=headers)).status == status, headers


async def test_large_objects_of_large_objects(store):
    await made(store, "a", "b", path="/v1/a/c/ab")
    await put(store, [{"path": "/c/ab", "range": "5-14"}, {"path": "/c/c"}], "/v1/a/c/abc")
    await put(
        store, [{"path": "/c/abc"}, {"path": "/c/ab"}, {"path": "/c/abc", "range": "3-8"}], "/v1/a/c/all"
    )
    abc = b"aaaaabbbbb" + b"c" * 10
    whole = abc + b"a" * 10 + b"b" * 10 + abc[3:9]
    assert (await read(store, "/v1/a/c/all")).body == whole
    for start in range(0, len(whole), 3):
        got = await read(store, "/v1/a/c/all", range_=f"bytes={start}-{start + 12}")
        assert got.body == whole[start : start + 13]
    shown = (await read(store, "/v1/a/c/all", query=GET)).json
    assert [one.get("sub_slo") for one in shown] == [True, True, True]
    assert shown[0]["hash"] == (await store("HEAD", "/v1/a/c/abc")).headers["etag"].strip('"')


async def test_a_tree_may_be_ten_manifests_deep(store):
    await made(store, "a", path="/v1/a/c/m1")
    for depth in range(2, 12):
        await put(store, [{"path": f"/c/m{depth - 1}"}], f"/v1/a/c/m{depth}")
    assert (await read(store, "/v1/a/c/m10")).body == b"a" * 10
    with capture_logs() as logs:
        assert (await read(store, "/v1/a/c/m11")).status == 409
    assert [log["segment"] for log in logs if log["log_level"] == "warning"] == ["c/m1"]


async def test_a_part_is_read_by_its_number(store):
    await put(store, [{"path": "/c/a"}, {"data": "LS0t"}, {"path": "/c/b"}])
    for number, body, span in ((1, b"a" * 10, "0-9"), (2, b"---", "10-12"), (3, b"b" * 10, "13-22")):
        for method in ("GET", "HEAD"):
            got = await store(method, "/v1/a/c/m", query=f"part-number={number}")
            assert (got.status, got.headers["content-range"]) == (206, f"bytes {span}/23")
            assert (got.headers["content-length"], got.headers["x-parts-count"]) == (str(len(body)), "3")
            assert got.body == (body if method == "GET" else b"")
    got = await read(store, query="part-number=4")
    assert (got.status, got.headers["content-range"]) == (416, "bytes */23")
    assert got.text == "The requested part number is not satisfiable"
    for number in ("0", "-1", "x", ""):
        got = await read(store, query=f"part-number={number}")
        assert (got.status, got.text) == (400, "Part number must be an integer greater than 0")
    assert (await read(store, range_="bytes=1-", query="part-number=1")).status == 400
    etag = (await read(store)).headers["etag"]
    got = await store("GET", "/v1/a/c/m", headers={"if-none-match": etag}, query="part-number=1")
    assert got.status == 304
    assert (await read(store, "/v1/a/c/a", query="part-number=x")).status == 200


async def test_refusals_leave_nothing_open(store):
    """Of a manifest that is a file of its own to read, and of segments that are."""
    large = [{"path": "/c/a"}, {"data": base64.b64encode(os.urandom(70_000)).decode()}]
    assert (await put(store, large)).status == 201
    await store.put("/v1/a/c/big", os.urandom(100_000))
    await made(store, "big", "a", path="/v1/a/c/n")
    await store.put("/v1/a/c/big", os.urandom(100_001))
    before = len(os.listdir("/proc/self/fd"))
    assert (await read(store, query="part-number=x")).status == 400
    assert (await read(store, query="part-number=9")).status == 416
    assert (await read(store, range_="bytes=90000-")).status == 416
    assert (await store("GET", "/v1/a/c/m", headers={"if-none-match": "*"})).status == 304
    assert (await store("HEAD", "/v1/a/c/m")).status == 200
    assert (await read(store, "/v1/a/c/n")).status == 409
    assert (await read(store, "/v1/a/c/n", query="part-number=1")).status == 409
    assert (await store("COPY", "/v1/a/c/n", headers={"destination": "c/t"})).status == 409
    assert (await put(store, [{"path": "/c/n"}, {"path": "no/ne"}], "/v1/a/c/o")).status == 400
    assert (await store("DELETE", "/v1/a/c/big", query=DELETE)).status == 200
    assert len(os.listdir("/proc/self/fd")) <= before  # files of an earlier test may be closed late


async def spoil(store, how, name):
    match how:
        case "deleted":
            await store("DELETE", f"/v1/a/c/{name}")
        case "changed":
            await store.put(f"/v1/a/c/{name}", b"X" * 10)
        case "longer":
            await store.put(f"/v1/a/c/{name}", b"X" * 11)


@pytest.mark.parametrize("how", ["deleted", "changed", "longer"])
async def test_a_first_segment_that_is_another_is_refused(store, how):
    await made(store, "a", "b")
    await spoil(store, how, "a")
    with capture_logs() as logs:
        assert (await read(store)).status == 409
        assert (await read(store, range_="bytes=3-")).status == 409
        assert (await read(store, range_="bytes=3-4,6-7")).status == 409
    assert {log["segment"] for log in logs if log["log_level"] == "warning"} == {"/v1/a/c/a"}
    assert (await read(store, range_="bytes=10-")).body == b"b" * 10
    assert (await store("HEAD", "/v1/a/c/m")).status == 200


@pytest.mark.parametrize("how", ["deleted", "changed", "longer"])
async def test_a_later_segment_that_is_another_ends_the_answer(store, how):
    large = os.urandom(200_000)
    await store.put("/v1/a/c/large", large)
    await made(store, "large", "b", "c")
    await spoil(store, how, "b")
    with capture_logs() as logs:
        got = await read(store)
    assert (got.status, got.headers["content-length"], got.body) == (200, "200020", large)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "a segment of a large object cannot be read",
        "the answer broke off",
    ]


async def test_a_manifest_below_that_is_another_is_refused(store):
    await made(store, "a", "b", path="/v1/a/c/sub")
    await made(store, "sub")
    await made(store, "b", "a", path="/v1/a/c/sub")
    assert (await read(store)).status == 409
    await store.put("/v1/a/c/sub", b"no manifest")
    assert (await read(store)).status == 409


async def test_only_what_is_asked_for_is_fetched(store, monkeypatch):
    for name in "abc":
        await store.put(f"/v1/a/c/{name}", name.encode() * 100_000)
    await made(store, "a", "b", "c")
    asked = []
    objects = store.room.cluster.objects(0)
    find = objects.find

    async def watched(account, container, name, **more):
        asked.append(name)
        return await find(account, container, name, **more)

    monkeypatch.setattr(objects, "find", watched)
    assert (await read(store, range_="bytes=150000-150009")).body == b"b" * 10
    assert asked == ["m", "b"]
    asked.clear()
    assert (await store("GET", "/v1/a/c/m", headers={"if-none-match": "*"})).status == 304
    await store("HEAD", "/v1/a/c/m")
    assert asked == ["m", "m"]


async def test_a_thousand_segments_are_read_with_few_files_open(store):
    size = 70_000
    await store.put("/v1/a/c/one", os.urandom(size))
    await store.put("/v1/a/c/two", os.urandom(size))
    await made(store, *(["one", "two"] * 500))
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    length = 0

    async def send(message):
        nonlocal most, length
        length += len(message.get("body", b""))
        most = max(most, len(os.listdir("/proc/self/fd")))

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/a/c/m",
        "raw_path": b"/v1/a/c/m",
        "query_string": b"",
        "headers": [],
    }
    await store.room.app(scope, receive, send)
    assert length == 1000 * size
    assert most <= before + 3
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_reader_that_goes_away_leaves_nothing_open(store):
    for name in "abc":
        await store.put(f"/v1/a/c/{name}", name.encode() * 2_000_000)
    await made(store, "a", "b", "c")
    before = len(os.listdir("/proc/self/fd"))

    async def send(message):
        if message.get("body"):
            raise ConnectionResetError

    async def receive():
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/a/c/m",
        "raw_path": b"/v1/a/c/m",
        "query_string": b"",
        "headers": [(b"range", b"bytes=5-5000000")],
    }
    with pytest.raises(ConnectionResetError):
        await store.room.app(scope, receive, send)
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before  # files of an earlier test may be closed late


async def test_segments_are_read_as_the_reader_may(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        owner, other = await as_user(store, "test:tester"), await as_user(store, "test:tester3")
        for container in ("manifests", "segments"):
            await owner.put(f"/v1/AUTH_test/{container}")
        await owner.put("/v1/AUTH_test/segments/s", b"secret")
        path = "/v1/AUTH_test/manifests/m"
        assert (await put(owner, [{"path": "segments/s"}], path)).status == 201
        assert (await other("GET", path)).status == 403
        await owner("POST", "/v1/AUTH_test/manifests", headers={"x-container-read": "test:tester3"})
        assert (await other("GET", path)).status == 409
        assert (await other("HEAD", path)).status == 200
        await owner("POST", "/v1/AUTH_test/segments", headers={"x-container-read": "test:tester3"})
        assert (await other("GET", path)).body == b"secret"
        await owner("POST", "/v1/AUTH_test/manifests", headers={"x-container-write": "test:tester3"})
        assert (await put(other, [{"path": "segments/s"}], path)).status == 201
        await owner("POST", "/v1/AUTH_test/segments", headers={"x-container-read": "x:y"})
        answer = await put(other, [{"path": "segments/s"}], path)
        assert (answer.status, answer.text) == (400, "Errors:\nsegments/s, 403 Forbidden\n")
        told = (await other("DELETE", path, query=DELETE, headers={"accept": "application/json"})).json
        assert told["Errors"] == [["/segments/s", "403 Forbidden"]]
        assert (await other("DELETE", path, query=DELETE + "&async=on")).status in (403, 404)


async def test_a_million_segments_take_little_memory(store):
    """A thousand times the same manifest of a thousand segments: what is read is walked, not built."""
    import tracemalloc

    await made(store, *(["a", "b"] * 500), path="/v1/a/c/sub")
    await made(store, *(["sub"] * 1000))
    assert (await store("HEAD", "/v1/a/c/m")).headers["content-length"] == "10000000"
    await read(store, range_="bytes=9999990-")
    tracemalloc.start()
    try:
        got = await read(store, range_="bytes=4999990-5009999")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got.body == b"b" * 10 + (b"a" * 10 + b"b" * 10) * 500
    assert most < 8 << 20


def test_data_and_its_size():
    from aerostat.services.object.large import manifest

    for size in range(1, 9):
        segment = manifest.of_data(os.urandom(size))
        assert segment.span == (0, size)
        assert base64.b64decode(segment.data) == segment.inline


@pytest.mark.parametrize("below", [{"devices": 4, "replicas": 3}, {"middleware": on()}])
async def test_whatever_lies_below(tmp_path, below):
    """Several copies, and encryption: large objects, links to them and copies of them are the same."""
    async with opened(tmp_path, **below) as store:
        await store.put("/v1/a/c")
        parts = {"a": os.urandom(300_000), "b": b"b" * 10}
        for name, data in parts.items():
            await store.put(f"/v1/a/c/x{name}", data)
        whole = b"".join(parts.values())
        etag = (await made(store, "xa", "xb")).headers["etag"]
        own = (await read(store)).headers["x-manifest-etag"]
        link = {"x-symlink-target": "c/m", "x-symlink-target-etag": own}
        assert (await store("PUT", "/v1/a/c/link", b"", link)).status == 201
        await store.put("/v1/a/c/dlo", x_object_manifest="c/x")
        for path in ("m", "link", "dlo"):
            got = await read(store, f"/v1/a/c/{path}", "bytes=299990-")
            assert (got.status, got.body) == (206, whole[299_990:]), path
            assert got.headers["etag"] == etag
            answer = await store("COPY", f"/v1/a/c/{path}", headers={"destination": "c/copy"})
            assert (answer.status, (await read(store, "/v1/a/c/copy")).body) == (201, whole)
        rows = await listed(store)
        assert (rows["m"]["bytes"], rows["m"]["slo_etag"], rows["m"]["hash"]) == (len(whole), etag, own)
        assert (rows["link"]["symlink_bytes"], rows["link"]["symlink_etag"]) == (len(whole), own)
