"""Versions of objects, as clients see them; what is hidden; and what is there when a write dies on its way."""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from aerostat.services.object import timestamp
from aerostat.services.object.http.response import Refusal
from aerostat.services.object.middleware.object_versioning import Middleware
from aerostat.services.object.middleware.object_versioning.names import MARKER_TYPE

from .dying import Died
from .dying_requests import dying_after
from .kit import Answer, Store, opened

C = "/v1/AUTH_a/c"
VERSION = "x-object-version-id"


async def versioned(store: Store, container: str = C, enabled: str = "true") -> None:
    await store.put(container, X_Versions_Enabled=enabled)


async def switch(store: Store, enabled: bool) -> None:
    assert (await store("POST", C, headers={"x-versions-enabled": str(enabled)})).status == 204


async def write(store: Store, text: str, name: str = "o", **headers: str) -> str:
    """Answers the version."""
    answer = await store.put(f"{C}/{name}", text.encode(), **headers)
    return answer.headers.get(VERSION, "null")


async def versions(store: Store, **query: str) -> list[Any]:
    asked = "&".join(["versions", *(f"{name}={quote(value)}" for name, value in query.items())])
    answer = await store("GET", C, query=asked)
    assert answer.status == 200, answer
    return list(answer.json)


async def ids(store: Store, **query: str) -> list[tuple[str, str, bool]]:
    return [
        (row["name"], row["version_id"], row["is_latest"]) if "name" in row else row["subdir"]
        for row in await versions(store, **query)
    ]


async def test_what_was_written_before_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one", Content_Type="text/one", X_Object_Meta_Colour="blue")
        two = await write(store, "second", Content_Type="text/two")
        answer = await store("GET", f"{C}/o")
        assert (answer.body, answer.headers["content-type"]) == (b"second", "text/two")
        assert answer.headers[VERSION] == two > one
        assert answer.headers["content-location"] == f"{C}/o?version-id={two}"
        old = await store("GET", f"{C}/o", query=f"version-id={one}")
        assert (old.body, old.headers["x-object-meta-colour"]) == (b"one", "blue")
        assert old.headers[VERSION] == one
        head = await store("HEAD", f"{C}/o", query=f"version-id={one}")
        assert (head.status, head.headers["content-length"]) == (200, "3")
        assert await ids(store) == [("o", two, True), ("o", one, False)]
        assert (await versions(store))[1] == {
            "name": "o",
            "bytes": 3,
            "hash": "f97c5d29941bfb1b2fdab0874906ab82",
            "content_type": "text/one",
            "last_modified": (await versions(store))[1]["last_modified"],
            "version_id": one,
            "is_latest": False,
        }
        assert (await store("GET", f"{C}/o", headers={"range": "bytes=1-2"})).body == b"ec"
        etag = answer.headers["etag"]
        assert (await store("GET", f"{C}/o", headers={"if-none-match": etag})).status == 304


async def test_plain_listing_shows_what_is_current(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        await write(store, "one")
        two = await write(store, "second", Content_Type="text/two")
        (row,) = (await store("GET", C, query="format=json")).json
        assert (row["bytes"], row["content_type"], row["version_symlink"]) == (6, "text/two", True)
        assert row["hash"] == "a9f0e61a137d86aa9db53465e0801612"
        assert row["symlink_path"] == f"{C}/o?version-id={two}"
        assert "version_id" not in row
        head = await store("HEAD", C)
        assert (head.headers["x-container-bytes-used"], head.headers["x-container-object-count"]) == (
            "9",
            "1",
        )
        assert head.headers["x-versions-enabled"] == "True"
        account = await store("GET", "/v1/AUTH_a", query="format=json")
        assert [(one["name"], one["count"]) for one in account.json] == [("c", 1)]


async def test_account_listing_has_the_bytes_of_versions_and_never_their_container(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/AUTH_a/a")
        await versioned(store)
        await store.put("/v1/AUTH_a/d")
        await write(store, "one")
        await write(store, "second")
        await store.room.cluster.containers.sums.flush("AUTH_a")
        rows = (await store("GET", "/v1/AUTH_a", query="format=json")).json
        assert [(row["name"], row["bytes"]) for row in rows] == [("a", 0), ("c", 9), ("d", 0)]
        for query in (
            "prefix=%00",
            "prefix=%00versions%00c",
            "marker=%00",
            "limit=1",
            "reverse=on",
            "marker=%00&limit=1",
        ):
            lines = (await store("GET", "/v1/AUTH_a", query=query)).lines
            assert set(lines) <= {"a", "c", "d"}, query
            assert lines or "prefix" in query
        assert (await store("GET", "/v1/AUTH_a", query="reverse=on")).lines == ["d", "c", "a"]


async def test_nobody_names_what_is_reserved(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        await write(store, "one")
        answer = await store("GET", "", raw_path=b"/v1/AUTH_a/%00versions%00c")
        assert answer.status == 412
        request = _request("GET", "/v1/AUTH_a/\0versions\0c")
        assert (await store.room.handler(request)).status == 400
        request = _request("GET", "/v1/AUTH_a/c/\0o")
        assert (await store.room.handler(request)).status == 400


def _request(method: str, path: str) -> Any:
    from aerostat.services.object.http.request import Request

    request = Request(method, path)
    request.is_inner = True
    return request


async def test_deletion_leaves_a_marker(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one")
        gone = await store("DELETE", f"{C}/o")
        assert gone.status == 204
        marker = gone.headers[VERSION]
        assert (await store("GET", f"{C}/o")).status == 404
        assert (await store("DELETE", f"{C}/o")).status == 404
        rows = await versions(store)
        assert [row["content_type"] for row in rows] == [MARKER_TYPE, MARKER_TYPE, "application/octet-stream"]
        assert [row["is_latest"] for row in rows] == [True, False, False]
        answer = await store("GET", f"{C}/o", query=f"version-id={marker}")
        assert (answer.status, answer.headers["content-type"]) == (404, MARKER_TYPE)
        assert answer.headers[VERSION] == marker
        assert (await store("GET", f"{C}/o", query=f"version-id={one}")).body == b"one"
        assert (await store("GET", C)).lines == []
        assert (await store("PUT", f"{C}/o", query=f"version-id={marker}")).status == 404
        assert (await store("DELETE", f"{C}/o", query=f"version-id={marker}")).status == 204


async def test_an_old_version_becomes_current_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one", Content_Type="text/one")
        two = await write(store, "two")
        three = await write(store, "three")
        answer = await store("PUT", f"{C}/o", query=f"version-id={two}")
        assert (answer.status, answer.headers[VERSION]) == (201, two)
        assert (await store("GET", f"{C}/o")).body == b"two"
        assert await ids(store) == [("o", three, False), ("o", two, True), ("o", one, False)]
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert (await store("PUT", f"{C}/o", query=f"version-id={one}")).status == 201
        assert (await store("GET", f"{C}/o")).headers["content-type"] == "text/one"
        (row,) = (await store("GET", C, query="format=json")).json
        assert (row["bytes"], row["content_type"]) == (3, "text/one")


@pytest.mark.parametrize(
    ("method", "version", "body", "status"),
    [
        ("PUT", "null", b"", 400),
        ("PUT", "bad", b"", 400),
        ("PUT", "1234567890.12345", b"", 404),
        ("PUT", "1234567890.12345", b"x", 400),
        ("POST", "1234567890.12345", b"", 400),
        ("GET", "bad", None, 400),
        ("GET", "1234567890.12345", None, 404),
        ("DELETE", "1234567890.12345", None, 404),
    ],
)
async def test_versions_that_are_not_there(
    tmp_path: Path, method: str, version: str, body: bytes | None, status: int
) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        await write(store, "one")
        assert (await store(method, f"{C}/o", body, query=f"version-id={version}")).status == status
        assert (await store("GET", f"{C}/o")).body == b"one"


async def test_versions_need_a_versioned_container(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C)
        await store.put(f"{C}/o", b"one")
        answer = await store("GET", f"{C}/o", query="version-id=1234567890.12345")
        assert answer.status == 400
        assert "x-object-version-id" not in (await store("GET", f"{C}/o")).headers
        answer = await store("GET", f"{C}/o", query="version-id=null")
        assert (answer.body, answer.headers[VERSION]) == (b"one", "null")
        assert await ids(store) == [("o", "null", True)]


async def test_deleting_a_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one, two = await write(store, "one"), await write(store, "two")
        answer = await store("DELETE", f"{C}/o", query=f"version-id={one}")
        assert answer.status == 204
        assert (answer.headers[VERSION], answer.headers["x-object-current-version-id"]) == (one, two)
        assert (await store("GET", f"{C}/o")).body == b"two"
        three = await write(store, "three")
        answer = await store("DELETE", f"{C}/o", query=f"version-id={three}")
        assert (answer.status, answer.headers["x-object-current-version-id"]) == (204, "null")
        assert (await store("GET", f"{C}/o")).status == 404
        assert await ids(store) == [("o", two, False)]


async def test_suspended(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one")
        await switch(store, enabled=False)
        assert (await store("HEAD", C)).headers["x-versions-enabled"] == "False"
        assert await write(store, "plain") == "null"
        assert await write(store, "again") == "null"
        answer = await store("GET", f"{C}/o")
        assert (answer.body, answer.headers[VERSION]) == (b"again", "null")
        assert (await store("GET", f"{C}/o", query="version-id=null")).body == b"again"
        assert await ids(store) == [("o", "null", True), ("o", one, False)]
        assert (await store("GET", f"{C}/o", query=f"version-id={one}")).body == b"one"
        await switch(store, enabled=True)
        two = await write(store, "two")
        rows = await ids(store)
        assert [row[2] for row in rows] == [True, False, False]
        assert (rows[0][1], rows[2][1]) == (two, one)
        assert (await store("GET", f"{C}/o", query=f"version-id={rows[1][1]}")).body == b"again"
        assert (await store("GET", f"{C}/o", query="version-id=null")).status == 404
        await switch(store, enabled=False)
        assert (await store("DELETE", f"{C}/o")).status == 204
        assert len(await ids(store)) == 3


async def test_large_null_objects_are_kept_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C)
        big = bytes(range(256)) * 1024
        await store.put(f"{C}/o", big, X_Object_Meta_Kind="big", Content_Encoding="x")
        await versioned(store)
        await store.put(f"{C}/o", [b"chunked", b" body"])  # type: ignore[arg-type]
        assert (await store("GET", f"{C}/o")).body == b"chunked body"
        old = (await ids(store))[1][1]
        answer = await store("GET", f"{C}/o", query=f"version-id={old}")
        assert answer.body == big
        assert (answer.headers["x-object-meta-kind"], answer.headers["content-encoding"]) == ("big", "x")
        assert (await versions(store))[0]["bytes"] == 12


async def test_post_changes_the_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one", Content_Type="text/one")
        said = {"content-type": "text/new", "x-object-meta-a": "b"}
        assert (await store("POST", f"{C}/o", headers=said)).status == 202
        answer = await store("HEAD", f"{C}/o")
        assert (answer.headers["content-type"], answer.headers["x-object-meta-a"]) == ("text/new", "b")
        assert await ids(store) == [("o", one, True)]
        assert [row["content_type"] for row in await versions(store)] == ["text/new"]
        assert [row["content_type"] for row in (await store("GET", C, query="format=json")).json] == [
            "text/new"
        ]
        await switch(store, enabled=False)
        assert (await store("POST", f"{C}/o", headers={"content-type": "text/newer"})).status == 202
        assert (await store("HEAD", f"{C}/o")).headers["content-type"] == "text/newer"
        assert (await store("POST", f"{C}/nothing", headers=said)).status == 404


async def test_what_expires_is_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one", X_Delete_After="60")
        await write(store, "posted", "p")
        assert (await store("POST", f"{C}/p", headers={"x-delete-after": "60"})).status == 202
        assert "x-delete-at" in (await store("HEAD", f"{C}/o")).headers
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 61)
        for name in ("o", "p"):
            assert (await store("GET", f"{C}/{name}")).status == 404
        assert (await store("GET", f"{C}/o", query=f"version-id={one}")).body == b"one"
        assert len(await ids(store)) == 2


async def test_if_none_match_looks_at_what_is_current(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        asked = {"if-none-match": "*"}
        assert (await store("PUT", f"{C}/o", b"one", asked)).status == 201
        assert (await store("PUT", f"{C}/o", b"two", asked)).status == 412
        assert (await store("PUT", f"{C}/o", b"two", {"etag": "0" * 32})).status == 422
        assert (await store("PUT", f"{C}/o", b"two", {"x-delete-at": "1"})).status == 400
        assert len(await ids(store)) == 1
        await store("DELETE", f"{C}/o")
        assert (await store("PUT", f"{C}/o", b"two", asked)).status == 201


async def test_a_container_stays_while_it_has_versions(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        one = await write(store, "one")
        marker = (await store("DELETE", f"{C}/o")).headers[VERSION]
        assert (await store("DELETE", C)).status == 409
        await switch(store, enabled=False)
        assert (await store("DELETE", C)).status == 409
        for version in (one, marker):
            assert (await store("DELETE", f"{C}/o", query=f"version-id={version}")).status == 204
        assert (await store("DELETE", C)).status == 204
        assert await store.room.infos.container("AUTH_a", "\0versions\0c", fresh=True) is None
        await store.put(C)
        assert "x-versions-enabled" not in (await store("HEAD", C)).headers


async def test_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        expected = []
        for name in ("a", "b", "b\x01", "c/d", "c/e", "é"):
            made = [(name, await write(store, f"{index}", name), index == 2) for index in range(3)]
            expected += reversed(made)
        marker = (await store("DELETE", f"{C}/b")).headers[VERSION]
        await switch(store, enabled=False)
        await write(store, "null", "c/e")
        expected = [(name, at, latest and name not in ("b", "c/e")) for name, at, latest in expected]
        expected.insert(3, ("b", marker, True))
        expected.insert(
            expected.index(next(row for row in expected if row[0] == "c/e")), ("c/e", "null", True)
        )
        assert await ids(store) == expected
        assert await ids(store, reverse="on") == expected[::-1]
        for limit in (1, 2, 3, 5, 100):
            for reverse in ("", "on"):
                found: list[Any] = []
                query: dict[str, str] = {}
                while page := await ids(store, limit=str(limit), reverse=reverse, **query):
                    assert len(page) <= limit
                    found += page
                    query = {"marker": page[-1][0], "version_marker": page[-1][1]}
                wanted = expected[::-1] if reverse else expected
                assert [row[:2] for row in found] == [row[:2] for row in wanted], (limit, reverse)
                assert [row for row in found if row not in wanted] == [], (limit, reverse)
        assert await ids(store, marker="b", prefix="b") == [row for row in expected if row[0] == "b\x01"]
        assert await ids(store, prefix="c/", limit="2") == [row for row in expected if row[0] == "c/d"][:2]
        assert [row if isinstance(row, str) else row[0] for row in await ids(store, delimiter="/")] == [
            *["a"] * 3, *["b"] * 4, *["b\x01"] * 3, "c/", *["é"] * 3,
        ]  # fmt: skip
        assert {row[0] for row in await ids(store, end_marker="b")} == {"a"}
        for query in ({"delimiter": "1"}, {"version_marker": "null"}, {"marker": "a", "version_marker": "x"}):
            asked = "&".join(["versions", *(f"{name}={value}" for name, value in query.items())])
            assert (await store("GET", C, query=asked)).status == 400
        for asked, accept in (("format=plain", ""), ("format=xml", ""), ("", "text/plain"), ("", "foo/bar")):
            answer = await store(
                "GET", C, query=f"versions&{asked}", headers={"accept": accept} if accept else None
            )
            assert answer.status == 406


async def test_not_with_other_ways_to_keep_copies(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put(C)
        said = {"x-container-sync-to": ("//realm/cluster/a/c", timestamp.now())}
        assert await store.room.cluster.containers.say("AUTH_a", "c", said)
        answer = await store("POST", C, headers={"x-versions-enabled": "true"})
        assert (answer.status, "container syncing" in answer.text) == (400, True)


async def test_concurrent_writes_lose_no_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await versioned(store)
        made = await asyncio.gather(*(write(store, f"{index}") for index in range(20)))
        rows = await ids(store)
        assert sorted(row[1] for row in rows) == sorted(made)
        (latest,) = [row[1] for row in rows if row[2]]
        assert (await store("GET", f"{C}/o")).headers[VERSION] == latest == max(made)


@pytest.mark.parametrize("operation", ["put", "delete", "restore", "remove", "put over null", "enable"])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
async def test_whatever_dies_something_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, is_done: bool
) -> None:
    """Dies before (or after) each request that is made of the layers below, one after the other."""
    async with opened(tmp_path) as store:
        (layer,) = [one for one in store.room.layers.values() if isinstance(one, Middleware)]
        parts = [layer, layer._objects, layer._containers, layer._containers._versions]
        below = layer._next
        steps = 0
        while True:
            path = f"{C}{steps}"
            await versioned(store, path, enabled="false" if operation == "enable" else "true")
            one = (await store.put(f"{path}/o", b"one")).headers.get(VERSION, "null")
            if operation == "put over null":
                await store("POST", path, headers={"x-versions-enabled": "false"})
                await store.put(f"{path}/o", b"null")
                await store("POST", path, headers={"x-versions-enabled": "true"})
            elif operation != "enable":
                await store.put(f"{path}/o", b"two")
            before = await state(store, path)
            dying = dying_after(below, steps, is_done=is_done)
            for part in parts:
                monkeypatch.setattr(part, "_next", dying)
            try:
                await act(store, operation, path, one)
                died = False
            except Died:
                died = True
            for part in parts:
                monkeypatch.setattr(part, "_next", below)
            after = await state(store, path)
            current, kept = after
            if died:
                assert (current == before[0]) or (current == EXPECTED[operation]), (operation, steps, after)
                assert current is None or sum(latest for _, latest in kept) == 1, (operation, steps, after)
                lost = [body for body, _ in before[1] if body not in [now for now, _ in kept]]
                assert lost == [] or operation == "remove", (operation, steps, after)
            else:
                assert current == EXPECTED[operation]
                break
            await act(store, operation, path, one)  # whoever asks again gets what was asked for
            assert (await state(store, path))[0] == EXPECTED[operation]
            steps += 1
        assert steps >= 2


@pytest.mark.parametrize("operation", ["put", "delete", "restore", "remove", "put over null"])
async def test_requests_that_are_broken_off_leave_one_thing_or_the_other(
    tmp_path: Path, operation: str
) -> None:
    """Cancelled wherever they happen to be: a dozen times, spread over the time that the whole takes."""
    async with opened(tmp_path) as store:
        took_s = 0.0
        for number in range(13):
            path = f"{C}{number}"
            await versioned(store, path)
            one = (await store.put(f"{path}/o", b"one")).headers[VERSION]
            if operation == "put over null":
                await store("POST", path, headers={"x-versions-enabled": "false"})
                await store.put(f"{path}/o", b"null")
                await store("POST", path, headers={"x-versions-enabled": "true"})
            else:
                await store.put(f"{path}/o", b"two")
            before = await state(store, path)
            began_at = time.monotonic()
            task = asyncio.create_task(act(store, operation, path, one))
            if number:
                await asyncio.sleep(took_s * number / 13)
                task.cancel()
                await asyncio.wait([task])
                await store.room.finishing.all_ended()
            else:
                await task
                took_s = time.monotonic() - began_at
            current, kept = await state(store, path)
            assert current in (before[0], EXPECTED[operation])
            assert current is None or sum(latest for _, latest in kept) == 1
            lost = [body for body, _ in before[1] if body not in [now for now, _ in kept]]
            assert lost == [] or operation == "remove"
            await act(store, operation, path, one)
            assert (await state(store, path))[0] == EXPECTED[operation]


EXPECTED = {
    "put": b"new",
    "put over null": b"new",
    "delete": None,
    "restore": b"one",
    "remove": None,
    "enable": b"new",
}


async def act(store: Store, operation: str, path: str, one: str) -> Answer:
    match operation:
        case "put" | "put over null":
            return await store("PUT", f"{path}/o", b"new")
        case "delete":
            return await store("DELETE", f"{path}/o")
        case "restore":
            return await store("PUT", f"{path}/o", query=f"version-id={one}")
        case "enable":
            await store("POST", path, headers={"x-versions-enabled": "true"})
            return await store("PUT", f"{path}/o", b"new")
        case _:
            version = (await store("HEAD", f"{path}/o")).headers.get(VERSION)
            return await store("DELETE", f"{path}/o", query=f"version-id={version or one}")


async def state(store: Store, path: str) -> tuple[bytes | None, list[tuple[bytes | None, bool]]]:
    """What is current, and all versions with whether they are the latest."""
    answer = await store("GET", f"{path}/o")
    current = answer.body if answer.status == 200 else None
    rows = (await store("GET", path, query="versions")).json
    kept = []
    for row in rows:
        found = await store("GET", f"{path}/o", query=f"version-id={row['version_id']}")
        kept.append((found.body if found.status == 200 else None, row["is_latest"]))
    return current, kept


def test_refusals_have_upstreams_words() -> None:
    from aerostat.services.object.middleware.object_versioning.names import parse_version

    with pytest.raises(Refusal) as refused:
        parse_version("x")
    assert (refused.value.status, refused.value.text) == (400, "Invalid version parameter")


SECRET = {
    "middleware": {"encryption": {"root_secrets": {"one": "c2VjcmV0" * 8}, "active_root_secret_id": "one"}}
}


@pytest.mark.parametrize("settings", [{}, SECRET], ids=["plain", "encrypted"])
async def test_versions_of_what_other_layers_make(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Large objects, links and encrypted bytes are versions like all others."""
    async with opened(tmp_path, **settings) as store:
        await versioned(store)
        await store.put("/v1/AUTH_a/parts")
        for name in ("one", "two"):
            await store.put(f"/v1/AUTH_a/parts/{name}", name.encode())
        plain = await write(store, "plain", Content_Type="text/plain")
        manifest = b'[{"path": "/parts/one"}, {"path": "/parts/two"}]'
        large = await store("PUT", f"{C}/o", manifest, query="multipart-manifest=put")
        assert large.status == 201, large
        assert (await store("GET", f"{C}/o")).body == b"onetwo"
        (row,) = (await store("GET", C, query="format=json")).json
        assert (row["bytes"], row["slo_etag"]) == (6, large.headers["etag"])
        link = await store("PUT", f"{C}/o", b"", {"x-symlink-target": "parts/two"})
        assert (await store("GET", f"{C}/o")).body == b"two"
        rows = await versions(store)
        assert [row["version_id"] for row in rows] == [
            link.headers[VERSION], large.headers[VERSION], plain,
        ]  # fmt: skip
        assert [row["bytes"] for row in rows] == [0, 6, 5]
        for version, expected in (
            (large.headers[VERSION], b"onetwo"),
            (plain, b"plain"),
            (link.headers[VERSION], b"two"),
        ):
            assert (await store("GET", f"{C}/o", query=f"version-id={version}")).body == expected
            assert (await store("PUT", f"{C}/o", query=f"version-id={version}")).status == 201
            assert (await store("GET", f"{C}/o")).body == expected
            (row,) = (await store("GET", C, query="format=json")).json
            listed = next(row for row in rows if row["version_id"] == version)
            assert {name: row[name] for name in ("bytes", "hash", "content_type")} == {
                name: listed[name] for name in ("bytes", "hash", "content_type")
            }
        await store.put("/v1/AUTH_a/parts/link", b"", X_Symlink_Target="c/o")
        assert (await store("PUT", f"{C}/o", query=f"version-id={large.headers[VERSION]}")).status == 201
        assert (await store("GET", "/v1/AUTH_a/parts/link")).body == b"onetwo"
        copy = await store("COPY", f"{C}/o", headers={"destination": "c/o"}, query=f"version-id={plain}")
        assert (copy.status, (await store("GET", f"{C}/o")).body) == (201, b"plain")
        for hidden in ("%00versions%00c/%00o%00x", "c/%00o"):
            assert (await store("PUT", f"{C}/p", b"", {"x-copy-from": hidden})).status in (400, 412)
            assert (await store("PUT", f"{C}/p", b"", {"x-object-manifest": hidden})).status in (
                201,
                400,
                412,
            )
            assert (await store("GET", f"{C}/p")).body[:5] != b"plain"
