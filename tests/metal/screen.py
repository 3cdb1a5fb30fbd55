"""A very small RFB client over a WebSocket: enough to see what a guest shows.

The protocol is RFC 6143; the framing is that of noVNC: bytes of the stream in binary messages, cut anywhere.
"""

import struct
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from websockets.sync.client import ClientConnection, connect

GREETING = b"RFB 003.008\n"
_NO_SECURITY, _RAW = 1, 0
# 32 bits a pixel, little endian, true colour, eight bits for each of red, green and blue.
_PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


@dataclass(frozen=True)
class Screen:
    width: int
    height: int
    pixels: bytes

    @property
    def lit(self) -> int:
        """How many pixels are not black."""
        return sum(self.pixels[at : at + 3] != b"\0\0\0" for at in range(0, len(self.pixels), 4))


def websocket_url(console_url: str) -> str:
    """Where a noVNC page, opened at `console_url`, connects to: its `path` argument."""
    page = urlsplit(console_url)
    path = parse_qs(page.query)["path"][0].lstrip("/")
    return f"ws://{page.netloc}/{path}"


def look(console_url: str, limit_s: float = 20.0) -> Screen:
    """The whole screen behind a console's URL. Raises AssertionError when the server does not speak RFB."""
    with connect(websocket_url(console_url), subprotocols=["binary"], open_timeout=limit_s) as socket:
        stream = _Stream(socket, limit_s)
        greeting = stream.read(12)
        assert greeting == GREETING, greeting
        socket.send(GREETING)
        offered = stream.read(stream.number("B"))
        assert _NO_SECURITY in offered, f"security types {list(offered)}: {stream.rest()!r}"
        socket.send(bytes([_NO_SECURITY]))
        assert stream.number("I") == 0, "the server refused"
        socket.send(b"\1")  # others may look, too
        width, height = stream.number("H"), stream.number("H")
        stream.read(16)
        stream.read(stream.number("I"))
        socket.send(b"\0\0\0\0" + _PIXELS)
        socket.send(struct.pack(">BxHi", 2, 1, _RAW))
        socket.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        return Screen(width, height, _update(stream, width, height))


def _update(stream: "_Stream", width: int, height: int) -> bytes:
    """The rectangles of the first update, put together."""
    kind = stream.number("B")
    assert kind == 0, f"message {kind} instead of an update"
    stream.read(1)
    pixels = bytearray(width * height * 4)
    for _ in range(stream.number("H")):
        x, y, columns, lines, encoding = struct.unpack(">HHHHi", stream.read(12))
        assert encoding == _RAW, encoding
        for line in range(y, y + lines):
            at = (line * width + x) * 4
            pixels[at : at + columns * 4] = stream.read(columns * 4)
    return bytes(pixels)


class _Stream:
    """Bytes of the messages as one stream."""

    def __init__(self, socket: ClientConnection, limit_s: float) -> None:
        self._socket = socket
        self._limit_s = limit_s
        self._have = bytearray()

    def read(self, count: int) -> bytes:
        while len(self._have) < count:
            message = self._socket.recv(timeout=self._limit_s)
            assert isinstance(message, bytes)
            self._have += message
        taken = bytes(self._have[:count])
        del self._have[:count]
        return taken

    def number(self, kind: str) -> int:
        return int(struct.unpack(f">{kind}", self.read(struct.calcsize(f">{kind}")))[0])

    def rest(self) -> bytes:
        return bytes(self._have)
