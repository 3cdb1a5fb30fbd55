"""Tokens that open one console of one server, once, for a while.

Only digests are kept, so reading the table opens nothing. Looking at the page uses nothing up; the first connection
that is made does. Who loses that connection asks for another address.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Literal

from aerostat.kernel import clock
from aerostat.kernel.db import Row, Store

from .. import model

Kind = Literal["vnc", "serial"]


async def new_token(db: Store, server: Row, kind: Kind, life_s: float) -> str:
    """A token for the server's console; only its digest is kept."""
    token = secrets.token_urlsafe(32)
    await db.insert(
        model.CONSOLE_TOKENS,
        digest=_digest(token),
        server_id=server.id,
        kind=kind,
        expires_at=clock.now() + timedelta(seconds=life_s),
    )
    return token


async def find_console(db: Store, token: str, kind: Kind) -> Row | None:
    """The server whose console the token opens, without using it up; None for a token that is unknown, over, or of
    another kind.
    """
    row = await db.find(model.CONSOLE_TOKENS, digest=_digest(token))
    if row is None or row.kind != kind or row.expires_at <= clock.now():
        return None
    server = await db.find(model.SERVERS, id=row.server_id)
    return server if server is not None and server.state != "deleted" else None


async def use_up(db: Store, token: str) -> bool:
    """Take the token out of the world. False if somebody else was first: of any number, one may come in."""
    return bool(await db.delete(model.CONSOLE_TOKENS, digest=_digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
