"""Whatever is sent: an answer that is no 500, no file left behind, and nothing left open."""

import asyncio
import os
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from aerostat.services.object.http import front

from .kit import Answer, Store, ask, opened

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS", "TRACE", "PROPFIND", "X")
NAMES = (
    "range", "if-match", "if-none-match", "if-modified-since", "if-range", "etag", "content-type", "expect",
    "content-length", "transfer-encoding", "x-delete-at", "x-delete-after", "x-timestamp", "x-newest", "accept",
    "x-object-manifest", "x-static-large-object", "x-copy-from", "destination", "destination-account", "origin",
    "x-object-meta-a", "x-object-meta-", "x-container-meta-quota-bytes", "x-container-read", "x-container-write",
    "x-storage-policy", "x-symlink-target", "x-versions-location", "x-versions-enabled", "x-fresh-metadata",
    "access-control-request-method", "x-object-sysmeta-crypto-body", "x-container-sync-to", "x-auth-token",
    "x-container-sync-auth", "x-detect-content-type", "x-if-delete-at", "host", "referer", "x-trans-id-extra",
    "multipart-manifest", "x-account-access-control", "x-history-location", "x-open-expired",
)  # fmt: skip
PARAMETERS = (
    "format", "limit", "marker", "end_marker", "prefix", "delimiter", "path", "reverse", "multipart-manifest",
    "bulk-delete", "extract-archive", "symlink", "version-id", "versions", "temp_url_sig", "temp_url_expires",
    "filename", "ignore-errors", "part-number", "swiftinfo_sig", "swiftinfo_expires", "temp_url_ip_range",
)  # fmt: skip
VALUES = (
    "", "*", "bytes=0-", "bytes=-5", "bytes=5-2", "bytes=-", "bytes=0-0,-1", "bytes=99999999999999999999-",
    "bytes=--1", "bytes=1-99999999999999999999999999999", "-1", "0", "1", "1.5", "9" * 30, "9" * 5000, "nan", "inf",
    "٣", "true", "/c/o", "c/o", "/../", "//", "text/html;q=x", "*/*", "json", "xml", "chunked", "100-continue",
    "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Foo 99999 99:99:99 XXX", "1763870000.12345", ".r:*", ".r:", "a:b",
    "a\r\nx-injected: yes", "\0", "\x7f\x01", "ä", "\udcff", "%", "%00", "%ff", "'", '"',
    "d41d8cd98f00b204e9800998ecf8427e",
)  # fmt: skip
CHARACTERS = st.sampled_from(
    [*string.ascii_letters[:4], "/", ".", "%", "ä", "\u2028", "\U0001f600", " ", "?", "\x01"]
)
SOME = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


Work = Callable[[Store], Awaitable[Any]]
Run = Callable[[Work], Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Do something with a store of its own that holds `/v1/A/c/o` and nothing else: what one example says of a
    container or an account must not be met by the next.
    """
    with asyncio.Runner() as runner:

        async def afresh(work: Work) -> Any:
            with TemporaryDirectory() as folder:
                async with opened(Path(folder)) as store:
                    await store.put("/v1/A/c")
                    await store.put("/v1/A/c/o", b"bytes of an object")
                    return await work(store)

        yield lambda work: runner.run(afresh(work))


def values() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(VALUES), st.text(max_size=20).filter(is_sendable))


def is_sendable(text: str) -> bool:
    return "\n" not in text and "\r" not in text


def check(answer: Answer, sent: Any) -> None:
    assert answer.status < 500 or answer.status in (501, 507), sent
    assert answer.status >= 200
    assert "x-injected" not in answer.headers, sent
    for name, value in answer.headers.items():
        assert "\r" not in value, (name, sent)
        assert "\n" not in value, (name, sent)
    assert answer.headers["x-trans-id"].startswith("tx")


def checked(asked: Work) -> Work:
    async def work(store: Store) -> None:
        with capture_logs() as lines:
            check(await asked(store), asked)
        assert [line for line in lines if line["event"] == "unexpected error"] == []
        assert (await store("GET", "/v1/A/c")).status in (200, 204, 404)

    return work


@SOME
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(
        ["/v1/A", "/v1/A/c", "/v1/A/c/o", "/v1/A/c/new", "/v1/A/new", "/info", "/", "/v2/A"]
    ),
    headers=st.dictionaries(st.sampled_from(NAMES), values(), max_size=4),
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), values()), max_size=3),
    body=st.one_of(
        st.none(), st.binary(max_size=50), st.lists(st.binary(min_size=1, max_size=9), max_size=4)
    ),
)
@example("PUT", "/v1/A/c/new", {"content-length": "9" * 5000}, [], b"x")
@example("GET", "/v1/A/c/o", {"range": "bytes=0-0," * 400 + "1-1"}, [], None)
@example("GET", "/v1/A/c", {}, [("limit", "9" * 5000), ("marker", "\0")], None)
@example("POST", "/v1/A/c/o", {"x-delete-at": "٣" * 12}, [], None)
@example("PUT", "/v1/A/c/new", {"content-type": "a\r\nx-injected: yes"}, [], b"x")
def test_headers_and_parameters(
    run: Run, method: str, path: str, headers: Any, query: Any, body: Any
) -> None:
    text = "&".join(f"{name}={quote(value, errors='surrogateescape')}" for name, value in query)

    async def asked(store: Store) -> Answer:
        return await store(method, path, body, headers, query=text)

    run(checked(asked))


@SOME
@given(method=st.sampled_from(METHODS), raw=st.binary(max_size=40))
@example("GET", b"/v1/A/c/%00")
@example("PUT", b"/v1/A/c/%ff%fe")
@example("PUT", b"/v1/A/c/" + b"%c3%a4" * 512)
@example("PUT", b"//v1/A/c/o")
@example("GET", b"")
@example("GET", b"v1/A/c")
@example("DELETE", b"/v1/A/c/%2e%2e/%2e%2e/secret")
def test_paths_of_any_bytes(run: Run, method: str, raw: bytes) -> None:
    async def asked(store: Store) -> Answer:
        return await store(method, "/", b"x" if method == "PUT" else None, raw_path=raw)

    run(checked(asked))


@SOME
@given(name=st.text(CHARACTERS, min_size=1, max_size=30))
@example(".")
@example("..")
@example("../../../etc/passwd")
@example("/leading//and/trailing/")
@example("a" * 1024)
@example("ä" * 512)
@example("\U0001f600" * 256)
def test_any_name_comes_back_as_it_was(run: Run, name: str) -> None:
    async def work(store: Store) -> None:
        assert (await store("PUT", f"/v1/A/c/{name}", b"named")).status == 201
        assert (await store("GET", f"/v1/A/c/{name}")).body == b"named"
        rows = (await store("GET", "/v1/A/c", query="format=json")).json
        assert {row["name"] for row in rows} == {"o", name}
        ElementTree.fromstring((await store("GET", "/v1/A/c", query="format=xml")).body)
        assert (await store("DELETE", f"/v1/A/c/{name}")).status == 204
        assert (await store("GET", "/v1/A/c", query="format=json")).json[1:] == []

    run(work)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/A/c/" + "x" * 1024, 201),
        ("/v1/A/c/" + "x" * 1025, 400),
        ("/v1/A/c/" + "ä" * 512, 201),
        ("/v1/A/c/" + "ä" * 512 + "x", 400),
        ("/v1/A/" + "c" * 256, 201),
        ("/v1/A/" + "c" * 257, 400),
        ("/v1/" + "A" * 257 + "/c", 400),
    ],
)
async def test_one_byte_more_is_too_much(tmp_path: Path, path: str, status: int) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        assert (await store("PUT", path, b"")).status == status


async def test_many_headers_and_long_ones(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        many = {f"x-{index}": "v" for index in range(200)}
        answer = await store("PUT", "/v1/A/c/o", b"", many)
        assert (answer.status, answer.text) == (400, "Too many headers")
        assert answer.headers["connection"] == "close"
        assert (await store("PUT", "/v1/A/c/o", b"", {"x-long": "v" * 8193})).status == 400
        assert (await store("PUT", "/v1/A/c/o", b"", {"x-object-meta-a": "v" * 257})).status == 400
        most = {f"x-object-meta-{index:02}": "v" for index in range(90)}
        assert (await store("PUT", "/v1/A/c/o", b"", most)).status == 201
        assert (await store("PUT", "/v1/A/c/o", b"", {**most, "x-object-meta-x": "v"})).status == 400
    async with opened(tmp_path, limits={"extra_header_count": 200}) as store:
        assert (await store("PUT", "/v1/A/c/o", b"", many)).status == 201


# Bodies that do not keep their word


def kept(folder: Path) -> list[str]:
    """Files of objects, files without a name, and what is open, of a store."""
    opened_files = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            opened_files.append(os.readlink(f"/proc/self/fd/{fd}"))
    opened_here = [f"open {path}" for path in opened_files if path.startswith(str(folder))]
    files = [str(path) for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in opened_here + files if ".db" not in path)


@asynccontextmanager
async def nothing_left(folder: Path) -> AsyncIterator[None]:
    before = kept(folder)
    yield
    for _ in range(100):
        if (after := kept(folder)) == before:
            return
        await asyncio.sleep(0.02)
    assert after == before


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_uploads_that_break_off(tmp_path: Path, size: int, devices: int, encrypted: bool) -> None:
    secret = {"encryption": {"root_secrets": {"1": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}}}
    options = {"middleware": secret} if encrypted else {}
    async with opened(tmp_path, devices=devices, replicas=min(3, devices), **options) as store:
        await store.put("/v1/A/c")
        for index in range(3):  # what is opened once stays
            await store.put("/v1/A/c/warm", bytes(size + index))
            assert (await store("GET", "/v1/A/c/warm")).status == 200
        data = bytes(65_536)
        sent = [data[: min(65_536, size - start)] for start in range(0, size, 65_536)]
        async with nothing_left(tmp_path):
            for length in (size + 1, size * 2, None):
                headers = {"content-length": str(length)} if length is not None else {}
                answer = await store("PUT", "/v1/A/c/o", sent, headers, breaks_off=True)
                assert answer.status == 499
            too_few = await store("PUT", "/v1/A/c/o", sent, {"content-length": str(size + 1)})
            assert too_few.status == 499
            wrong = await store("PUT", "/v1/A/c/o", sent, {"etag": "0" * 32})
            assert wrong.status == 422
            assert (await store("GET", "/v1/A/c/o")).status == 404
        assert (await store("GET", "/v1/A/c")).text == "warm\n"


async def test_more_than_was_promised_is_not_taken(tmp_path: Path) -> None:
    async with opened(tmp_path, limits={"max_file_size": 100_000}) as store:
        await store.put("/v1/A/c")
        async with nothing_left(tmp_path):
            assert (await store("PUT", "/v1/A/c/o", [bytes(60_000)] * 2)).status == 413
            assert (await store("PUT", "/v1/A/c/o", b"", {"content-length": "100001"})).status == 413
            assert (await store("PUT", "/v1/A/c/o", b"", {"content-length": "-1"})).status == 400
            assert (await store("PUT", "/v1/A/c/o", b"", {"content-length": "1e3"})).status == 400
            two = await store("PUT", "/v1/A/c/o", b"x", {"transfer-encoding": "gzip, chunked"})
            assert two.status == 501


@pytest.mark.parametrize("size", [10, 100_000])
async def test_silence_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(front, "SILENCE_LIMIT_S", 0.1)
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        async with nothing_left(tmp_path):
            scope = {
                "type": "http",
                "method": "PUT",
                "path": "/v1/A/c/o",
                "query_string": b"",
                "headers": [(b"content-length", b"%d" % size)],
            }
            messages: list[Any] = []
            told = [{"type": "http.request", "body": b"12345", "more_body": True}]

            async def receive() -> Any:
                if told:
                    return told.pop()
                await asyncio.sleep(60)
                return None

            async def send(message: Any) -> None:
                messages.append(message)

            await asyncio.wait_for(store.room.app(scope, receive, send), 10)
            assert messages[0]["status"] == 408


async def test_bodies_that_trickle_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for long, and never done. What we take our time for is not counted."""
    monkeypatch.setattr(front, "SILENCE_LIMIT_S", 0.2)
    async with opened(tmp_path, slowest_upload_bytes_per_s=500) as store:
        await store.put("/v1/A/c")

        async def upload(piece: bytes, count: int, every_s: float) -> int:
            scope = {
                "type": "http",
                "method": "PUT",
                "path": "/v1/A/c/o",
                "query_string": b"",
                "headers": [(b"content-length", b"%d" % (count * len(piece)))],
            }
            told = count
            statuses: list[int] = []

            async def receive() -> Any:
                nonlocal told
                told -= 1
                await asyncio.sleep(every_s)
                return {"type": "http.request", "body": piece, "more_body": told > 0}

            async def send(message: Any) -> None:
                statuses.append(message.get("status", 0))

            await asyncio.wait_for(store.room.app(scope, receive, send), 20)
            return statuses[0]

        async with nothing_left(tmp_path):
            assert await upload(b"x", 100_000, 0.02) == 408
        assert await upload(bytes(1000), 20, 0.02) == 201


async def test_readers_that_go_away_leave_nothing_open(tmp_path: Path) -> None:
    class Gone(Exception):
        """The server says so."""

    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", bytes(3_000_000))
        assert len((await store("GET", "/v1/A/c/o")).body) == 3_000_000
        scope = {"type": "http", "method": "GET", "path": "/v1/A/c/o", "query_string": b"", "headers": []}
        async with nothing_left(tmp_path):
            for most in (1, 2, 3):
                sent: list[Any] = []

                async def send(message: Any, sent: Any = sent, most: int = most) -> None:
                    sent.append(message)
                    if len(sent) > most:
                        raise Gone

                async def receive() -> Any:
                    return {"type": "http.disconnect"}

                with pytest.raises(Gone):
                    await store.room.app(scope, receive, send)
            quiet = {**scope, "extensions": {front.IS_GONE: lambda: True}}
            answer = await ask(store.room.app, quiet, [])
            assert len(answer.body) < 3_000_000
