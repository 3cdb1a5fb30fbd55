"""The local hub: late, dead, restarted and ill-behaved peers, and who may come in."""

import asyncio
import os
import signal
import socket
import stat
import time

import pytest

from aerostat.kernel.bus import (
    BusError,
    BusGone,
    BusNobody,
    BusTimeout,
    Message,
    open_local_bus,
    open_local_hub,
)
from aerostat.kernel.bus import (
    local as local_bus,
)

from .worlds import LocalWorld, call_until_answered


async def echo(message: Message) -> object:
    return message.body


async def test_host_may_start_before_the_hub(local: LocalWorld) -> None:
    host = await open_local_bus(local.path)
    await host.serve("host.node1", echo)
    hub = await local.bus()
    try:
        assert await call_until_answered(hub, "host.node1", "x", 1) == 1
    finally:
        await host.close()


async def test_host_comes_back_to_a_new_hub(local: LocalWorld) -> None:
    hub = await open_local_hub(local.path)
    host = await open_local_bus(local.path)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Message) -> object:
        await heard.put(message.verb)
        return None

    await host.serve("host.node1", echo)
    await host.subscribe("", hear)
    assert await hub.call("host.node1", "x", 1, timeout_s=5) == 1
    await hub.close()
    hub = await open_local_hub(local.path)
    try:
        await hub.serve("engine", echo)
        assert await call_until_answered(hub, "host.node1", "x", 2) == 2
        assert await call_until_answered(host, "engine", "x", 3) == 3
        await hub.publish("hub.is_back")
        assert await asyncio.wait_for(heard.get(), 5) == "hub.is_back"
    finally:
        await host.close()
        await hub.close()


async def test_calls_to_a_killed_process_fail_soon_and_its_successor_answers(local: LocalWorld) -> None:
    hub = await local.bus()
    async with local.child() as process:
        assert await call_until_answered(hub, "host.child", "pid") == process.pid
        call = asyncio.create_task(hub.call("host.child", "sleep", 60, timeout_s=60))
        await asyncio.sleep(0.1)
        process.kill()
        started = time.monotonic()
        with pytest.raises(BusGone, match=r"host\.child went away"):
            await call
        assert time.monotonic() - started < 2
        with pytest.raises(BusNobody):
            await hub.call("host.child", "pid", timeout_s=5)
    async with local.child() as process:
        assert await call_until_answered(hub, "host.child", "pid") == process.pid


async def test_a_process_that_hangs_is_a_timeout(local: LocalWorld) -> None:
    hub = await local.bus()
    async with local.child() as process:
        await call_until_answered(hub, "host.child", "pid")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(BusTimeout):
            await hub.call("host.child", "pid", timeout_s=0.3)
        process.send_signal(signal.SIGCONT)
        assert await hub.call("host.child", "pid", timeout_s=5) == process.pid


async def test_calls_of_a_host_fail_soon_when_the_hub_dies(local: LocalWorld, monkeypatch) -> None:
    monkeypatch.setattr("aerostat.kernel.bus.steady.CONNECT_WAIT_S", 0.3)
    hub = await open_local_hub(local.path)
    host = await open_local_bus(local.path)
    begun = asyncio.Event()

    async def forever(message: Message) -> object:
        begun.set()
        await asyncio.Event().wait()
        return None

    await hub.serve("engine", forever)
    call = asyncio.create_task(host.call("engine", "x", timeout_s=60))
    await asyncio.wait_for(begun.wait(), 5)
    await hub.close()
    try:
        with pytest.raises(BusGone):
            await asyncio.wait_for(call, 2)
        await asyncio.sleep(0.1)
        with pytest.raises(BusGone, match=r"no connection to the hub at .* for \d+ s: .+"):
            await host.call("engine", "x", timeout_s=60)
        await host.cast("engine", "nudge")
        await host.publish("event")
    finally:
        await host.close()


async def test_only_the_owner_may_come_in(local: LocalWorld) -> None:
    await local.bus()
    assert stat.S_IMODE(local.path.stat().st_mode) == 0o600


async def test_a_second_hub_is_refused_and_a_dead_ones_socket_taken(local: LocalWorld) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(local.path))
    hub = await local.bus()
    with pytest.raises(OSError, match="another hub listens"):
        await open_local_hub(local.path)
    await hub.close()
    assert not local.path.exists()


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x04junk", b"\xff\xff\xff\xff", b"\x00\x00", os.urandom(4096)],
    ids=["http", "no frame", "huge", "half", "random"],
)
async def test_nonsense_ends_only_its_own_connection(local: LocalWorld, nonsense: bytes) -> None:
    hub, host = await local.bus(), await local.bus()
    await host.serve("host.node1", echo)
    reader, writer = await asyncio.open_unix_connection(str(local.path))
    writer.write(nonsense)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert await hub.call("host.node1", "x", 1, timeout_s=5) == 1


async def test_a_peer_may_not_answer_for_another(local: LocalWorld) -> None:
    """An answer counts only from the connection that was asked."""
    hub, host = await local.bus(), await local.bus()
    release = asyncio.Event()

    async def wait(message: Message) -> object:
        await release.wait()
        return "true answer"

    await host.serve("host.node1", wait)
    call = asyncio.create_task(hub.call("host.node1", "x", timeout_s=5))
    await asyncio.sleep(0.05)
    _, writer = await asyncio.open_unix_connection(str(local.path))
    for id in range(20):
        local_bus.write_frame(writer, local_bus.decode_frame(_answer(id)))
    await writer.drain()
    await asyncio.sleep(0.05)
    release.set()
    assert await call == "true answer"
    writer.close()


def _answer(id: int) -> bytes:
    from aerostat.kernel.bus.frames import Answer, encode_body, encode_frame

    return encode_frame(Answer(id, encode_body("false answer")))


async def test_a_peer_that_never_reads_is_cut_off(local: LocalWorld, monkeypatch) -> None:
    monkeypatch.setattr(local_bus, "MAX_BACKLOG_BYTES", 1024 * 1024)
    hub = await local.bus()
    async with local.child() as process:
        await call_until_answered(hub, "host.child", "pid")
        process.send_signal(signal.SIGSTOP)
        for _ in range(8):
            await hub.cast("host.child", "work", b"x" * 500_000)
        with pytest.raises(BusError):
            await hub.call("host.child", "pid", timeout_s=2)
        process.send_signal(signal.SIGCONT)
        assert await call_until_answered(hub, "host.child", "pid") == process.pid
