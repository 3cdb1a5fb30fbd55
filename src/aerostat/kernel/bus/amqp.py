"""The bus over RabbitMQ, for a cloud of many machines.

Each topic is a durable quorum queue with a stable name, `aerostat.<topic>`; those who serve it compete. A
message is acknowledged when its handler has ended, so that a process that dies leaves its work to the next. A
call lives in the queue no longer than its caller waits. Each process has one exclusive inbox, for answers
and events. What breaks is opened anew as a whole (connection, channels, queues, consumers); calls on their
way fail at once.

Upstream: https://www.rabbitmq.com/docs/quorum-queues, https://docs.aio-pika.com/
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import msgspec
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
)
from aio_pika.exceptions import AMQPException, ChannelInvalidStateError, DeliveryError, PublishError

from aerostat.kernel.ids import short_id
from aerostat.kernel.log import get_logger

from .errors import BusGone, BusNobody
from .frames import Call, Cast, Event, Frame, decode_frame, encode_frame
from .interface import Bus
from .steady import Steady, reason_of

PREFETCH = 64
"""Messages of a topic that one process works on at a time."""

CONNECT_LIMIT_S = 10.0
LONGEST_PAUSE_S = 5.0
HEARTBEAT_S = 10
CAST_LIFE_S = 60.0
"""A nudge that nobody took by then says nothing any more."""

QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-expires": 24 * 3600 * 1000,  # the queue of a host that was taken away goes after a day
    "x-delivery-limit": 5,  # a message that kills whoever takes it is dropped in the end
}
MOST_NUDGES = 1000

log = get_logger(__name__)
logging.getLogger("aiormq.connection").setLevel(
    logging.CRITICAL
)  # each failed attempt; `Steady` says it better


async def open_amqp_bus(url: str, *, prefix: str = "aerostat") -> Bus:
    """A bus over the RabbitMQ at `url`: connected when this returns if it is there, else once it comes.

    `prefix` begins the names of all queues, so that several clouds can share a server.
    """
    bus = Bus(transport := AmqpTransport(url, prefix))
    await transport.open(bus)
    return bus


class AmqpTransport:
    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._topics: set[str] = set()
        self._bus: Bus | None = None
        self._server: Steady[_Session] | None = None
        self._nudges: set[asyncio.Task[None]] = set()

    async def open(self, bus: Bus) -> None:
        self._bus = bus
        at = urlsplit(self._url)
        self._server = Steady(
            f"the message queue at {at.hostname}:{at.port or 5672}",
            self._connect,
            bus.lose,
            errors=(AMQPException, OSError, TimeoutError, ChannelInvalidStateError),
            longest_pause_s=LONGEST_PAUSE_S,
        )
        await self._server.tried()

    async def send(self, call: Call) -> None:
        assert self._server is not None
        session = await self._server.session()
        try:
            await session.post(call, f"{self._prefix}.{call.topic}", life_s=call.timeout_s, must_arrive=True)
        except PublishError:
            raise BusNobody(f"nobody serves {call.topic}") from None
        except DeliveryError:
            raise BusGone(f"the message queue did not take the call to {call.topic}") from None
        except (AMQPException, ChannelInvalidStateError, OSError) as error:
            raise BusGone(f"the connection to the message queue broke: {reason_of(error)}") from None

    def nudge(self, frame: Frame) -> None:
        assert self._server is not None
        if (session := self._server.current) is None or len(self._nudges) >= MOST_NUDGES:
            log.debug("bus.nudge_dropped", frame=type(frame).__name__)
            return
        match frame:
            case Cast():
                posting = session.post(frame, f"{self._prefix}.{frame.topic}", life_s=CAST_LIFE_S)
            case Event():
                posting = session.announce(frame)
            case _:
                raise TypeError(f"a {type(frame).__name__} does not travel by itself over the message queue")
        task = asyncio.get_running_loop().create_task(_attempt(posting))
        self._nudges.add(task)
        task.add_done_callback(self._nudges.discard)

    async def serve(self, topic: str) -> None:
        self._topics.add(topic)
        assert self._server is not None
        if (session := self._server.current) is not None:
            with contextlib.suppress(
                AMQPException, ChannelInvalidStateError, OSError
            ):  # then the session ends
                await session.consume(topic)

    async def follow(self) -> None:
        """Nothing to do: every inbox is bound to the events from the start."""

    async def close(self) -> None:
        for task in self._nudges:
            task.cancel()
        if self._server is not None:
            await self._server.close()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator["_Session"]:
        assert self._bus is not None
        connection = await aio_pika.connect(self._url, timeout=CONNECT_LIMIT_S, heartbeat=HEARTBEAT_S)
        session = _Session(connection, self._bus, self._prefix)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await session.open()
                while missing := self._topics - session.consumed:  # may grow while we wait for the server
                    await session.consume(missing.pop())
            yield session
        finally:
            session.stop()
            with contextlib.suppress(AMQPException, ChannelInvalidStateError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    await connection.close()


class _Session:
    """One connection with its channels, inbox and consumers, to be thrown away whole."""

    def __init__(self, connection: AbstractConnection, bus: Bus, prefix: str) -> None:
        self.consumed: set[str] = set()
        self._connection = connection
        self._bus = bus
        self._prefix = prefix
        self._inbox = f"{prefix}.inbox.{short_id()}"
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._working: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Channels, the exchange of events, and the inbox."""
        self._connection.close_callbacks.add(self._on_close)
        self._posting: AbstractChannel = await self._channel()
        self._taking: AbstractChannel = await self._channel()
        await self._taking.set_qos(prefetch_count=PREFETCH)
        self._events: AbstractExchange = await self._posting.declare_exchange(
            f"{self._prefix}.events", aio_pika.ExchangeType.FANOUT, durable=True
        )
        inbox = await self._taking.declare_queue(self._inbox, exclusive=True, auto_delete=True)
        await inbox.bind(self._events)
        await inbox.consume(self._read_inbox, no_ack=True)

    async def consume(self, topic: str) -> None:
        name = f"{self._prefix}.{topic}"
        queue = await self._taking.declare_queue(name, durable=True, arguments=QUEUE_ARGUMENTS)
        await queue.consume(self._take)
        self.consumed.add(topic)

    async def post(self, frame: Frame, queue: str, *, life_s: float, must_arrive: bool = False) -> None:
        """Put a frame into a queue; returns when the server has it."""
        message = aio_pika.Message(
            encode_frame(frame),
            expiration=life_s,
            reply_to=self._inbox,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._posting.default_exchange.publish(message, queue, mandatory=must_arrive)

    async def announce(self, event: Event) -> None:
        await self._events.publish(aio_pika.Message(encode_frame(event)), "", mandatory=False)

    async def ended(self) -> str:
        return await self._lost

    def stop(self) -> None:
        """Leave off what is being worked on. It was not acknowledged, so the server gives it to another."""
        for task in self._working:
            task.cancel()

    async def _channel(self) -> AbstractChannel:
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        channel.close_callbacks.add(self._on_close)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancel)
        return channel

    def _on_close(self, _sender: object, error: BaseException | None) -> None:
        self._end(reason_of(error) if error else "closed")

    def _on_cancel(self, _frame: object) -> None:
        """The server took a queue from under us: somebody deleted it, or its leader is gone."""
        self._end("a queue was taken away")

    def _end(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    async def _read_inbox(self, message: AbstractIncomingMessage) -> None:
        if (frame := _frame_of(message)) is not None:
            self._bus.receive(frame)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        """Work on one message of a topic, in a task that ends with the session."""
        task = asyncio.get_running_loop().create_task(self._work(message))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work(self, message: AbstractIncomingMessage) -> None:
        match _frame_of(message):
            case Call() as call:
                reply = await self._bus.answer(call)
                answer = aio_pika.Message(encode_frame(reply))
                if message.reply_to:
                    posting = self._posting.default_exchange.publish(
                        answer, message.reply_to, mandatory=False
                    )
                    await _attempt(posting)
            case Cast() as cast:
                await self._bus.take(cast)
        await _attempt(message.ack())


def _frame_of(message: AbstractIncomingMessage) -> Frame | None:
    try:
        return decode_frame(message.body)
    except msgspec.DecodeError as error:
        log.error("bus.nonsense_in_queue", queue=message.routing_key, error=str(error))
        return None


async def _attempt(posting: Coroutine[Any, Any, Any]) -> None:
    """Try; when the connection breaks meanwhile, the message is lost or comes again, and both are fine."""
    try:
        await posting
    except (AMQPException, ChannelInvalidStateError, OSError) as error:
        log.debug("bus.not_sent", error=str(error))
