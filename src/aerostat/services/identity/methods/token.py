"""Logging in with a token that one has: for another scope, never for longer."""

from typing import Any

from aerostat.kernel.errors import BadRequest, Forbidden, NotFound, Unauthorized
from aerostat.kernel.http import Request

from .. import model
from .proof import Proof


async def by_token(req: Request, given: Any) -> Proof:
    if not isinstance(given, dict) or not isinstance(given.get("id"), str):
        raise BadRequest("Expecting to find id in token.")
    try:
        payload, context = await req.house.state["identity"].open(given["id"])
    except Unauthorized as error:  # upstream: the token is what was not found
        raise NotFound("Failed to validate token", detail=error.text) from None
    if context.delegated_by is not None:
        # Such a token stands for a part of somebody's rights; a token made with it must not have more.
        raise Forbidden("A token made with delegated rights cannot be used to make another.")
    return Proof(await req.db.get(model.USERS, id=payload.user_id), parent=payload)
