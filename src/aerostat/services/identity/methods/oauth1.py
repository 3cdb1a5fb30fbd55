"""Logging in with an OAuth access token: the request is signed with its secret and the consumer's."""

from datetime import UTC
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.http import Request

from .. import model
from ..oauth import Signed
from .proof import Proof, refused


async def by_oauth1(req: Request, given: Any) -> Proof:
    signed = Signed.read(req)
    row = await req.db.find(model.OAUTH_ACCESSES, id=signed.get("oauth_token"))
    if row is None or row.consumer_id != signed.get("oauth_consumer_key"):
        raise refused()
    consumer = await req.db.get(model.CONSUMERS, id=row.consumer_id)
    signed.check(consumer.secret, row.secret)
    if row.expires_at is not None and row.expires_at <= now():
        raise refused()
    scope = {
        "project_id": row.project_id,
        "access_token_id": row.id,
        "ends_at": row.expires_at.replace(tzinfo=UTC).timestamp() if row.expires_at else None,
    }
    return Proof(await req.db.get(model.USERS, id=row.user_id), scope)
