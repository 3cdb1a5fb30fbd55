"""Consoles: what a guest wrote, and the WebSockets to its screen and serial line, through a real HTTP server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import websockets

from aerostat.app import serving
from aerostat.kernel.clock import clock

from .conftest import Cloud


async def console(cloud: Cloud, server_id: str, protocol: str = "vnc", kind: str = "novnc") -> str:
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    answer = await cloud.ask("POST", f"/servers/{server_id}/remote-consoles", body, version="2.6")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["remote_console"]["url"])


def websocket_path(url: str) -> str:
    return "/" + parse_qs(urlsplit(url).query)["path"][0]


async def test_console_output(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().guest_prints(server_id, "first\nsecond\nthird\n")
    whole = (await cloud.act(server_id, "os-getConsoleOutput", {})).json()["output"]
    assert "Linux version" in whole
    for length in (2, "2"):
        few = await cloud.act(server_id, "os-getConsoleOutput", {"length": length})
        assert few.json() == {"output": "second\nthird"}
    assert (await cloud.act(server_id, "os-getConsoleOutput", {"length": "x"})).status_code == 400
    assert (await cloud.act(server_id, "os-getConsoleOutput", {"length": -7})).status_code == 400


@asynccontextmanager
async def served(cloud: Cloud) -> AsyncIterator[str]:
    """The cloud behind a real HTTP server; gives the address of its WebSockets."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    async with serving(cloud.house.dispatch, listener):
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"


async def test_the_screen_through_the_websocket(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    url = await console(cloud, server_id)
    page = await cloud.http.get(url)
    assert page.status_code == 200
    assert "noVNC" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    async with served(cloud) as address:
        async with websockets.connect(
            address + websocket_path(url),
            subprotocols=["binary"],  # type: ignore[list-item]
        ) as screen:
            assert screen.subprotocol == "binary"
            assert await asyncio.wait_for(screen.recv(), 5) == b"RFB 003.008\n"
            await screen.send(b"RFB 003.008\n")
            assert await asyncio.wait_for(screen.recv(), 5) == b"\x01\x01"  # one kind of security: none
            await screen.send(b"\x01")
            assert await asyncio.wait_for(screen.recv(), 5) == bytes(4)
            await screen.send(b"\x01")
            greeting = await asyncio.wait_for(screen.recv(), 5)
            assert isinstance(greeting, bytes)
            assert greeting.endswith(b"fake")
        serial = urlsplit(await console(cloud, server_id, "serial", "serial"))
        async with websockets.connect(f"{address}{serial.path}?{serial.query}") as line:
            text = await asyncio.wait_for(line.recv(), 5)
            assert text
        unused = await console(cloud, server_id)
        for bad in (
            websocket_path(url),  # used up
            websocket_path(unused) + "x",
            "/compute/console/websockify",
            f"{serial.path.replace('serial', 'websockify')}?{serial.query}",
        ):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(address + bad)
            assert refused.value.response.status_code == 403
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(address + websocket_path(unused), origin="http://evil.test")  # type: ignore[arg-type]


async def test_of_many_connections_one_opens(cloud: Cloud) -> None:
    async with served(cloud) as address:
        url = address + websocket_path(await console(cloud, await cloud.active_server()))
        answers = await asyncio.gather(*(websockets.connect(url) for _ in range(5)), return_exceptions=True)
        opened = [one for one in answers if isinstance(one, websockets.ClientConnection)]
        assert len(opened) == 1
        assert all(isinstance(one, websockets.InvalidStatus) for one in answers if one not in opened)
        await opened[0].close()


async def test_a_console_out_of_reach_costs_no_token(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(path: object) -> None:
        raise FileNotFoundError(path)

    async with served(cloud) as address:
        url = address + websocket_path(await console(cloud, await cloud.active_server()))
        with monkeypatch.context() as patched:
            patched.setattr("aerostat.services.compute.console.bridge.asyncio.open_unix_connection", away)
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(url)
        async with websockets.connect(url) as screen:
            assert await asyncio.wait_for(screen.recv(), 5) == b"RFB 003.008\n"


@pytest.mark.parametrize(
    "line",
    [b"/" + b"x" * 20_000, b"/compute/console/websockify?token=" + b"x" * 20_000, b"/\xc3\xa4", b"/ok"],
    ids=["path", "query", "letters", "short"],
)
async def test_every_request_for_a_websocket_is_answered(cloud: Cloud, line: bytes) -> None:
    async with served(cloud) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
        writer.write(
            b"GET " + line + b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 4")
        writer.close()


async def test_tokens_end(cloud: Cloud, standing_clock: None) -> None:
    from aerostat.services.compute.console import find_console

    server_id = await cloud.active_server()
    token = websocket_path(await console(cloud, server_id)).split("token=")[1]
    assert (await find_console(cloud.db, token, "vnc")) is not None
    assert (await find_console(cloud.db, token, "serial")) is None
    clock.step(seconds=timedelta(hours=1).total_seconds())
    assert (await find_console(cloud.db, token, "vnc")) is None


@pytest.mark.parametrize(
    ("protocol", "kind", "status"),
    [("spice", "spice-html5", 400), ("vnc", "xvpvnc", 400), ("vnc", "odd", 400), ("mks", "webmks", 400)],
)
async def test_kinds_that_are_not_there(cloud: Cloud, protocol: str, kind: str, status: int) -> None:
    server_id = await cloud.active_server()
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    answer = await cloud.ask("POST", f"/servers/{server_id}/remote-consoles", body, version="2.8")
    assert answer.status_code == status


async def test_the_older_calls(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    answer = await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"})
    assert answer.status_code == 200
    assert answer.json()["console"]["type"] == "novnc"
    assert (
        await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"}, version="2.6")
    ).status_code == 400
    assert (await cloud.act(server_id, "os-getSerialConsole", {"type": "serial"})).status_code == 200


async def test_a_console_of_a_stopped_server_is_refused(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    assert (await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"})).status_code == 409
    stranger = await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"}, user="bob")
    assert stranger.status_code == 404
