"""HTTP connections as uvicorn serves them, with an end to everything that a client could go on with for ever.

uvicorn leaves to what stands before it: how long the head of a request may be, how many headers it may have, how long
it may take to come, for how long nobody reads an answer, how much may be sent after the answer is given, and how many
may be connected (`crowd`). Nothing stands before us. And it reads no line with spaces or raw UTF-8 in its path, which
clients of object stores send. Who ends only its own half of a connection is waiting for an answer, and gets it.

Applications may ask `scope["extensions"]["aerostat.is_gone"]()` whether anybody is still there to be answered.
"""

import asyncio
import re
import string
import sys
from typing import Any
from urllib.parse import quote_from_bytes

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aerostat.kernel.http.crowd import Crowd

MOST_HEAD_BYTES = 96 << 10
MOST_LINE_BYTES = 16 << 10
"""Of the path and the query."""
MOST_HEADERS = 256
HEAD_LIMIT_S = 60.0
"""From a request's first byte to the end of its head; and for a new connection to say anything at all."""
UNREAD_LIMIT_S = 60.0
"""An answer of which nothing is taken for so long is broken off."""
ANSWER_LIMIT_S = 0.5
"""For the application's own answer to a request whose body makes no sense; then it is a 400."""
MOST_UNWANTED_BYTES = 1 << 20
"""Of a body that goes on after the answer to it, and of all that comes after the last answer."""
UNWANTED_LIMIT_S = 10.0
"""It must have come to its end by then: pieces that trickle would hold the connection for ever."""

VERSIONS = ("1.0", "1.1")
_OFFER = re.compile(rb"\r\nupgrade[ \t]*:([^\r\n]*)", re.IGNORECASE)
IS_GONE = "aerostat.is_gone"

_PAGES = {
    400: (b"Bad Request", b"The head of the request is too large."),
    405: (b"Method Not Allowed", b"There is no such method."),
    408: (b"Request Timeout", b"The head of the request did not come in time."),
    417: (b"Expectation Failed", b"Nothing is expected of us but 100-continue."),
    414: (b"Request-URI Too Long", b"The request's line is too long."),
    503: (b"Service Unavailable", b"Too many are connected. Please try again later."),
}


class _Refused(Exception):
    """A head; `status` is the answer."""

    def __init__(self, status: int) -> None:
        self.status = status


class HttpProtocol(HttpToolsProtocol):
    """One connection. Whether it is let in is told by `config.crowd`, which all of a server have."""

    address = ""
    """Of the client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._is_in_head = True
        self._head_bytes = 0
        self._has_completed = False
        """With what was received last: most of that was a body."""
        self._is_over = False
        """Nothing that comes now is read: it made no sense, or was too much."""
        self._refusal: int | None = None
        self._unwanted_bytes = 0
        self._trailers = 0
        self._unread_timer: asyncio.TimerHandle | None = None
        self._unwanted_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_LIMIT_S, self._head_late)
        super().connection_made(transport)
        self._crowd: Crowd = self.config.crowd  # type: ignore[attr-defined]
        if self.client is not None:
            self.address = self.client[0]
        if not self._crowd.enter(self):
            self._say(503)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._stop_head_timer()
        self._stop_unwanted_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._drop(len(data))
            return
        if self._is_in_head and not self._head_bytes:
            data = _without_offers(_readable(data))
        self._has_completed = False
        super().data_received(data)
        if self._is_in_head and not self._has_completed and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(400)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Nothing more will come. True: what came is still to be answered."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self._is_over:
            return None
        cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed, and what a limit of ours made an end of."""
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self.cycle is None or self.cycle.response_complete:
            if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
                self._refuse(405)
            else:
                self._refuse(400, msg.encode())
        else:  # an answer is under way: another one would be read as a part of it
            self._is_over = True
            self.cycle.keep_alive = False
            if self.cycle.more_body:
                self.loop.call_later(ANSWER_LIMIT_S, self._refuse, 400, msg.encode())

    def give_way(self) -> None:
        """See `Guest`."""
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        self._crowd.leave(self)
        super().handle_websocket_upgrade()

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._is_asking_more = False
        """It expects what we do not know."""
        self._head_bytes = self._unwanted_bytes = self._trailers = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self._head_late)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MOST_LINE_BYTES:
            self._end(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """What comes behind the chunks of a body is no header: it would count or not as it happens to come."""
        if self._is_in_head:
            super().on_header(name, value)
            if self.headers[-1][0] == b"expect":
                expected = {one.strip() for one in value.lower().split(b",")}
                self.expect_100_continue |= b"100-continue" in expected
                self._is_asking_more |= bool(expected - {b"100-continue"})
        else:
            self._trailers += 1
        if len(self.headers) + self._trailers > MOST_HEADERS:
            self._end(400)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_head_timer()
        if (version := self.parser.get_http_version()) not in VERSIONS:
            self._end(400)
        if version == "1.0":
            self.expect_100_continue = (
                False  # it was not known then, and the client would take 100 for the answer
            )
        elif self._is_asking_more:
            self._end(417)
        before = self.cycle
        super().on_headers_complete()
        if (cycle := self.cycle) is not before:
            self._crowd.work(self)
            extensions: Any = {IS_GONE: lambda: cycle.disconnected}
            self.scope["extensions"] = extensions

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None and self.cycle.response_complete:
            self._drop(len(body))
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_head = self._has_completed = True
        self._head_bytes = 0
        self._stop_unwanted_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.cycle.response_complete:
            return  # the next request came before this answer
        self._crowd.wait(self)
        if self.cycle.more_body and not self.transport.is_closing():
            self._unwanted_timer = self.loop.call_later(UNWANTED_LIMIT_S, self.transport.close)

    # What the transport tells

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(UNREAD_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def _head_late(self) -> None:
        self._head_timer = None
        if self._is_in_head and not self.transport.is_closing():
            if self._head_bytes:
                self._refuse(408)
            else:
                self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _stop_unwanted_timer(self) -> None:
        if self._unwanted_timer is not None:
            self._unwanted_timer.cancel()
            self._unwanted_timer = None

    def _drop(self, size: int) -> None:
        self._unwanted_bytes += size
        if self._unwanted_bytes > MOST_UNWANTED_BYTES:
            self.transport.close()

    def _end(self, status: int) -> Any:
        self._refusal = status
        raise _Refused(status)

    def _refuse(self, status: int, text: bytes = b"") -> None:
        """Answer, unless an answer is under way, of which it would be taken for a part; and make an end."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            self._say(status, text)
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        self._part()

    def _say(self, status: int, text: bytes = b"") -> None:
        reason, page = _PAGES[status]
        text = text or page
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, reason, len(text), text)
        )

    def _part(self) -> None:
        """Say that nothing more will be said, and close when the client has heard: while bytes of its are on the way
        that nobody reads, closing would take the answer from it.
        """
        self._is_over = True
        self._crowd.wait(self)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._stop_unwanted_timer()
        self._unwanted_timer = self.loop.call_later(UNWANTED_LIMIT_S, self.transport.close)


def _without_offers(data: bytes) -> bytes:
    """The beginning of a request, without an offer to go on in another protocol than WebSocket (`Upgrade: h2c` comes
    with every request of some clients): it is not taken up, and the parser would read no body after it.
    """
    end = data.find(b"\r\n\r\n")
    offer = _OFFER.search(data, 0, end + 2 if end >= 0 else len(data))
    if offer is None or offer[1].strip().lower() == b"websocket":
        return data
    return data[: offer.start(0) + 2] + b"x-offered-" + data[offer.start(0) + 2 :]


def _readable(data: bytes) -> bytes:
    """The beginning of a request, with a path that the parser reads: what must be quoted in it is."""
    end = data.find(b"\n")
    line = data[:end] if end >= 0 else b""
    if line.isascii() and line.count(b" ") <= 2:  # method, path, version
        return data
    method, _, rest = line.partition(b" ")
    path, _, version = rest.rpartition(b" ")
    if not version.startswith(b"HTTP/"):
        return data
    return b"%s %s %s%s" % (
        method,
        quote_from_bytes(path, safe=string.punctuation).encode(),
        version,
        data[end:],
    )
