"""Sockets cross from one process to another, here over the fake host driver."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.network.drivers.fake import FakeHostNetworkDriver
from aerostat.services.network.host.sockets import SocketClient, SocketServer


@pytest.fixture
async def driver() -> FakeHostNetworkDriver:
    return FakeHostNetworkDriver()


@pytest.fixture
async def path(driver: FakeHostNetworkDriver, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "sockets"
    server = SocketServer(driver, path)
    await server.start()
    yield path
    await server.close()


async def test_a_listener_and_a_connection_come_over(path: Path) -> None:
    client, loop = SocketClient(path), asyncio.get_running_loop()
    listener = await client.listen("external", "172.24.4.1", 80)
    connection = await client.connect("external", "172.24.4.1", 80)
    accepted, _ = await loop.sock_accept(listener)
    await loop.sock_sendall(connection, b"over")
    assert await loop.sock_recv(accepted, 10) == b"over"
    for one in (listener, connection, accepted):
        one.close()


async def test_only_the_owner_may_ask(path: Path) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_the_drivers_refusal_arrives_whole(path: Path, driver: FakeHostNetworkDriver) -> None:
    driver.fail("listen", error=DriverError("no such place", detail="for the log", retry=True))
    with pytest.raises(DriverError, match="no such place") as caught:
        await SocketClient(path).listen("external", "172.24.4.1", 80)
    assert (caught.value.detail, caught.value.retry) == ("for the log", True)
    with pytest.raises(DriverError, match="no namespace"):
        await SocketClient(path).listen("metadata/unknown", "169.254.169.254", 80)


async def test_without_a_server_it_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(DriverError) as caught:
        await SocketClient(tmp_path / "nobody").listen("external", "172.24.4.1", 80)
    assert caught.value.retry


async def test_nonsense_is_answered_and_harms_nobody(path: Path) -> None:
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
        "s.connect(sys.argv[1]); s.send(b'nonsense'); print(s.recv(1000).decode())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert b"not understood" in printed
    (await SocketClient(path).listen("external", "172.24.4.1", 80)).close()


async def test_many_ask_at_once(path: Path) -> None:
    client = SocketClient(path)
    listeners = await asyncio.gather(*(client.listen("external", "172.24.4.1", port) for port in range(50)))
    assert len({one.getsockname() for one in listeners}) == 50
    for one in listeners:
        one.close()


async def test_a_successor_takes_the_path_over(path: Path, driver: FakeHostNetworkDriver) -> None:
    successor = SocketServer(driver, path)
    await successor.start()
    (await SocketClient(path).listen("external", "172.24.4.1", 80)).close()
    await successor.close()
