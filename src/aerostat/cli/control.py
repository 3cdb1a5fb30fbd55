"""How other commands reach a running supervisor: JSON lines over `STATE/run/control.sock`; this is the serving side.

One question a connection: `{"ask": "status"}` is answered by one line, `{"ask": "stop"}` by a line when the
stop has begun. The socket is readable by its owner only, which is all the authentication there is.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aerostat.kernel.state_folder import StateFolder

Answer = dict[str, Any]
LONGEST_QUESTION_BYTES = 64 * 1024


class ControlServer:
    """Answers questions by a table of coroutine functions."""

    def __init__(self, folder: StateFolder, answers: Mapping[str, Callable[[], Awaitable[Answer]]]) -> None:
        self._path = folder.control_socket
        self._answers = answers
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "ControlServer":
        # The caller holds the folder's lock: a socket that is there belongs to nobody.
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST_QUESTION_BYTES)
        os.chmod(self._path, 0o600)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                question = json.loads(await asyncio.wait_for(reader.readline(), 5))
                answer = await self._answers[question["ask"]]()
            except (TimeoutError, ValueError, KeyError, TypeError) as error:
                answer = {"error": f"not understood: {error!r}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()
