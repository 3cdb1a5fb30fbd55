"""Static large objects: manifests, what is said of them, and what is kept."""

import itertools

import msgspec
import pytest

from .dying import Died, DyingOs, replace_os
from .dying_requests import Cut, until
from .kit import ask, opened
from .slo_kit import GET, PUT, listed, made, md5, put, read, with_segments


@pytest.fixture
async def store(tmp_path):
    async with with_segments(tmp_path) as store:
        yield store


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
