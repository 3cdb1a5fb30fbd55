"""What every bus keeps, whatever carries it."""

import asyncio
import time
from datetime import datetime

import msgspec
import pytest
import structlog

from aerostat.kernel.bus import BusGone, BusNobody, BusTimeout, Message, RemoteError
from aerostat.kernel.errors import DriverError, NotFound
from aerostat.kernel.log import bound

from .worlds import World, call_until_answered


class Order(msgspec.Struct, frozen=True):
    name: str
    size_mib: int
    at: datetime | None = None
    data: bytes = b""


async def echo(message: Message) -> object:
    return message.body


async def test_call_brings_work_there_and_the_answer_back(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    seen: list[tuple[str, str]] = []

    async def handle(message: Message) -> Order:
        seen.append((message.topic, message.verb))
        order = message.read(Order)
        return Order(order.name.upper(), order.size_mib * 2, order.at, order.data)

    await server.serve("host.node1", handle)
    order = Order("vol", 512, datetime(2026, 1, 2, 3, 4, 5, 678), b"\x00\xff")
    answer = await call_until_answered(asker, "host.node1", "grow", order)
    assert (answer["name"], answer["size_mib"]) == ("VOL", 1024)
    typed = await asker.call("host.node1", "grow", order, timeout_s=5, into=Order)
    assert typed == Order("VOL", 1024, order.at, order.data)
    assert seen == [("host.node1", "grow")] * 2


async def test_both_ends_may_be_one_bus(world: World) -> None:
    bus = await world.bus()
    await bus.serve("engine", echo)
    assert await call_until_answered(bus, "engine", "say", [1, None, "x"]) == [1, None, "x"]


async def test_bodies_are_never_shared(world: World) -> None:
    bus = await world.bus()
    kept: list[dict[str, list[int]]] = []

    async def keep(message: Message) -> object:
        kept.append(message.body)
        return kept[0]

    await bus.serve("engine", keep)
    body = {"list": [1]}
    answer = await call_until_answered(bus, "engine", "keep", body)
    body["list"].append(2)
    answer["list"].append(3)
    assert kept == [{"list": [1]}]


async def test_drivers_error_crosses_as_itself(world: World) -> None:
    asker, server = await world.bus(), await world.bus()

    class HostFull(DriverError):
        pass

    async def refuse(message: Message) -> object:
        raise HostFull("no room for 512 MiB", detail="128 MiB free", retry=message.body)

    await server.serve("host.node1", refuse)
    for retry in (True, False):
        with pytest.raises(DriverError, match="no room for 512 MiB") as caught:
            await asker.call("host.node1", "create", retry, timeout_s=10)
        assert type(caught.value) is DriverError
        assert (caught.value.detail, caught.value.retry) == ("128 MiB free", retry)


async def test_other_errors_cross_with_type_and_message(world: World) -> None:
    asker, server = await world.bus(), await world.bus()

    class ServerNotFound(NotFound):
        message = "Instance %(id)s could not be found."

    async def fail(message: Message) -> object:
        match message.verb:
            case "find":
                raise ServerNotFound(id="i-1")
            case "unencodable":
                return object()
            case "ill_typed":
                return message.read(Order)
        raise ZeroDivisionError("by zero")

    await server.serve("engine", fail)
    with pytest.raises(RemoteError, match="i-1 could not") as caught:
        await asker.call("engine", "find", timeout_s=10)
    assert caught.value.type == "ServerNotFound"
    with pytest.raises(RemoteError, match="by zero") as caught:
        await asker.call("engine", "divide", timeout_s=10)
    assert caught.value.type == "ZeroDivisionError"
    assert "in fail" in (caught.value.detail or "")
    with pytest.raises(RemoteError) as caught:
        await asker.call("engine", "unencodable", timeout_s=10)
    assert caught.value.type == "TypeError"
    with pytest.raises(RemoteError) as caught:
        await asker.call("engine", "ill_typed", 5, timeout_s=10)
    assert caught.value.type == "ValidationError"


async def test_nobody_serves_the_topic(world: World) -> None:
    asker = await world.bus()
    started = time.monotonic()
    with pytest.raises(BusNobody, match=r"nobody serves host\.node9"):
        await asker.call("host.node9", "create", timeout_s=30)
    assert time.monotonic() - started < 10


async def test_no_answer_in_time(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    await server.serve("engine", echo)
    await call_until_answered(asker, "engine", "warm up")
    release = asyncio.Event()

    async def slow(message: Message) -> object:
        await release.wait()
        return "late"

    await server.serve("slow", slow)
    with pytest.raises(BusTimeout, match=r"slow did not answer work within 0\.3 s"):
        await asker.call("slow", "work", timeout_s=0.3)
    release.set()
    assert await asker.call("slow", "work", timeout_s=5) == "late"
    assert await asker.call("engine", "still there", "yes", timeout_s=5) == "yes"


async def test_those_who_serve_a_topic_compete(world: World) -> None:
    asker, one, two = await world.bus(), await world.bus(), await world.bus()
    done: list[tuple[str, int]] = []

    def worker(name: str):
        async def work(message: Message) -> object:
            done.append((name, message.body))
            return None

        return work

    await one.serve("engine", worker("one"))
    await two.serve("engine", worker("two"))
    await one.serve("engine", worker("one again"))
    await call_until_answered(asker, "engine", "work", 0)
    await asyncio.gather(*(asker.call("engine", "work", number, timeout_s=10) for number in range(1, 40)))
    assert sorted(number for _, number in done) == list(range(40))
    assert {name for name, _ in done} == {"one", "two", "one again"}


async def test_many_calls_at_once_get_their_own_answers(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    await server.serve("engine", echo)
    await call_until_answered(asker, "engine", "warm up")
    answers = await asyncio.gather(*(asker.call("engine", "echo", n, timeout_s=20) for n in range(300)))
    assert answers == list(range(300))


async def test_a_handler_may_call_on(world: World) -> None:
    asker, server = await world.bus(), await world.bus()

    async def pass_on(message: Message) -> object:
        return await server.call("back", message.verb, message.body, timeout_s=5)

    await server.serve("front", pass_on)
    await asker.serve("back", echo)
    assert await call_until_answered(asker, "front", "echo", "round") == "round"
    await server.serve("lost", lambda message: server.call("nowhere", "x", timeout_s=5))
    with pytest.raises(DriverError, match="nobody serves") as caught:
        await asker.call("lost", "x", timeout_s=10)
    assert type(caught.value) is DriverError
    assert caught.value.retry, "the topic that was asked is there: what it lacks is its own error"


async def test_cast_is_a_nudge(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    got: asyncio.Queue[object] = asyncio.Queue()

    async def take(message: Message) -> object:
        if message.body == "fail":
            raise ZeroDivisionError
        await got.put((message.verb, message.body))
        return None

    await server.serve("engine", take)
    await call_until_answered(asker, "engine", "warm up")
    await got.get()
    await asker.cast("engine", "nudge", "fail")
    await asker.cast("engine", "nudge", "go")
    assert await asyncio.wait_for(got.get(), 5) == ("nudge", "go")
    await asker.cast("nobody", "nudge")


async def test_events_reach_every_process_that_wants_them(world: World) -> None:
    one, two = await world.bus(), await world.bus()
    got: dict[str, asyncio.Queue[str]] = {name: asyncio.Queue() for name in ("one", "two", "all")}

    def listener(name: str):
        async def hear(message: Message) -> object:
            await got[name].put(f"{message.verb} {message.body}")
            return None

        return hear

    await one.serve("one", echo)
    await two.serve("two", echo)
    await call_until_answered(one, "two", "warm up")
    await call_until_answered(two, "one", "warm up")
    await one.subscribe("volume.", listener("one"))
    await two.subscribe("volume.created", listener("two"))
    await two.subscribe("", listener("all"))
    for event in ("server.created", "volume.deleted", "volume.created"):
        await one.publish(event, 1)
    async with asyncio.timeout(10):
        assert [await got["one"].get() for _ in range(2)] == ["volume.deleted 1", "volume.created 1"]
        assert await got["two"].get() == "volume.created 1"
        assert sorted([await got["all"].get() for _ in range(3)]) == [
            "server.created 1",
            "volume.created 1",
            "volume.deleted 1",
        ]
    assert all(queue.empty() for queue in got.values())


async def test_request_id_crosses_and_does_not_leak(world: World) -> None:
    asker, server = await world.bus(), await world.bus()

    async def tell(message: Message) -> object:
        return [message.request_id, structlog.contextvars.get_contextvars()]

    await server.serve("engine", tell)
    with bound(request_id="req-1", project_id="p"):
        assert await call_until_answered(asker, "engine", "x") == ["req-1", {"request_id": "req-1"}]
        told = await asker.call("engine", "x", timeout_s=5, request_id="req-2")
        assert told == ["req-2", {"request_id": "req-2"}]
    assert (await asker.call("engine", "x", timeout_s=5))[0] is None
    assert structlog.contextvars.get_contextvars() == {}


async def test_large_bodies(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    await server.serve("engine", echo)
    body = b"x" * (3 * 1024 * 1024)
    assert await call_until_answered(asker, "engine", "echo", body) == body
    with pytest.raises(ValueError, match="too large for the bus"):
        await asker.call("engine", "echo", b"x" * (17 * 1024 * 1024), timeout_s=5)


async def test_closing_ends_waiting_calls(world: World) -> None:
    asker, server = await world.bus(), await world.bus()
    begun = asyncio.Event()

    async def forever(message: Message) -> object:
        begun.set()
        await asyncio.Event().wait()
        return None

    await server.serve("engine", forever)
    call = asyncio.create_task(asker.call("engine", "wait", timeout_s=60))
    await asyncio.wait_for(begun.wait(), 10)
    await asker.close()
    with pytest.raises(BusGone, match="the bus is closed"):
        await asyncio.wait_for(call, 5)
    with pytest.raises(BusGone):
        await asker.call("engine", "again", timeout_s=60)
    await asker.close()


async def test_another_takes_over_when_one_closes(world: World) -> None:
    asker, one, two = await world.bus(), await world.bus(), await world.bus()

    def worker(name: str):
        async def work(message: Message) -> object:
            return name

        return work

    await one.serve("engine", worker("one"))
    await two.serve("engine", worker("two"))
    await call_until_answered(asker, "engine", "work")
    await one.close()
    answers = [await call_until_answered(asker, "engine", "work") for _ in range(4)]
    assert set(answers) == {"two"}
