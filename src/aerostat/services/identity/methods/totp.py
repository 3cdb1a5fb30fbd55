"""Logging in by a passcode that changes with the time (RFC 6238), mostly as the second of two factors.

The secret is a stored credential of type `totp`, in base32. A passcode lets in once.
"""

import base64
import binascii
import hmac
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from sqlalchemy import or_, update

from aerostat.kernel.clock import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request

from .. import accounts, model
from .proof import Proof, find_user, refused

STEP_S = 30
DIGITS = 6


async def by_totp(req: Request, given: Any) -> Proof:
    asked = given.get("user") if isinstance(given, dict) else None
    if not isinstance(asked, dict) or not isinstance(asked.get("passcode"), str):
        raise BadRequest("Expecting to find user with a passcode in totp.")
    user = await find_user(req, asked)
    if user is None:
        raise refused()
    tokens = req.house.state["identity"]
    async with tokens.turns.of(user.id):
        user = await req.db.get(model.USERS, id=user.id)
        if accounts.is_waiting(user, tokens.config):
            raise refused()
        if not await _is_right(req, user, asked["passcode"], tokens.config.totp_previous_windows):
            await accounts.note_failure(req.db, user, tokens.config)
            raise refused()
        await accounts.note_success(req.db, user)
    return Proof(user)


async def _is_right(req: Request, user: Row, given: str, windows: int) -> bool:
    """Whether that is a passcode of one of the user's secrets, and was not used before."""
    secrets = await req.db.all(model.CREDENTIALS, {"user_id": user.id, "type": "totp"})
    present = int(clock.timestamp()) // STEP_S
    for step in range(present, present - windows - 1, -1):
        for secret in secrets:
            expected = passcode(secret.blob, step)
            if expected is not None and hmac.compare_digest(expected, given.encode()):
                return await _use_up(req, secret, step)
    return False


def passcode(secret: str, step: int) -> bytes | None:
    """The passcode of one period of `STEP_S` seconds; None if the secret is no base32."""
    text = secret.replace(" ", "").rstrip("=")
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8), casefold=True)
    except (binascii.Error, ValueError):
        return None
    return HOTP(key, DIGITS, SHA1(), enforce_key_length=False).generate(step)


async def _use_up(req: Request, secret: Row, step: int) -> bool:
    """Whether no passcode of that time or a later one was used before."""
    column = model.CREDENTIALS.c
    statement = (
        update(model.CREDENTIALS)
        .where(column.id == secret.id, or_(column.used_step.is_(None), column.used_step < step))
        .values(used_step=step)
    )
    async with req.db.transaction() as tx:
        return await tx.execute(statement) == 1
