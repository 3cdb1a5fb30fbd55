"""The bus over RabbitMQ, for a cloud of many machines.

Each topic is a durable quorum queue with a stable name, `aerostat.<topic>`; those who serve it compete. A
message is acknowledged when its handler has ended, so that a process that dies leaves its work to the next. A
call lives in the queue no longer than its caller waits. Each process has one exclusive inbox, for answers
and events. What breaks is opened anew as a whole (connection, channels, queues, consumers); calls on their
way fail at once.

Everything goes through two topic exchanges, `aerostat.calls` and `aerostat.events`, so that the server can hold a
user to the topics that are its own (`broker.py` writes those rules for compute hosts). What the server cannot
check is checked here: who a message is from stands in it and is vouched for by the server; an answer shows that
its sender was given the call; what says another topic than it came by is dropped.

Upstream: https://www.rabbitmq.com/docs/quorum-queues, https://www.rabbitmq.com/docs/access-control,
https://docs.aio-pika.com/
"""

import asyncio
import contextlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import aio_pika
import msgspec
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
)
from aio_pika.exceptions import (
    AMQPException,
    AuthenticationError,
    ChannelInvalidStateError,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    InvalidFrameError,
)

from aerostat.kernel.log import get_logger

from .errors import BusAway, BusGone, BusNobody, BusRefused
from .frames import Answer, Call, Cast, Event, Frame, Refusal, decode_frame, encode_frame
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


_REFUSED = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed, InvalidFrameError)


async def open_amqp_bus(url: str, *, prefix: str = "aerostat", founds: bool = True) -> Bus:
    """A bus over the RabbitMQ at `url`: connected when this returns if it is there, else once it comes.

    `amqps://…?cafile=/path` is TLS; the server's name must be in its certificate. `prefix` begins the names of all
    queues, so that several clouds can share a server. `founds`: make the exchanges if they are not there, which a
    compute host's user may not. Raises `BusRefused` when the server is there and will not have us.
    """
    bus = Bus(transport := AmqpTransport(url, prefix, founds))
    await transport.open(bus)
    return bus


async def count_listeners(
    url: str, topics: Iterable[str], *, limit_s: float, prefix: str = "aerostat"
) -> dict[str, int]:
    """How many serve each topic; those that this user may not look at, or that never were, are left out.

    Raises `BusRefused` when the server will not have us, `BusAway` when it does not answer.
    """
    name = name_of_queue(url)
    found = {}
    try:
        async with asyncio.timeout(limit_s):
            connection = await aio_pika.connect(url, timeout=limit_s)
            try:
                for topic in topics:
                    channel = await connection.channel()
                    with contextlib.suppress(ChannelNotFoundEntity, ChannelAccessRefused):
                        queue = await channel.declare_queue(f"{prefix}.{topic}", passive=True)
                        found[topic] = queue.declaration_result.consumer_count or 0
            finally:
                await connection.close()
    except _REFUSED as error:
        at = urlsplit(url)
        user = unquote(at.username or "guest")
        raise BusRefused(f"{name} refuses user {user}: {_refusal_of(error, at.path)}") from None
    except (AMQPException, OSError, TimeoutError, ChannelInvalidStateError) as error:
        raise BusAway(f"{name} does not answer: {reason_of(error)}") from None
    return found


def name_of_queue(url: str) -> str:
    """The server at `url` in words, without who asks it."""
    at = urlsplit(url)
    return f"the message queue at {at.hostname}:{at.port or (5671 if at.scheme == 'amqps' else 5672)}"


def _refusal_of(error: Exception, path: str) -> str:
    """The library does not tell what the server said when it closed instead of opening the virtual host."""
    if isinstance(error, InvalidFrameError):
        return f"there is no virtual host {unquote(path[1:]) or '/'}, or the user may not enter it"
    return reason_of(error)


class AmqpTransport:
    def __init__(self, url: str, prefix: str, founds: bool) -> None:
        self._url = url
        self._prefix = prefix
        self._founds = founds
        self._user = unquote(urlsplit(url).username or "guest")
        self._topics: set[str] = set()
        self._follows = False
        self._bus: Bus | None = None
        self._server: Steady[_Session] | None = None
        self._nudges: set[asyncio.Task[None]] = set()

    async def open(self, bus: Bus) -> None:
        self._bus = bus
        bus.hears_since_s = None
        name, path = name_of_queue(self._url), urlsplit(self._url).path
        self._server = Steady(
            name,
            self._connect,
            bus.lose,
            errors=(AMQPException, OSError, TimeoutError, ChannelInvalidStateError),
            longest_pause_s=LONGEST_PAUSE_S,
        )
        await self._server.tried()
        if isinstance(self._server.error, _REFUSED):
            await self._server.close()
            raise BusRefused(f"{name} refuses user {self._user}: {_refusal_of(self._server.error, path)}")

    async def send(self, call: Call) -> None:
        assert self._server is not None
        session = await self._server.session()
        try:
            await session.post(call, call.topic, life_s=call.timeout_s, must_arrive=True)
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
                posting = session.post(frame, frame.topic, life_s=CAST_LIFE_S)
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
        self._follows = True
        assert self._server is not None
        if (session := self._server.current) is not None:
            with contextlib.suppress(AMQPException, ChannelInvalidStateError, OSError):
                await session.follow()

    async def close(self) -> None:
        for task in self._nudges:
            task.cancel()
        if self._server is not None:
            await self._server.close()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator["_Session"]:
        assert self._bus is not None
        connection = await aio_pika.connect(self._url, timeout=CONNECT_LIMIT_S, heartbeat=HEARTBEAT_S)
        session = _Session(connection, self._bus, self._prefix, self._user)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await session.open(founds=self._founds)
                if self._follows:
                    await session.follow()
                while missing := self._topics - session.consumed:  # may grow while we wait for the server
                    await session.consume(missing.pop())
            self._bus.hears_since_s = asyncio.get_running_loop().time()
            yield session
        finally:
            self._bus.hears_since_s = None
            session.stop()
            with contextlib.suppress(AMQPException, ChannelInvalidStateError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    await connection.close()


class _Session:
    """One connection with its channels, inbox and consumers, to be thrown away whole."""

    def __init__(self, connection: AbstractConnection, bus: Bus, prefix: str, user: str) -> None:
        self.consumed: set[str] = set()
        self._connection = connection
        self._bus = bus
        self._prefix = prefix
        self._user = user
        self._inbox = f"inbox.{user}.{secrets.token_hex(16)}"
        self._seal_key = secrets.token_bytes(32)
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._working: set[asyncio.Task[None]] = set()

    async def open(self, *, founds: bool) -> None:
        """Channels, exchanges and the inbox."""
        self._connection.close_callbacks.add(self._on_close)
        self._posting: AbstractChannel = await self._channel()
        self._taking: AbstractChannel = await self._channel()
        await self._taking.set_qos(prefetch_count=PREFETCH)
        self._calls = await self._exchange("calls", founds)
        self._events = await self._exchange("events", founds)
        self._own = await self._taking.declare_queue(
            f"{self._prefix}.{self._inbox}", exclusive=True, auto_delete=True
        )
        await self._own.bind(self._calls, self._inbox)
        await self._own.consume(self._read_inbox, no_ack=True)

    async def follow(self) -> None:
        await self._own.bind(self._events, "#")

    async def consume(self, topic: str) -> None:
        name = f"{self._prefix}.{topic}"
        queue = await self._taking.declare_queue(name, durable=True, arguments=QUEUE_ARGUMENTS)
        await queue.bind(self._calls, topic)
        await queue.consume(self._take)
        self.consumed.add(topic)

    async def post(self, frame: Call | Cast, topic: str, *, life_s: float, must_arrive: bool = False) -> None:
        """Put a frame into a topic's queue; returns when the server has it."""
        message = aio_pika.Message(
            encode_frame(frame),
            expiration=life_s,
            reply_to=self._inbox,
            correlation_id=self._seal(frame.id) if isinstance(frame, Call) else None,
            user_id=self._user,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await _publish(self._calls, message, topic, must_arrive=must_arrive)

    async def announce(self, event: Event) -> None:
        message = aio_pika.Message(encode_frame(event), user_id=self._user)
        await _publish(self._events, message, event.name)

    async def ended(self) -> str:
        return await self._lost

    def stop(self) -> None:
        """Leave off what is being worked on. It was not acknowledged, so the server gives it to another."""
        for task in self._working:
            task.cancel()

    async def _exchange(self, name: str, founds: bool) -> AbstractExchange:
        full_name = f"{self._prefix}.{name}"
        if founds:
            return await self._posting.declare_exchange(full_name, aio_pika.ExchangeType.TOPIC, durable=True)
        return await self._posting.get_exchange(full_name, ensure=False)

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
        match _frame_of(message):
            case Answer(id=id) | Refusal(id=id) as reply:
                if hmac.compare_digest(message.correlation_id or "", self._seal(id)):
                    self._bus.receive(reply)
                else:
                    log.error("bus.forged_answer", sender=message.user_id)
            case Event() as event if message.exchange == self._events.name:
                self._bus.receive(event)
            case None:
                pass
            case frame:
                log.error("bus.unexpected_frame", frame=type(frame).__name__, sender=message.user_id)

    def _seal(self, call_id: int) -> str:
        """Shown by an answer, so that only those who were given the call can have made it."""
        return hmac.digest(self._seal_key, call_id.to_bytes(8, "big"), "sha256").hex()[:32]

    async def _take(self, message: AbstractIncomingMessage) -> None:
        """Work on one message of a topic, in a task that ends with the session."""
        task = asyncio.get_running_loop().create_task(self._work(message))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work(self, message: AbstractIncomingMessage) -> None:
        match _frame_of(message):
            case Call(topic=topic) | Cast(topic=topic) if topic != message.routing_key or not message.user_id:
                log.error("bus.misdirected", topic=topic, queue=message.routing_key, sender=message.user_id)
            case Call() as call:
                reply = await self._bus.answer(call, message.user_id)
                answer = aio_pika.Message(
                    encode_frame(reply), correlation_id=message.correlation_id, user_id=self._user
                )
                if message.reply_to:
                    await _attempt(_publish(self._calls, answer, message.reply_to))
            case Cast() as cast:
                await self._bus.take(cast, message.user_id)
        await _attempt(message.ack())


async def _publish(
    exchange: AbstractExchange, message: aio_pika.Message, key: str, *, must_arrive: bool = False
) -> None:
    """Returns when the server has it. A connection that closes meanwhile is a plain `Exception` to the library."""
    try:
        await exchange.publish(message, key, mandatory=must_arrive)
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ChannelInvalidStateError("closed while a message was sent") from error


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
