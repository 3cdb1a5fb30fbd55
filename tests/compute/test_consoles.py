"""Consoles: what a guest wrote, and the WebSockets to its screen and serial line, through a real HTTP server."""

import asyncio
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


async def test_the_screen_through_the_websocket(cloud: Cloud) -> None:
    import socket

    server_id = await cloud.active_server()
    url = await console(cloud, server_id)
    page = await cloud.http.get(url)
    assert page.status_code == 200
    assert "noVNC" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(cloud.house.dispatch, listener):
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
        for bad in (
            websocket_path(url) + "x",
            "/compute/console/websockify",
            f"{serial.path.replace('serial', 'websockify')}?{serial.query}",
        ):
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(address + bad)
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(address + websocket_path(url), origin="http://evil.test")  # type: ignore[arg-type]


async def test_tokens_end(cloud: Cloud, standing_clock: None) -> None:
    from aerostat.services.compute.console import use_token

    server_id = await cloud.active_server()
    token = websocket_path(await console(cloud, server_id)).split("token=")[1]
    assert (await use_token(cloud.db, token, "vnc")) is not None
    assert (await use_token(cloud.db, token, "serial")) is None
    clock.step(seconds=timedelta(hours=1).total_seconds())
    assert (await use_token(cloud.db, token, "vnc")) is None


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
