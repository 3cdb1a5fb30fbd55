"""What nobody who has no right to it may do, find out, or make the store do for them."""

import asyncio
import bz2
import hmac
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from aerostat.services.object.realms import signature

from .kit import Answer, Store, opened

USERS = {
    "a:a": {"key": "k", "groups": [".admin"]},
    "a:writer": {"key": "k"},
    "b:b": {"key": "k", "groups": [".admin"]},
}
REALMS = {"r": {"key": "realm key", "clusters": {"here": "http://127.0.0.1:1/v1/"}}}
ON = {"tempauth": {"users": USERS}, "container_sync": {"realms": REALMS}}
AT = "1763870000.12345"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path, middleware=ON) as store:
        yield store


async def user(store: Store, name: str) -> Store:
    sign_in = {"x-auth-user": name, "x-auth-key": "k"}
    return store.as_(x_auth_token=(await store("GET", "/auth/v1.0", headers=sign_in)).headers["x-auth-token"])


def said(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


@pytest.mark.parametrize("who", ["nobody", "b:b"])
async def test_whether_a_container_has_versions_is_not_told(store: Store, who: str) -> None:
    owner = await user(store, "a:a")
    await owner.put("/v1/AUTH_a/plain")
    await owner.put("/v1/AUTH_a/versioned", x_versions_enabled="true")
    stranger = store if who == "nobody" else await user(store, who)
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answers = [
            said(await stranger(method, f"/v1/AUTH_a/{container}/o", query="version-id=1.1"))
            for container in ("plain", "versioned", "none")
        ]
        assert len(set(answers)) == 1, (method, answers)
    for header in ("x-container-sync-to", "x-versions-location", "x-versions-enabled"):
        for method in ("PUT", "POST"):
            answers = [
                said(await stranger(method, f"/v1/AUTH_a/{container}", headers={header: "//r/here/AUTH_a/c"}))
                for container in ("plain", "versioned", "none")
            ]
            assert len(set(answers)) == 1, (header, answers)
    sync = {"x-container-sync-to": "//r/here/AUTH_a/c"}
    answer = await owner("POST", "/v1/AUTH_a/versioned", headers=sync)
    assert (answer.status, "object versioning" in answer.text) == (400, True)
    assert (await owner("GET", "/v1/AUTH_a/plain/o", query="version-id=1.1")).status == 400


@pytest.mark.parametrize("kind", ["x-versions-enabled", "x-history-location"])
async def test_a_writer_cannot_get_round_versions(store: Store, kind: str) -> None:
    owner, writer = await user(store, "a:a"), await user(store, "a:writer")
    await owner.put("/v1/AUTH_a/old")
    value = "true" if kind == "x-versions-enabled" else "old"
    await owner("PUT", "/v1/AUTH_a/c", headers={kind: value, "x-container-write": "a:writer"})
    await owner.put("/v1/AUTH_a/c/o", b"precious")
    for method, body in (("PUT", b"other"), ("DELETE", None)):
        await writer(method, "/v1/AUTH_a/c/o", body, {"x-if-delete-at": "1"})
    if kind == "x-versions-enabled":
        rows = (await owner("GET", "/v1/AUTH_a/c", query="versions")).json
        first = min(row["version_id"] for row in rows)
        kept = await owner("GET", "/v1/AUTH_a/c/o", query=f"version-id={first}")
    else:
        rows = (await owner("GET", "/v1/AUTH_a/old", query="format=json")).json
        kept = await owner("GET", f"/v1/AUTH_a/old/{rows[0]['name']}")
    assert kept.body == b"precious"


async def test_the_key_of_a_container_opens_it_for_writes_of_objects_only(store: Store) -> None:
    owner = await user(store, "a:a")
    await owner.put("/v1/AUTH_a/c", x_container_sync_key="shared")
    await owner.put("/v1/AUTH_a/c/secret", b"secret")
    peer = store.as_(x_container_sync_key="shared", x_timestamp=AT)
    assert (await peer("PUT", "/v1/AUTH_a/c/o", b"sent")).status == 201
    assert (await peer("DELETE", "/v1/AUTH_a/c/o")).status == 204
    for method, path in (
        ("GET", "/v1/AUTH_a/c/secret"),
        ("POST", "/v1/AUTH_a/c/secret"),
        ("GET", "/v1/AUTH_a/c"),
        ("PUT", "/v1/AUTH_a/c"),
        ("POST", "/v1/AUTH_a/c"),
        ("DELETE", "/v1/AUTH_a/c"),
    ):
        assert (await peer(method, path)).status == 401, (method, path)


@pytest.mark.parametrize("method", ["PUT", "COPY", "GET", "POST"])
async def test_a_signature_for_an_object_is_for_no_other(store: Store, method: str) -> None:
    """Who runs a cluster that ours trusts, and has a container here, reads nothing else of ours."""
    owner, other = await user(store, "a:a"), await user(store, "b:b")
    await other.put("/v1/AUTH_b/c")
    await other.put("/v1/AUTH_b/c/secret", b"secret")
    await owner.put("/v1/AUTH_a/c", x_container_sync_key="shared")
    await owner.put("/v1/AUTH_a/c/o", b"own")
    path = "/v1/AUTH_a/c/o"
    signed = signature(method, quote(path), AT, "nonce", "realm key", "shared")
    headers = {"x-timestamp": AT, "x-container-sync-auth": f"r nonce {signed}"}
    if method == "PUT":
        headers |= {"x-copy-from": "c/secret", "x-copy-from-account": "AUTH_b"}
    if method == "COPY":
        headers |= {"destination": "c/written", "destination-account": "AUTH_b"}
    assert (await store(method, path, headers=headers)).status == (400 if method == "PUT" else 401)
    assert (await owner("GET", path)).body == b"own"
    assert (await other("GET", "/v1/AUTH_b/c/written")).status == 404


@pytest.mark.parametrize("name", ["marker", "end_marker", "prefix", "delimiter", "path", "version_marker"])
async def test_a_listing_is_asked_for_in_utf8(store: Store, name: str) -> None:
    owner = await user(store, "a:a")
    await owner.put("/v1/AUTH_a/c", x_versions_enabled="true")
    for path in ("/v1/AUTH_a", "/v1/AUTH_a/c"):
        for more in ("", "&versions", "&reverse=on", "&format=xml"):
            answer = await owner("GET", path, query=f"{name}=%ff{more}")
            if "xml" in more and "versions" in more:
                continue
            assert said(answer) == (400, f'"{name}" parameter not valid UTF-8'.encode()), (path, more)


async def test_listings_in_xml_can_be_read_whatever_the_names(store: Store) -> None:
    owner = await user(store, "a:a")
    for name in ("c", "\ufffe", "\uffff", "\x01", "\x85"):
        await owner.put(f"/v1/AUTH_a/{name}")
        await owner.put(f"/v1/AUTH_a/c/{name}", b"", content_type=f"text/{name}")
    for path in ("/v1/AUTH_a", "/v1/AUTH_a/c"):
        ElementTree.fromstring((await owner("GET", path, query="format=xml")).body)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'[{"path":' + b"[" * 50_000, b'[{"path":"/c/\xff"}]', b"\xff"]
)
async def test_a_manifest_that_is_no_json(store: Store, body: bytes) -> None:
    owner = await user(store, "a:a")
    await owner.put("/v1/AUTH_a/c")
    answer = await owner("PUT", "/v1/AUTH_a/c/m", body, query="multipart-manifest=put")
    assert said(answer) == (400, b"Manifest must be valid JSON.\n")


def member(kind: bytes, size: int, content: bytes = b"", name: str = "c/o") -> bytes:
    """A tar header that says `size`, with what follows it."""
    header = tarfile.TarInfo(name)
    header.type = kind
    raw = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else b"%011o " % size
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize("size", [-1, -512, -(1 << 80)])
async def test_an_archive_with_a_member_of_less_than_nothing_comes_to_an_end(store: Store, size: int) -> None:
    async with asyncio.timeout(10):
        answer = await store("PUT", "/v1/AUTH_a/c", member(b"0", size), query="extract-archive=tar")
    assert "Response Body: Invalid Tar File: invalid header" in answer.text


async def test_a_strangers_archive_is_not_unpacked_for_ever(store: Store) -> None:
    owner = await user(store, "a:a")
    large = member(b"0", 17 << 20, bytes(17 << 20), name="no-container")
    for archive in (bytes(17 << 20), member(b"2", 0) * 33_000, large):
        packed = bz2.compress(archive, 1)
        answer = await store("PUT", "/v1/AUTH_a", packed, query="extract-archive=tar.bz2")
        assert "too much before the first file that is stored" in answer.text
    file = member(b"0", 5, b"bytes") + large
    answer = await owner("PUT", "/v1/AUTH_a", bz2.compress(file), query="extract-archive=tar.bz2")
    assert "Number Files Created: 1" in answer.text
    assert "201 Created" in answer.text


async def test_what_an_archive_says_of_all_its_members_is_bounded(store: Store) -> None:
    def record(number: int) -> bytes:
        text = b"k%06d=%s\n" % (number, b"v" * 900)
        return b"%d %s" % (len(text) + 4, text)

    texts = [b"".join(record(first + index) for index in range(500)) for first in range(0, 5000, 500)]
    archive = b"".join(member(b"g", len(text), text) for text in texts)
    answer = await store("PUT", "/v1/AUTH_a/c", archive, query="extract-archive=tar")
    assert "Invalid Tar File: too many pax headers" in answer.text


FORM = {"content-type": "multipart/form-data; boundary=B"}


async def test_a_form_that_nobody_signed_takes_no_memory_and_leads_nowhere(store: Store) -> None:
    def field(name: str, value: str) -> bytes:
        return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()

    many = b"".join(field(f"f{number}", "v") for number in range(101)) + b"--B--\r\n"
    answer = await store("POST", "/v1/AUTH_a/c/", many, FORM)
    assert said(answer) == (400, b"FormPost: too many fields")
    empty = field("redirect", "javascript:alert(1)") + b"--B--\r\n"
    answer = await store("POST", "/v1/AUTH_a/c/", empty, FORM)
    assert (answer.status, "location" in answer.headers, b"javascript" in answer.body) == (400, False, False)


async def test_a_form_that_only_begins_takes_no_memory(store: Store) -> None:
    pieces = (b"\r\n" * 50_000 for _ in range(200))
    async with asyncio.timeout(10):
        assert (await store("POST", "/v1/AUTH_a/c/", pieces, FORM)).status == 400


async def test_other_bytes_than_utf8_where_they_are_not_looked_for(tmp_path: Path) -> None:
    more = {"info": {"admin_key": "k"}, "domain_remap": {"storage_domain": "example.com"}}
    async with opened(tmp_path, middleware={**ON, **more}) as store:
        owner = await user(store, "a:a")
        await owner("POST", "/v1/AUTH_a", headers={"x-account-meta-temp-url-key": "k"})
        await owner.put("/v1/AUTH_a/c")
        await owner.put("/v1/AUTH_a/c/o", b"bytes")
        until_s = int(time.time()) + 60
        signed = hmac.digest(b"k", f"GET\n{until_s}\n/v1/AUTH_a/c/o".encode(), "sha256").hex()
        asked = f"temp_url_sig={signed}&temp_url_expires={until_s}&filename=%ff"
        assert (await store("GET", "/v1/AUTH_a/c/o", query=asked)).body == b"bytes"
        asked = f"swiftinfo_sig=%ff&swiftinfo_expires={until_s}"
        assert (await store("GET", "/info", query=asked)).status == 401
        host = {"host": "auth-\udcff.example.com"}
        assert said(await store("GET", "/c", headers=host)) == (412, b"Invalid UTF8 or contains NULL")
        asked = "multipart-manifest=delete&version-id=%ff"
        answer = await owner("DELETE", "/v1/AUTH_a/c/o", query=asked)
        assert "Invalid version parameter" in answer.text or "400 Bad Request" in answer.text


@pytest.mark.parametrize("referrer", ["http://[::1", "http://[x]/", "//[", "http://a.good.example@b/"])
async def test_a_page_that_is_none_lets_nobody_in(store: Store, referrer: str) -> None:
    owner = await user(store, "a:a")
    await owner.put("/v1/AUTH_a/c", x_container_read=".r:.good.example")
    await owner.put("/v1/AUTH_a/c/o", b"bytes")
    assert (await store("GET", "/v1/AUTH_a/c/o", headers={"referer": referrer})).status == 401
