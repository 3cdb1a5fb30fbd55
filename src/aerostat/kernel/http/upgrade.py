"""WebSocket connections as uvicorn serves them, with an answer in every case.

The library that reads the request for an upgrade gives up on lines past 8 KiB and on what it cannot decode; it says
so to nobody, and the client would wait for ever. What cannot be read is answered with a 400 and the end.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_REASON = b"The request for a WebSocket is too long or malformed."
REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n"
    b"\r\n"
    b"%s"
) % (len(_REASON), _REASON)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection, from the request on."""

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except UnicodeError:
            if self.handshake_initiated and self.handshake_complete:
                raise
            self._refuse()
        else:
            if not self.handshake_initiated and self.conn.handshake_exc is not None:
                self._refuse()

    def _refuse(self) -> None:
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(REFUSAL)
        self.transport.close()
