"""Who is at the other end of a unix socket, by the kernel's word (SO_PEERCRED): nobody can pretend that."""

import os
import socket
import struct
from typing import Any

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Stranger(ConnectionError):
    """The other end is a process of a user with whom we do not talk."""


def peer_uid(connection: Any) -> int:
    """The user who connected; on the connecting side, the user who listens."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


def check_peer(connection: Any, *trusted_uids: int) -> None:
    """Raise `Stranger` unless the other end is root, ourselves, or one of those."""
    uid = peer_uid(connection)
    if uid not in {0, os.geteuid(), *trusted_uids}:
        raise Stranger(f"a process of user {uid} is at the other end")
