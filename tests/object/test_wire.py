"""The store behind a socket, as it is served: requests that no client library would send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aerostat import app_http

from .kit import opened

LIMIT_S = 20.0
Say = Callable[..., Awaitable[bytes]]


@pytest.fixture
async def say(tmp_path: Path) -> AsyncIterator[Say]:
    """Send bytes on a new connection, answer all that comes until the other side closes."""
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        await store.put("/v1/A/c/o", b"bytes", x_object_meta_word="ä")
        listener = app_http.listen("127.0.0.1", 0)
        port = listener.getsockname()[1]

        async def talk(*parts: bytes, is_ended: bool = False) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                if is_ended:
                    writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    return await asyncio.wait_for(reader.read(), LIMIT_S)
                return b""
            finally:
                writer.transport.abort()

        async with app_http.serving(store.room.app, listener):
            yield talk
        assert (await store("GET", "/v1/A/c/o")).body == b"bytes"


def request(line: str, *headers: str, body: bytes = b"", closes: bool = True) -> bytes:
    lines = [line, "Host: h", *headers, *(["Connection: close"] if closes else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def statuses(answer: bytes) -> list[int]:
    parts = answer.split(b"HTTP/1.1 ")[1:]
    return [int(part[:3]) for part in parts]


@pytest.mark.parametrize(
    "line",
    [
        "GET",
        "GET /v1/A/c/o",
        "GET /v1/A/c/o HTTP/9.9",
        "GET /v1/A/c/o HTTP/1.1 more",
        "GET  HTTP/1.1",
        "G\x00T / HTTP/1.1",
        "CONNECT h:80 HTTP/1.1",
        "get /v1/A/c/o HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01",
        "GET /v1/A/c/o\x00 HTTP/1.1",
    ],
)
async def test_bad_request_lines(say: Say, line: str) -> None:
    assert statuses(await say(request(line))) in ([400], [405])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/A/c/o HTTP/1.1", 200),
        ("GET http://elsewhere/v1/A/c/o HTTP/1.1", 200),
        ("GET /v1/A/c/%6f HTTP/1.1", 200),
        ("GET /v1/A/c/o?x=%ff&y=%00 HTTP/1.1", 200),
        ("GET /v1/A/c/o#part HTTP/1.1", 200),
        ("GET /v1/A/c/%00 HTTP/1.1", 412),
        ("GET /v1/A/c/%ff HTTP/1.1", 412),
        ("GET /info%20asdf HTTP/1.1", 412),
        ("GET /v1//c/o HTTP/1.1", 404),
        ("GET /v1/A//o HTTP/1.1", 404),
        ("GET /v1///o HTTP/1.1", 404),
        ("GET / HTTP/1.1", 404),
        ("GET /v1 HTTP/1.1", 412),
        ("GET /v2/A/c HTTP/1.1", 400),
        ("OPTIONS /v1/A/c/o HTTP/1.1", 200),
        ("PROPFIND /v1/A/c/o HTTP/1.1", 405),
    ],
)
async def test_odd_request_lines(say: Say, line: str, status: int) -> None:
    answer = await say(request(line))
    assert statuses(answer) == [status]
    assert b"\r\nx-trans-id: tx" in answer.lower()


@pytest.mark.parametrize("method", ["FROBNICATE", "GETorHEAD_base", "get"])
async def test_methods_that_are_none(say: Say, method: str) -> None:
    assert statuses(await say(request(f"{method} /v1/A/c/o HTTP/1.1"))) == [405]


async def test_http_1_0(say: Say) -> None:
    answer = await say(b"GET /v1/A/c/o HTTP/1.0\r\n\r\n")
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\nbytes")
    assert b"transfer-encoding" not in answer.lower()
    assert b"connection: close" in answer


async def test_headers_in_any_case_and_several_times(say: Say) -> None:
    answer = await say(request("GET /v1/A/c/o HTTP/1.1", "rAnGe: bytes=0-1"))
    assert answer.endswith(b"\r\n\r\nby")
    answer = await say(request("GET /v1/A/c/o HTTP/1.1", "If-Match: x", "if-match: *"))
    assert statuses(answer) == [200]
    assert "x-object-meta-word: ä".encode() in answer.lower()


async def test_one_after_the_other_on_one_connection(say: Say) -> None:
    put = request("PUT /v1/A/c/p HTTP/1.1", "Content-Length: 3", body=b"abc", closes=False)
    chunked = request(
        "PUT /v1/A/c/q HTTP/1.1", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n", closes=False
    )
    missing = request("GET /v1/A/c/none HTTP/1.1", closes=False)
    head = request("HEAD /v1/A/c/q HTTP/1.1", closes=False)
    answer = await say(put + chunked + missing + head + request("GET /v1/A/c/p HTTP/1.1"))
    assert statuses(answer) == [201, 201, 404, 200, 200]
    assert answer.endswith(b"abc")


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Content-Length: 40"),
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: identity, chunked",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Content-Length: +4",),
        ("Content-Length: 4,4",),
        ("Content-Length: 0x4",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length: -4",),
    ],
)
async def test_no_request_is_smuggled_in_a_body(say: Say, headers: Any) -> None:
    """Who reads it the one way and who reads it the other way see the same requests: the first, refused."""
    hidden = request("GET /v1/A/c/o HTTP/1.1", closes=False)
    answer = await say(request("PUT /v1/A/c/s HTTP/1.1", *headers, body=b"0\r\n\r\n" + hidden, closes=False))
    assert statuses(answer) in ([400], [501])
    assert statuses(await say(request("GET /v1/A/c/s HTTP/1.1"))) == [404]


@pytest.mark.parametrize(
    "body",
    [b"zz\r\nabc\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"-3\r\nabc\r\n", b"fffffffffffffffffff\r\n"],
)
async def test_bad_chunks(say: Say, body: bytes) -> None:
    answer = await say(request("PUT /v1/A/c/s HTTP/1.1", "Transfer-Encoding: chunked", body=body))
    assert statuses(answer) == [400]
    assert statuses(await say(request("GET /v1/A/c/s HTTP/1.1"))) == [404]


async def test_headers_cannot_be_broken_apart(say: Say) -> None:
    answer = await say(
        b"PUT /v1/A/c/s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n"
        b"X-Object-Meta-A: one\rX-Injected: yes\r\n\r\n"
    )
    assert statuses(answer) == [400]
    await say(request("PUT /v1/A/c/s HTTP/1.1", "Content-Length: 0", "Content-Type: a%0d%0aX-Injected: yes"))
    assert b"\r\nX-Injected" not in await say(request("GET /v1/A/c/s HTTP/1.1"))


async def test_what_is_refused_before_its_body_came_is_the_last_on_its_connection(say: Say) -> None:
    """The body may come or not: nobody can tell whether what follows is one, or the next request."""
    put = request("PUT /v1/A/none/o HTTP/1.1", "Content-Length: 5", "Expect: 100-continue", closes=False)
    answer = await say(put)
    assert statuses(answer) == [404]
    assert b"connection: close" in answer
    put = request("PUT /v1/A/c/s HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
    assert statuses(await say(put, b"hello")) == [100, 201]


async def test_a_body_without_a_length(say: Say) -> None:
    answer = await say(request("PUT /v1/A/c/s HTTP/1.1", body=b"whatever follows", closes=False))
    assert statuses(answer) == [411]
    assert statuses(await say(request("GET /v1/A/c/s HTTP/1.1"))) == [404]
    assert statuses(await say(request("PUT /v1/A/d HTTP/1.1"))) == [201]
    assert statuses(await say(request("PUT /v1/A/c/s HTTP/1.1", "X-Copy-From: c/o"))) == [201]


async def test_names_stand_in_capitals(say: Say) -> None:
    answer = await say(request("GET /v1/A/c/o HTTP/1.1"))
    assert b"\r\nX-Object-Meta-Word: " in answer


async def test_a_client_that_goes_in_the_middle(say: Say) -> None:
    put = request("PUT /v1/A/c/s HTTP/1.1", "Content-Length: 500000")
    assert await say(put, b"x" * 100_000, is_ended=True) == b""
    assert statuses(await say(request("GET /v1/A/c/s HTTP/1.1"))) == [404]


async def test_names_of_headers_stand_in_capitals(say: Say) -> None:
    """There are clients that compare them as they are."""
    answer = await say(request("GET /v1/A/c/o HTTP/1.1"))
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = {line.partition(b":")[0] for line in lines[1:]}
    assert {b"X-Object-Meta-Word", b"Etag", b"X-Trans-Id", b"Content-Type"} <= names
    assert (b"content-length: 5" in lines, answer.endswith(b"bytes")) == (True, True)


@pytest.mark.parametrize(
    "offer",
    [
        (
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        ),
        ("connection: upgrade", "UPGRADE:foo"),
    ],
)
async def test_an_offer_of_another_protocol_takes_nothing_from_the_request(say: Say, offer: Any) -> None:
    """Java's client offers HTTP/2 with every request."""
    put = request("PUT /v1/A/c/offered HTTP/1.1", "Content-Length: 5", *offer, body=b"bytes", closes=False)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n\r\n"
    put_chunked = request("PUT /v1/A/c/chunked HTTP/1.1", *offer, closes=False)[:-2] + chunked
    said = await say(put, put_chunked, request("GET /v1/A/c/chunked HTTP/1.1"))
    assert said.count(b"HTTP/1.1 201 Created") == 2
    assert said.endswith(b"\r\n\r\nbytes")


async def test_trailers_are_no_headers(say: Say) -> None:
    head = b"PUT /v1/A/c/trailed HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n"
    trailers = b"X-Object-Meta-Word: behind\r\nX-Delete-After: 1\r\n\r\n"
    said = await say(head + trailers + request("GET /v1/A/c/trailed HTTP/1.1"))
    assert b" 201 Created" in said
    assert said.endswith(b"\r\n\r\nbytes")
    assert b"X-Object-Meta-Word" not in said
    assert b"X-Delete-At" not in said
    assert b" 400 " in await say(head + b"".join(b"X-%d: v\r\n" % number for number in range(300)) + b"\r\n")
