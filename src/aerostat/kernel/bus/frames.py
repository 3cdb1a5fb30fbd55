"""What travels: msgpack arrays with a tag. Bodies stay encoded from the one end to the other."""

import traceback

import msgspec

from aerostat.kernel.errors import ApiError, Away, DriverError, is_away

from .errors import BusError, BusGone, BusNobody, RemoteError

MAX_BODY_BYTES = 16 * 1024 * 1024


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """Work for whoever serves `topic`, to be answered by an `Answer` or a `Refusal` of the same id."""

    id: int
    topic: str
    verb: str
    body: msgspec.Raw
    request_id: str | None
    timeout_s: float


class Cast(msgspec.Struct, frozen=True, array_like=True, tag="cast"):
    topic: str
    verb: str
    body: msgspec.Raw
    request_id: str | None


class Event(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    name: str
    body: msgspec.Raw
    request_id: str | None


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    id: int
    body: msgspec.Raw


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """A call that failed, in the handler or on the way."""

    id: int
    error_type: str
    message: str
    detail: str | None
    retry: bool
    away: bool = False


class Join(msgspec.Struct, frozen=True, array_like=True, tag="join"):
    """To a hub: all that the sender serves and whether it wants events; takes the place of earlier ones."""

    id: int
    topics: frozenset[str]
    events: bool


class Joined(msgspec.Struct, frozen=True, array_like=True, tag="joined"):
    id: int


Reply = Answer | Refusal
Frame = Call | Cast | Event | Answer | Refusal | Join | Joined

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Raises msgspec.DecodeError for anything that is not a frame."""
    return _decoder.decode(data)


def encode_body(body: object) -> msgspec.Raw:
    """Raises TypeError for what msgspec cannot encode, ValueError for what is too large to travel."""
    data = _encoder.encode(body)
    if len(data) > MAX_BODY_BYTES:
        raise ValueError(f"a body of {len(data)} bytes is too large for the bus (limit {MAX_BODY_BYTES})")
    return msgspec.Raw(data)


def refusal_of(id: int, error: BaseException) -> Refusal:
    """A handler's error on its way back. A driver's error stays one, and so does its advice."""
    match error:
        case RemoteError():
            return Refusal(id, error.type, error.message, error.detail, error.retry, error.away)
        case DriverError():
            return Refusal(id, "DriverError", error.message, error.detail, error.retry, error.away)
        case ApiError():
            come_again = error.status == 503
            return Refusal(id, type(error).__name__, error.text, error.detail, come_again, error.away)
        case _ if is_away(error):
            return Refusal(id, type(error).__name__, Away.message, str(error), True, True)
        case _:
            trace = "".join(traceback.format_exception(error, limit=-8))
            return Refusal(id, type(error).__name__, str(error), trace, False)


def undelivered(id: int, error: BusError) -> Refusal:
    """What the bus itself says when it cannot deliver a call."""
    return Refusal(id, type(error).__name__, error.message, error.detail, error.retry)


def error_of(refusal: Refusal) -> DriverError:
    """The error to raise in the caller."""
    message, detail, retry = refusal.message, refusal.detail, refusal.retry
    match refusal.error_type:
        case "DriverError":
            return DriverError(message, detail=detail, retry=retry, away=refusal.away)
        case "BusNobody":
            return BusNobody(message, detail=detail, retry=retry)
        case "BusGone":
            return BusGone(message, detail=detail, retry=retry)
        case _:
            return RemoteError(refusal.error_type, message, detail=detail, retry=retry, away=refusal.away)
