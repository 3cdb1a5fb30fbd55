"""Static large objects: manifests, their segments as one object, and their end."""

import asyncio
import base64
import hashlib
import itertools
import os

import msgspec
import pytest
from structlog.testing import capture_logs

from aerostat.services.object import expiry
from aerostat.services.object.daemons.expirer import Expirer
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.proxy.core import Core

from .dying import Died, DyingOs, replace_os
from .dying_requests import Cut, until
from .kit import ask, opened
from .test_encryption import on
from .test_tempauth import as_user, settings

PUT, GET, DELETE = "multipart-manifest=put", "multipart-manifest=get", "multipart-manifest=delete"


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        for letter in "abc":
            await store.put(f"/v1/a/c/{letter}", letter.encode() * 10)
        yield store


def md5(data):
    return hashlib.md5(data).hexdigest()


async def put(store, segments, path="/v1/a/c/m", *, query=PUT, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store("PUT", path, msgspec.json.encode(segments), named, query=query)


async def made(store, *names, path="/v1/a/c/m"):
    answer = await put(store, [{"path": f"/c/{name}"} for name in names], path)
    assert answer.status == 201, answer
    return answer


async def read(store, path="/v1/a/c/m", range_=None, query=""):
    return await store("GET", path, headers={"range": range_} if range_ else {}, query=query)


async def listed(store, container="/v1/a/c"):
    return {row["name"]: row for row in (await store("GET", container, query="format=json")).json}


# Writing


async def test_a_manifest_is_kept_and_read_as_its_segments(store):
    etag = '"' + md5((md5(b"a" * 10) + md5(b"b" * 10)).encode()) + '"'
    assert (await made(store, "a", "b")).headers["etag"] == etag
    got = await read(store)
    assert (got.status, got.body) == (200, b"a" * 10 + b"b" * 10)
    assert (got.headers["etag"], got.headers["x-static-large-object"]) == (etag, "True")
    head = await store("HEAD", "/v1/a/c/m")
    assert (head.headers["content-length"], head.headers["etag"]) == ("20", etag)
    assert not [name for name in got.headers if "sysmeta" in name]


async def test_a_manifest_is_shown_as_it_is_and_as_it_was_sent(store):
    await store("POST", "/v1/a/c/a", headers={"content-type": "text/one"})
    await put(store, [{"path": "c/a", "range": "-4"}, {"data": "aGV5"}, {"path": "/c/b", "etag": None}])
    shown = await read(store, query=GET)
    assert shown.headers["content-type"] == "application/json; charset=utf-8"
    assert shown.headers["etag"] == (await read(store)).headers["x-manifest-etag"] == md5(shown.body)
    rows = shown.json
    moments = [one.pop("last_modified", None) for one in rows]
    assert moments[0].endswith(".000000")
    assert rows == [
        {"name": "/c/a", "bytes": 10, "hash": md5(b"a" * 10), "content_type": "text/one", "range": "6-9"},
        {"data": "aGV5"},
        {"name": "/c/b", "bytes": 10, "hash": md5(b"b" * 10), "content_type": "application/octet-stream"},
    ]
    raw = await read(store, query=GET + "&format=raw")
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["etag"] == md5(raw.body)
    assert raw.json == [
        {"path": "/c/a", "size_bytes": 10, "etag": md5(b"a" * 10), "range": "6-9"},
        {"data": "aGV5"},
        {"path": "/c/b", "size_bytes": 10, "etag": md5(b"b" * 10)},
    ]
    assert (await store("PUT", "/v1/a/c/again", raw.body, query=PUT)).status == 201
    assert (await read(store, "/v1/a/c/again")).body == (await read(store)).body == b"aaaaheybbbbbbbbbb"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "Manifest must be valid JSON."),
        (b"\xff[]", "Manifest must be valid JSON."),
        (b"{}", "Manifest must be a list."),
        ([7], "Index 0: not a JSON object"),
        ([{}], "Index 0: expected keys to include one of"),
        ([{"path": "/c/a", "siz_bytes": 3}], 'Index 0: extraneous keys "siz_bytes"'),
        ([{"path": 7}], 'Index 0: "path" must be a string'),
        ([{"path": "/c/a", "etag": 7}], 'Index 0: "etag" must be a string or null'),
        ([{"path": "/c"}], "Index 0: path does not refer to an object"),
        ([{"path": "/c/"}], "Index 0: path does not refer to an object"),
        ([{"path": "/c/\0"}], "Index 0: path does not refer to an object"),
        ([{"path": "/c/a", "size_bytes": "x"}], "Index 0: invalid size_bytes"),
        ([{"path": "/c/a", "size_bytes": 0}, {"path": "/c/a"}], "Index 0: too small"),
        ([{"path": "/c/m"}], "Index 0: manifest must not include itself as a segment"),
        ([{"path": "c/m"}], "Index 0: manifest must not include itself as a segment"),
        ([{"path": "/c/a", "range": "x-y"}], "Index 0: invalid range"),
        ([{"path": "/c/a", "range": 7}], "Index 0: invalid range"),
        ([{"path": "/c/a", "range": "1-2,4-5"}], "Index 0: multiple ranges (only one allowed)"),
        ([{"path": "/c/a", "range": "10-", "size_bytes": 10}], "Index 0: unsatisfiable range"),
        ([{"path": "/c/a"}, {"data": "=="}], "Index 1: too small"),
        ([{"path": "/c/a"}, {"data": "a"}], "Index 1: data must be valid base64"),
        ([{"path": "/c/a"}, {"data": "%%%%"}], "Index 1: data must be valid base64"),
        ([{"path": "/c/a"}, {"data": 3}], "Index 1: data must be valid base64"),
        ([{"data": "aGV5"}], "Inline data segments require at least one object-backed segment."),
    ],
)
async def test_manifests_that_make_no_sense(store, sent, said):
    answer = await store(
        "PUT", "/v1/a/c/m", sent if isinstance(sent, bytes) else msgspec.json.encode(sent), query=PUT
    )
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=UTF-8")
    assert said in answer.text
    assert (await store("HEAD", "/v1/a/c/m")).status == 404


async def test_all_errors_of_a_manifest_are_told_at_once(store):
    answer = await put(store, [7, {"path": "/c/a"}, {"path": "c"}])
    assert [line.partition(":")[0] for line in answer.lines] == ["Index 0", "Index 2"]


@pytest.mark.parametrize(
    ("segment", "said"),
    [
        ({"path": "/c/none"}, ("/c/none", "404 Not Found")),
        ({"path": "none/no ne"}, ("none/no%20ne", "404 Not Found")),
        ({"path": "/c/a", "etag": "0" * 32}, ("/c/a", "Etag Mismatch")),
        ({"path": "/c/a", "size_bytes": 9}, ("/c/a", "Size Mismatch")),
        ({"path": "/c/a", "range": "10-"}, ("/c/a", "Unsatisfiable Range")),
        ({"path": "/c/empty"}, ("/c/empty", "Too small; each segment must be at least 1 byte.")),
    ],
)
async def test_segments_that_are_not_what_they_should_be(store, segment, said):
    await store.put("/v1/a/c/empty")
    answer = await put(store, [segment, {"path": "/c/b"}])
    assert (answer.status, answer.text) == (400, f"Errors:\n{', '.join(said)}\n")
    answer = await put(store, [segment, {"path": "/c/b"}], accept="application/json")
    assert (answer.status, answer.json) == (400, {"Errors": [list(said)]})
    answer = await put(store, [segment, {"path": "/c/b"}], accept="text/xml;q=0.5, image/*")
    name, what = said
    assert f"<object><name>{name}</name><status>{what}</status></object>" in answer.text
    assert answer.text.startswith("<upload>\n<errors>\n")
    assert (await store("HEAD", "/v1/a/c/m")).status == 404


async def test_the_last_segment_may_be_empty(store):
    await store.put("/v1/a/c/empty")
    await made(store, "a", "empty")
    assert (await read(store)).body == b"a" * 10
    assert (await put(store, [{"path": "/c/empty"}], "/v1/a/c/e")).status == 201
    assert (await read(store, "/v1/a/c/e")).body == b""


async def test_an_etag_is_that_of_the_whole(store):
    segments = [{"path": "/c/a", "range": "1-2"}, {"data": "aGV5"}]
    etag = md5(f"{md5(b'a' * 10)}:1-2;{md5(b'hey')}".encode())
    assert (await put(store, segments, etag="0" * 32)).status == 422
    assert (await put(store, segments, etag=f'"{etag}"')).status == 201
    assert (await read(store)).headers["etag"] == f'"{etag}"'
    whole = [{"path": "/c/a", "range": "0-9"}]
    await put(store, whole)
    assert "range" not in (await read(store, query=GET)).json[0]


async def test_limits_of_manifests(tmp_path):
    limits = {"slo": {"max_manifest_segments": 2, "max_manifest_size": 100}}
    async with opened(tmp_path, middleware=limits) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/c/a", b"1")
        section = (await store("GET", "/info")).json["slo"]
        assert section == {
            "max_manifest_segments": 2,
            "max_manifest_size": 100,
            "yield_frequency": 10,
            "min_segment_size": 1,
            "allow_async_delete": True,
        }
        answer = await put(store, [{"path": "/c/a"}] * 3)
        assert (answer.status, answer.text) == (413, "Number of object-backed segments must be <= 2")
        assert (await put(store, [{"path": "/c/a"}, {"data": "YQ=="}, {"data": "YQ=="}])).status == 201
        for body in (b" " * 101, [b" " * 60, b" " * 60]):
            answer = await store("PUT", "/v1/a/c/m", body, query=PUT)
            assert (answer.status, answer.text) == (413, "Manifest File > 100 bytes")


async def test_what_is_reserved(store):
    answer = await store("PUT", "/v1/a/c/x", b"", {"x-static-large-object": "true"})
    assert answer.status == 400
    answer = await put(store, [{"path": "/c/a"}], x_copy_from="c/b")
    assert answer.status in (400, 405)
    answer = await put(store, [{"path": "/c/a"}], if_none_match="*")
    assert answer.status == 201
    assert (await put(store, [{"path": "/c/a"}], if_none_match="*")).status == 412
    assert (await put(store, [{"path": "/c/a"}], if_none_match='"x"')).status == 400


async def test_a_manifest_says_how_long_it_is(store):
    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/v1/a/c/m",
        "raw_path": b"/v1/a/c/m",
        "query_string": PUT.encode(),
        "headers": [],
    }
    assert (await ask(store.room.app, scope, [])).status == 411


async def test_a_heartbeat_answers_at_once_and_tells_in_the_end(store):
    segments = [{"path": "/c/a"}]
    answer = await put(store, segments, query=PUT + "&heartbeat=on")
    blanks, _, rest = answer.text.partition("\r\n\r\n")
    assert (answer.status, blanks) == (202, " ")
    assert rest.splitlines()[-2:] == ["Response Status: 201 Created", "Errors:"]
    answer = await put(store, segments, query=PUT + "&heartbeat=on", accept="application/json")
    told = msgspec.json.decode(answer.body.strip())
    assert (told["Response Status"], told["Errors"], told["Response Body"]) == ("201 Created", [], "")
    assert told["Etag"] == (await read(store)).headers["etag"]
    segments.append({"path": "no/ne"})
    answer = await put(store, segments, query=PUT + "&heartbeat=on", accept="application/json")
    told = msgspec.json.decode(answer.body.strip())
    assert told["Response Status"] == "400 Bad Request"
    assert told["Errors"] == [["no/ne", "404 Not Found"]]
    answer = await put(
        store, segments[:1], query=PUT + "&heartbeat=on", accept="application/json", etag="bad"
    )
    assert msgspec.json.decode(answer.body.strip())["Response Status"] == "422 Unprocessable Entity"


async def test_a_listing_tells_of_the_whole_and_the_container_of_what_is_there(store):
    await made(store, "a", "b")
    row = (await listed(store))["m"]
    shown = await store("HEAD", "/v1/a/c/m")
    assert (row["bytes"], row["hash"]) == (20, shown.headers["x-manifest-etag"])
    assert row["slo_etag"] == shown.headers["etag"]
    manifest = await store("HEAD", "/v1/a/c/m", query=GET)
    used = (await store("HEAD", "/v1/a/c")).headers["x-container-bytes-used"]
    assert int(used) == 30 + int(manifest.headers["content-length"])
    await store("POST", "/v1/a/c/m", headers={"content-type": "image/jpeg", "x-object-meta-a": "1"})
    after = (await listed(store))["m"]
    assert (after["content_type"], after["bytes"], after["slo_etag"]) == ("image/jpeg", 20, row["slo_etag"])
    assert (await read(store)).body == b"a" * 10 + b"b" * 10


# Reading


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
    assert len(os.listdir("/proc/self/fd")) == before


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
    assert len(os.listdir("/proc/self/fd")) == before


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


# Deleting


async def test_a_manifest_is_deleted_alone(store):
    await made(store, "a")
    assert (await store("DELETE", "/v1/a/c/m")).status == 204
    assert (await read(store, "/v1/a/c/a")).status == 200


async def test_a_manifest_is_deleted_with_all_that_is_below(store):
    await made(store, "a", "b", path="/v1/a/c/sub")
    await put(store, [{"path": "/c/sub"}, {"data": "aGV5"}, {"path": "/c/c"}, {"path": "/c/sub"}])
    await store("DELETE", "/v1/a/c/b")
    answer = await store("DELETE", "/v1/a/c/m", query=DELETE, headers={"accept": "application/json"})
    assert answer.status == 200
    assert answer.json == {
        "Response Status": "200 OK",
        "Response Body": "",
        "Number Deleted": 4,
        "Number Not Found": 1,
        "Errors": [],
    }
    assert await listed(store) == {}


async def test_what_cannot_be_deleted_is_told(store):
    def asked(path, **headers):
        return store("DELETE", path, query=DELETE, headers={"accept": "application/json", **headers})

    told = (await asked("/v1/a/c/none")).json
    assert (told["Response Status"], told["Number Not Found"]) == ("200 OK", 1)
    told = (await asked("/v1/a/c/a")).json
    assert told["Response Status"] == "400 Bad Request"
    assert told["Errors"] == [["/c/a", "Not an SLO manifest"]]
    assert (await read(store, "/v1/a/c/a")).status == 200
    assert (await asked("/v1/a/c/a", accept="image/png")).status == 406
    answer = await store("DELETE", "/v1/a/c/none", query=DELETE)
    assert answer.lines[0] == "Number Deleted: 0"


async def test_manifests_that_name_each_other_are_deleted(store):
    await made(store, "a", path="/v1/a/c/one")
    await made(store, "one", path="/v1/a/c/two")
    await made(store, "two", path="/v1/a/c/one")
    answer = await store("DELETE", "/v1/a/c/one", query=DELETE, headers={"accept": "application/json"})
    assert answer.json["Number Deleted"] == 2
    assert set(await listed(store)) == {"a", "b", "c"}


async def test_deletion_can_be_left_to_the_expirer(store):
    await store.put("/v1/a/d")
    await store.put("/v1/a/d/x", b"x")
    await made(store, "a", "b", "c")
    await put(store, [{"path": "/c/a"}, {"path": "/d/x"}], "/v1/a/c/both")
    await made(store, "m", path="/v1/a/c/above")
    for name, said in (("both", "All segments must be in one container"), ("above", "No segments may be")):
        answer = await store("DELETE", f"/v1/a/c/{name}", query=DELETE + "&async=on")
        assert (answer.status, answer.text[: len(said)]) == (400, said)
    assert (await store("DELETE", "/v1/a/c/none", query=DELETE + "&async=on")).status == 404
    answer = await store("DELETE", "/v1/a/c/m", query=DELETE + "&async=on")
    assert answer.status == 204
    assert set(await listed(store)) == {"a", "b", "c", "both", "above"}
    await store.put("/v1/a/c/b", b"written after that")
    station = Station(
        lambda: store.room.cluster,
        store.room.local,
        DaemonConfig(expire_per_s=0),
        reclaim_age_s=60,
        core=Core(store.room),
    )
    await Expirer(station).pass_once()
    assert set(await listed(store)) == {"b", "both", "above"}
    (slot,) = [row["name"] for row in (await store("GET", f"/v1/{expiry.ACCOUNT}", query="format=json")).json]
    assert await listed(store, f"/v1/{expiry.ACCOUNT}/{slot}") == {}


# Death


async def test_a_manifest_is_written_or_not(tmp_path):
    """Whatever the request waits for when it ends: the old object stays, or the new one is there with its row."""
    before, after = b"as it was", b"a" * 10 + b"b" * 10
    outcomes = []
    for waits in itertools.count(1):
        folder = tmp_path / str(waits)
        async with opened(folder) as store:
            await store.put("/v1/a/c")
            for letter in "ab":
                await store.put(f"/v1/a/c/{letter}", letter.encode() * 10)
            await store.put("/v1/a/c/m", before)
            try:
                answer = await until(put(store, [{"path": "/c/a"}, {"path": "/c/b"}]), waits)
                assert answer.status == 201
            except Cut:
                answer = None
        async with opened(folder) as store:
            got = await read(store)
            assert got.body in (before, after)
            outcomes.append(got.body == after)
            row = (await listed(store))["m"]
            assert ("slo_etag" in row, row["bytes"]) in (
                (got.body == after, len(got.body)),
                (False, len(before)),
            )
            if answer is not None:
                assert row["bytes"] == len(after)
                break
    assert outcomes[0] is False
    assert len(outcomes) > 2
    assert outcomes == sorted(outcomes)


async def test_a_process_dies_while_it_writes_a_manifest(tmp_path, monkeypatch):
    """At any call that changes something on the disk; what was acknowledged is there."""
    before, after = b"as it was", b"a" * 10 + b"b" * 10
    for calls in itertools.count(0):
        folder = tmp_path / str(calls)
        dying = DyingOs(10**9)
        async with opened(folder) as store:
            await store.put("/v1/a/c")
            for letter in "ab":
                await store.put(f"/v1/a/c/{letter}", letter.encode() * 10)
            await store.put("/v1/a/c/m", before)
            with monkeypatch.context() as patch:
                replace_os(patch, dying)
                dying.left = calls
                try:
                    answer = await put(store, [{"path": "/c/a"}, {"path": "/c/b"}])
                except Died:
                    answer = None
            dying.bury()
        async with opened(folder) as store:
            got = await read(store)
            assert got.body in (before, after)
            assert got.body == after or answer is None
        if answer is not None:
            break
    assert calls > 2


async def test_a_tree_whose_deletion_ends_halfway_can_be_deleted_again(tmp_path):
    paths = [f"/v1/a/c/{name}" for name in ("a", "b", "sub", "m")]
    for wait_ms in range(12):
        async with opened(tmp_path / str(wait_ms)) as store:
            await store.put("/v1/a/c")
            for letter in "ab":
                await store.put(f"/v1/a/c/{letter}", letter.encode())
            await made(store, "a", path="/v1/a/c/sub")
            await made(store, "sub", "b")
            task = asyncio.create_task(store("DELETE", paths[-1], query=DELETE))
            await asyncio.wait([task], timeout=wait_ms / 1000)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.01)
            there = [(await store("HEAD", path)).status == 200 for path in paths]
            assert there[-1] or not any(there), "the manifest is gone, and something of it is left"
            await store("DELETE", paths[-1], query=DELETE)
            assert [(await store("HEAD", path)).status for path in paths] == [404] * 4


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
