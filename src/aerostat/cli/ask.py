"""Asks a running cloud's supervisor, over the socket that control.py serves. Quick to load: no event loop."""

import contextlib
import json
import socket
from typing import Any

from aerostat.kernel.state_folder import StateFolder


class Unreachable(Exception):
    """Nobody answers on the control socket."""


def ask(folder: StateFolder, question: str, timeout_s: float = 5.0) -> dict[str, Any]:
    """Ask the supervisor of `folder`; raises `Unreachable`."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(folder.control_socket))
            connection.sendall(json.dumps({"ask": question}).encode() + b"\n")
            with connection.makefile() as stream:
                return dict(json.loads(stream.readline()))
        except (OSError, ValueError) as error:
            raise Unreachable(str(error)) from None
