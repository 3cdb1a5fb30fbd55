"""`ssh`, `forward` and what carries their bytes, against a stand-in for the host process."""

import asyncio
import socket
import subprocess
import sys

import pytest

from aerostat.cli import CommandError
from aerostat.cli.forward import forward, port_pair
from aerostat.cli.ssh import command_line
from aerostat.kernel.config import load
from aerostat.kernel.errors import DriverError
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.network.host.sockets import SocketServer


class FakeOutside:
    """Connects to loopback whatever address is asked for, and writes down what was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, str, int]] = []

    async def connect(
        self, namespace: str, address: str, port: int, timeout_s: float = 10.0
    ) -> socket.socket:
        self.asked.append((namespace, address, port))
        if port == 9:
            raise DriverError("the guest refused", detail="connection refused")
        made = socket.create_connection(("127.0.0.1", self.port))
        made.setblocking(False)
        return made


@pytest.fixture
async def outside(tmp_path):
    """A cloud's folder, its socket server, and a guest that answers in capitals until the client is done."""

    async def shout(reader, writer):
        while chunk := await reader.read(100):
            writer.write(chunk.upper())
        writer.write(b" done")
        writer.close()

    folder = StateFolder(tmp_path / "s")
    folder.create()
    guest = await asyncio.start_server(shout, "127.0.0.1", 0)
    fake = FakeOutside(guest.sockets[0].getsockname()[1])
    server = SocketServer(fake, folder.host_sockets)
    await server.start()
    yield folder, fake
    await server.close()
    guest.close()


async def test_standard_input_and_output_reach_the_guest(outside):
    folder, fake = outside
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aerostat", "proxy-connect", "--state", str(folder.path), "172.24.4.7", "22"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(b"hello"), 20)
    assert out == b"HELLO done"
    assert fake.asked == [("external", "172.24.4.7", 22)]
    assert process.returncode == 0


async def test_a_refused_connection_says_why(outside):
    folder, _ = outside
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aerostat", "proxy-connect", "--state", str(folder.path), "172.24.4.7", "9"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert b"172.24.4.7 port 9: the guest refused (connection refused)" in complaints
    assert process.returncode == 1


async def test_forward_carries_both_ways(outside):
    folder, fake = outside
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()[1]
    task = asyncio.create_task(forward(load(folder, environ={}), "172.24.4.7", [(here, 80)]))
    for _ in range(100):
        await asyncio.sleep(0.02)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", here)
            break
        except ConnectionRefusedError:
            continue
    writer.write(b"abc")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 10) == b"ABC done"
    assert fake.asked[0][1:] == ("172.24.4.7", 80)
    writer.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("text", "pair"), [("8080:80", (8080, 80)), ("22", (22, 22))])
def test_port_pairs(text, pair):
    assert port_pair(text) == pair


@pytest.mark.parametrize("text", ["", "a:1", "0:1", "1:70000", "1:2:3"])
def test_what_is_no_port_pair(text):
    with pytest.raises(CommandError, match="LOCAL:REMOTE"):
        port_pair(text)


def test_the_command_line_of_ssh(tmp_path):
    folder = StateFolder(tmp_path / "50% off")
    words = command_line(folder, "172.24.4.7", "cloud", 22, "/k", ["echo", "a b"])
    assert words[:2] == ["ssh", "-o"]
    assert words[2].endswith(f"aerostat proxy-connect --state '{tmp_path}/50%% off' %h %p")
    assert words[-8:] == ["-l", "cloud", "-p", "22", "172.24.4.7", "--", "echo", "a b"]
    assert words[words.index("-i") + 1] == "/k"
