"""The bus as rooms see it, and what a way of carrying has to offer it.

`Bus` holds what is the same everywhere: handlers, calls that wait for their answers, errors and the request
id that crosses. A `Transport` moves frames. Bodies are whatever msgspec encodes, and are encoded also when
both ends are in one process, so that nobody shares an object with another role by accident.
"""

import asyncio
import contextvars
import itertools
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

import msgspec
import structlog

from aerostat.kernel.errors import ApiError, DriverError, is_away
from aerostat.kernel.log import bound, get_logger

from .errors import BusError, BusGone, BusTimeout
from .frames import Answer, Call, Cast, Event, Frame, Refusal, Reply, encode_body, error_of, refusal_of

T = TypeVar("T")

log = get_logger(__name__)


class Message:
    """What a handler is given: the verb (or the event's name), and a body to be read as a type.

    `sender` is the queue's user who sent it, as its server vouches for; None on buses inside one machine.
    """

    __slots__ = ("_raw", "request_id", "sender", "topic", "verb")

    def __init__(
        self, topic: str, verb: str, raw: msgspec.Raw, request_id: str | None, sender: str | None = None
    ) -> None:
        self.sender = sender
        self.topic = topic
        self.verb = verb
        self.request_id = request_id
        self._raw = raw

    @property
    def body(self) -> Any:
        """The body as plain dictionaries, lists and scalars."""
        return msgspec.msgpack.decode(self._raw)

    def read(self, type: type[T]) -> T:
        """The body as `type`. Raises msgspec.ValidationError when it is something else."""
        return msgspec.msgpack.decode(self._raw, type=type)


Handler = Callable[[Message], Awaitable[object]]
"""Does the work and returns the answer. May be given the same message twice: what it does must bear that."""


class Transport(Protocol):
    """A way of carrying frames between buses."""

    async def open(self, bus: "Bus") -> None:
        """Begin; from now on hand what arrives to `bus.receive`, or a call to `bus.answer`."""

    async def send(self, call: Call) -> None:
        """Hand a call over. May wait for a connection; raises BusNobody or BusGone."""

    def nudge(self, frame: Frame) -> None:
        """Hand over now or never: without waiting, and without a word when it cannot be."""

    async def serve(self, topic: str) -> None:
        """Take calls for `topic` from now on; when this returns with a connection there, calls arrive."""

    async def follow(self) -> None:
        """Take events from now on."""

    async def close(self) -> None:
        """End, and let the other side know if it can be told."""


class Bus:
    """Calls, casts and events. Handlers run side by side, each in a task of its own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._handlers: dict[str, itertools.cycle[Handler]] = {}
        self._listed: dict[str, list[Handler]] = {}
        self._followers: list[tuple[str, Handler]] = []
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.hears_since_s: float | None = -math.inf
        """When the present connection began, by the loop's clock; None while there is none. Kept by the transport."""

    # --- for rooms ------------------------------------------------------------------------------------------

    async def serve(self, topic: str, handler: Handler) -> None:
        """Answer calls and casts to `topic`. All who serve it compete: each message goes to one of them."""
        handlers = self._listed.setdefault(topic, [])
        handlers.append(handler)
        self._handlers[topic] = itertools.cycle(handlers)
        if len(handlers) == 1:
            await self._transport.serve(topic)

    @overload
    async def call(
        self, topic: str, verb: str, body: object = ..., *, timeout_s: float, request_id: str | None = ...
    ) -> Any: ...

    @overload
    async def call(
        self,
        topic: str,
        verb: str,
        body: object = ...,
        *,
        timeout_s: float,
        request_id: str | None = ...,
        into: type[T],
    ) -> T: ...

    async def call(
        self,
        topic: str,
        verb: str,
        body: object = None,
        *,
        timeout_s: float,
        request_id: str | None = None,
        into: Any = Any,
    ) -> Any:
        """Have the work done and return its result, as plain data or as the type `into`.

        Raises BusNobody when nobody serves the topic (where that can be known), BusTimeout after `timeout_s`
        seconds, BusGone when the other side dies or cannot be reached, DriverError when the handler raised
        one, RemoteError when it raised anything else. The request id is the one bound to the log.
        """
        self._check_open()
        id = next(self._ids)
        call = Call(id, topic, verb, encode_body(body), request_id or _bound_request_id(), timeout_s)
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[id] = answer
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                await self._transport.send(call)
                raw = await answer
        except TimeoutError:
            if not limit.expired():
                raise
            raise BusTimeout(f"{topic} did not answer {verb} within {timeout_s:g} s") from None
        except BusError:
            await asyncio.sleep(0)  # who asks again at once must not starve the loop that is to reconnect
            raise
        finally:
            del self._waiting[id]
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, even where sending failed first
        return msgspec.msgpack.decode(raw, type=into)

    async def cast(
        self, topic: str, verb: str, body: object = None, *, request_id: str | None = None
    ) -> None:
        """Nudge one of those who serve the topic. May be lost; never blocks; nobody answers."""
        self._check_open()
        self._transport.nudge(Cast(topic, verb, encode_body(body), request_id or _bound_request_id()))

    async def publish(self, event: str, body: object = None, *, request_id: str | None = None) -> None:
        """Tell every process that subscribed, this one too. May be lost; never blocks."""
        self._check_open()
        self._transport.nudge(Event(event, encode_body(body), request_id or _bound_request_id()))

    async def subscribe(self, prefix: str, handler: Handler) -> None:
        """Be told of events whose name begins with `prefix`; the message's verb is the event's name."""
        self._followers.append((prefix, handler))
        if len(self._followers) == 1:
            await self._transport.follow()

    @property
    def is_connected(self) -> bool:
        return self.hears_since_s is not None

    def has_heard_for_s(self) -> float:
        """For how long whoever spoke was heard: silence says nothing of a time in which the queue was away."""
        if self.hears_since_s is None:
            return 0.0
        return asyncio.get_running_loop().time() - self.hears_since_s

    async def close(self) -> None:
        """Stop serving. Waiting callers get BusGone; handlers are cancelled, and their callers ask again."""
        if self._closed:
            return
        self._closed = True
        self.lose("the bus is closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    # --- for transports -------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        """Take a frame that arrived. Calls are answered through `nudge`."""
        match frame:
            case Answer(id=id, body=body):
                if (waiting := self._waiting.get(id)) is not None and not waiting.done():
                    waiting.set_result(body)
            case Refusal(id=id):
                if (waiting := self._waiting.get(id)) is not None and not waiting.done():
                    waiting.set_exception(error_of(frame))
            case Call():
                self._spawn(self._answer_by_nudge(frame))
            case Cast():
                self._spawn(self.take(frame))
            case Event():
                for prefix, handler in self._followers:
                    if frame.name.startswith(prefix):
                        self._spawn(self._heed(frame, handler))
            case _:
                log.warning("bus.unexpected_frame", frame=type(frame).__name__)

    async def answer(self, call: Call, sender: str | None = None) -> Reply:
        """Do the work of a call. Never raises, but for being cancelled."""
        with bound(request_id=call.request_id):
            try:
                result = await self._handler(call.topic)(_message(call, sender))
                return Answer(call.id, encode_body(result))
            except (DriverError, ApiError) as error:
                log.info("bus.refused", topic=call.topic, verb=call.verb, error=str(error))
                return refusal_of(call.id, error)
            except Exception as error:
                _log_failure(call.topic, call.verb, error)
                return refusal_of(call.id, error)

    async def take(self, cast: Cast, sender: str | None = None) -> None:
        """Do the work of a cast. A failure is only logged: nobody waits for it."""
        handlers = self._handlers.get(cast.topic)
        if handlers is not None:
            await self._heed(cast, next(handlers), sender)

    def lose(self, reason: str) -> None:
        """The connection is gone: calls that wait for answers over it will not get them."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BusGone(reason))

    def _handler(self, topic: str) -> Handler:
        handlers = self._handlers.get(topic)
        if handlers is None:
            raise DriverError(f"{topic} is not served here", retry=True)
        return next(handlers)

    async def _answer_by_nudge(self, call: Call) -> None:
        self._transport.nudge(await self.answer(call))

    async def _heed(self, frame: Cast | Event, handler: Handler, sender: str | None = None) -> None:
        message = _message(frame, sender)
        with bound(request_id=frame.request_id):
            try:
                await handler(message)
            except Exception as error:
                _log_failure(message.topic, message.verb, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in an empty context: what a caller bound does not leak to a handler that is near by chance."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_open(self) -> None:
        if self._closed:
            raise BusGone("the bus is closed", retry=False)


def _log_failure(topic: str, verb: str, error: Exception) -> None:
    """What is merely away is no failure of the handler's, and would fill the log while it lasts."""
    if is_away(error):
        log.warning("bus.handler_found_away", topic=topic, verb=verb, error=str(error))
    else:
        log.error("bus.handler_failed", topic=topic, verb=verb, exc_info=error)


def _message(frame: Call | Cast | Event, sender: str | None = None) -> Message:
    if isinstance(frame, Event):
        return Message("", frame.name, frame.body, frame.request_id)
    return Message(frame.topic, frame.verb, frame.body, frame.request_id, sender)


def _bound_request_id() -> str | None:
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found
