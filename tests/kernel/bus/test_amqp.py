"""The bus over RabbitMQ when processes die, queues vanish and the server itself goes away and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest

from aerostat.kernel.bus import BusError, BusGone, BusTimeout, Message
from aerostat.kernel.bus.amqp import QUEUE_ARGUMENTS
from tests.servers import Rabbitmq

from .worlds import AmqpWorld, call_until_answered


async def echo(message: Message) -> object:
    return message.body


@asynccontextmanager
async def channel_to(world: AmqpWorld) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    connection = await aio_pika.connect(world.url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def test_queues_are_quorum_queues_with_stable_names(amqp: AmqpWorld) -> None:
    bus = await amqp.bus()
    await bus.serve("engine", echo)
    async with channel_to(amqp) as channel:
        queue = await channel.declare_queue(f"{amqp.prefix}.engine", durable=True, arguments=QUEUE_ARGUMENTS)
        assert queue.declaration_result.consumer_count == 1
        assert QUEUE_ARGUMENTS["x-queue-type"] == "quorum"


async def test_work_of_a_killed_process_goes_to_the_next(amqp: AmqpWorld) -> None:
    """The message was not acknowledged, so another handler gets it, while the caller still waits."""
    asker = await amqp.bus()
    async with amqp.child() as process:
        assert await call_until_answered(asker, "host.child", "pid") == process.pid
        call = asyncio.create_task(asker.call("host.child", "sleep", 60, timeout_s=30))
        await asyncio.sleep(0.3)
        successor = await amqp.bus()
        process.kill()
        await process.wait()

        async def take_over(message: Message) -> object:
            return f"taken over: {message.verb}"

        await successor.serve("host.child", take_over)
        assert await call == "taken over: sleep"


async def test_a_dead_peer_is_a_timeout(amqp: AmqpWorld) -> None:
    asker = await amqp.bus()
    async with amqp.child() as process:
        assert await call_until_answered(asker, "host.child", "pid") == process.pid
    with pytest.raises(BusTimeout, match=r"host\.child did not answer"):
        await asker.call("host.child", "pid", timeout_s=0.5)


async def test_a_call_lives_no_longer_than_its_caller_waits(amqp: AmqpWorld) -> None:
    asker, server = await amqp.bus(), await amqp.bus()
    await server.serve("engine", echo)
    await server.close()
    with pytest.raises(BusTimeout):
        await asker.call("engine", "late", timeout_s=0.3)
    seen: list[str] = []

    async def note(message: Message) -> object:
        seen.append(message.verb)
        return None

    await asyncio.sleep(0.3)
    successor = await amqp.bus()
    await successor.serve("engine", note)
    await call_until_answered(asker, "engine", "fresh")
    assert seen == ["fresh"]


async def test_a_deleted_queue_comes_back(amqp: AmqpWorld) -> None:
    asker, server = await amqp.bus(), await amqp.bus()
    await server.serve("engine", echo)
    async with channel_to(amqp) as channel:
        await channel.queue_delete(f"{amqp.prefix}.engine")
    assert await call_until_answered(asker, "engine", "x", "back") == "back"


async def test_nonsense_in_a_queue_is_dropped(amqp: AmqpWorld) -> None:
    bus = await amqp.bus()
    await bus.serve("engine", echo)
    async with channel_to(amqp) as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"nonsense"), f"{amqp.prefix}.engine")
        await channel.default_exchange.publish(aio_pika.Message(b"nonsense"), f"{amqp.prefix}.events")
        exchange = await channel.get_exchange(f"{amqp.prefix}.events")
        await exchange.publish(aio_pika.Message(b"\x93nonsense"), "")
    assert await bus.call("engine", "x", 1, timeout_s=5) == 1


async def test_a_queue_of_another_shape_is_named_in_the_error(amqp: AmqpWorld, monkeypatch) -> None:
    monkeypatch.setattr("aerostat.kernel.bus.steady.CONNECT_WAIT_S", 0.5)
    async with channel_to(amqp) as channel:
        await channel.declare_queue(f"{amqp.prefix}.engine", durable=True)
    bus = await amqp.bus()
    await bus.serve("engine", echo)
    said = ""
    async with asyncio.timeout(10):
        while "PRECONDITION_FAILED" not in said:
            with pytest.raises(BusError) as caught:
                await bus.call("engine", "x", timeout_s=1)
            said = caught.value.message
    async with channel_to(amqp) as channel:
        await channel.queue_delete(f"{amqp.prefix}.engine")
    assert await call_until_answered(bus, "engine", "x", 1) == 1


async def test_server_gone_and_back(amqp: AmqpWorld, rabbitmq: Rabbitmq, monkeypatch) -> None:
    """Calls fail at once and say why; when the server is back everything works without a hand laid on it."""
    monkeypatch.setattr("aerostat.kernel.bus.steady.CONNECT_WAIT_S", 0.5)
    asker, server = await amqp.bus(), await amqp.bus()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Message) -> object:
        await heard.put(message.verb)
        return None

    async def forever(message: Message) -> object:
        await asyncio.Event().wait()
        return None

    await server.serve("engine", echo)
    await server.serve("slow", forever)
    await server.subscribe("", hear)
    assert await call_until_answered(asker, "engine", "x", 1) == 1
    call = asyncio.create_task(asker.call("slow", "x", timeout_s=60))
    await asyncio.sleep(0.2)
    try:
        await asyncio.to_thread(rabbitmq.stop)
        with pytest.raises(BusGone, match=r"the connection to the message queue .* broke"):
            await asyncio.wait_for(call, 5)
        started = time.monotonic()
        with pytest.raises(BusGone, match=r"no connection to the message queue at .*:\d+ for \d+ s: .+"):
            await asker.call("engine", "x", timeout_s=60)
        assert time.monotonic() - started < 3
        await asker.cast("engine", "nudge")
        await asker.publish("event")
    finally:
        rabbitmq.launch()  # in the main thread: see Server.start
    assert await call_until_answered(asker, "engine", "x", 2) == 2
    async with asyncio.timeout(20):
        while heard.empty():
            await asker.publish("server.back")
            await asyncio.sleep(0.1)
    assert await heard.get() == "server.back"


async def test_server_that_is_not_there_yet(rabbitmq_url: str) -> None:
    world = AmqpWorld(rabbitmq_url.replace(rabbitmq_url.rpartition(":")[2], "1/"))
    bus = await world.bus()
    try:
        await bus.serve("engine", echo)
        with pytest.raises(BusError, match=r"no connection|did not answer"):
            await bus.call("engine", "x", timeout_s=0.3)
    finally:
        await world.close()
