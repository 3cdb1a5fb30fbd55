"""Logging in by password; and the check itself, which changing a password needs as well."""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request

from .. import accounts, model
from ..errors import PasswordExpired
from ..passwords import is_password
from .proof import Proof, find_user, refused


async def by_password(req: Request, given: Any) -> Proof:
    asked = given.get("user") if isinstance(given, dict) else None
    if not isinstance(asked, dict) or not isinstance(asked.get("password"), str):
        raise BadRequest("Expecting to find user with a password in password.")
    user = await proven(req, await find_user(req, asked), asked["password"])
    if accounts.is_expired(user):
        raise PasswordExpired(id=user.id)
    return Proof(user)


async def proven(req: Request, user: Row | None, password: str) -> Row:
    """The user, if that is the password. It takes as long when there is no such user or the account waits.

    The row is read anew after the check, one log-in after the other: of many guesses made at once, those that are
    answered after the account had to wait are refused, whether they were right or not.
    """
    tokens = req.house.state["identity"]
    config = tokens.config
    if user is None or accounts.is_waiting(user, config):
        await is_password(password, None, config.bcrypt_rounds)
        raise refused()
    matches = await is_password(password, user.password_hash, config.bcrypt_rounds)
    async with tokens.turns.of(user.id):
        after = await req.db.find(model.USERS, id=user.id)
        if after is None or accounts.is_waiting(after, config) or after.password_hash != user.password_hash:
            raise refused()
        if not matches:
            await accounts.note_failure(req.db, after, config)
            raise refused()
        if not accounts.is_enabled(after, config):
            raise refused()
        await accounts.note_success(req.db, after)
    return after
