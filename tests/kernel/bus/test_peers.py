"""The other end of a unix socket: root and our own are trusted, strangers are turned away."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from aerostat.kernel.bus import Message, open_local_bus, open_local_hub
from aerostat.kernel.peers import Stranger, check_peer, peer_uid

from .worlds import LocalWorld

STRANGER_UID = 65_533
# Whoever they are afterwards, they find the folder as root, and the socket by its name in it.
BECOME = "import os, socket, sys; os.chdir(sys.argv[1]); os.setuid(int(sys.argv[2])); s = socket.socket(socket.AF_UNIX)"
ASK = "s.connect(sys.argv[3]); print(len(s.recv(9)))"
LISTEN = "s.bind(sys.argv[3]); s.listen(); print('there', flush=True); print(min(len(s.accept()[0].recv(65536)), 1))"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")


def test_the_kernel_says_who(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == os.geteuid()
        check_peer(one)
        monkeypatch.setattr("aerostat.kernel.peers.peer_uid", lambda connection: STRANGER_UID)
        with pytest.raises(Stranger, match=str(STRANGER_UID)):
            check_peer(one)
        check_peer(one, STRANGER_UID)


async def stranger(local: LocalWorld, script: str) -> asyncio.subprocess.Process:
    """A process of another user, in the folder of the hub's socket, which is open to all."""
    local.path.parent.chmod(0o777)
    words = (
        sys.executable,
        "-c",
        f"{BECOME}; {script}",
        str(local.path.parent),
        str(STRANGER_UID),
        local.path.name,
    )
    return await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)


async def line_of(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), 20)


@needs_root
async def test_the_hub_turns_strangers_away(local: LocalWorld) -> None:
    hub = await open_local_hub(local.path)
    try:
        local.path.chmod(0o666)
        process = await stranger(local, ASK)
        assert await line_of(process) == b"0\n", "closed without a word"
        await process.wait()
    finally:
        await hub.close()


@needs_root
@pytest.mark.parametrize(("trusted", "heard"), [(None, b"0\n"), (STRANGER_UID, b"1\n")])
async def test_a_false_hub_hears_nothing(local: LocalWorld, trusted: int | None, heard: bytes) -> None:
    process = await stranger(local, LISTEN)
    assert await line_of(process) == b"there\n"
    bus = await asyncio.wait_for(open_local_bus(local.path, trusted), 20)
    try:
        await bus.serve("host.node1", echo)
        assert await line_of(process) == heard
    finally:
        await bus.close()
        await process.wait()


async def echo(message: Message) -> object:
    return message.body
