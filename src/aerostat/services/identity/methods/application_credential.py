"""Logging in by application credential: always on its project, and never beyond its end."""

from datetime import UTC
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request

from .. import model
from .proof import Proof, find_user, refused


async def by_application_credential(req: Request, given: Any) -> Proof:
    if not isinstance(given, dict) or not isinstance(given.get("secret"), str):
        raise BadRequest("Expecting to find secret in application_credential.")
    where: dict[str, Any] | None = None
    if isinstance(given.get("id"), str):
        where = {"id": given["id"]}
    elif isinstance(given.get("name"), str) and isinstance(given.get("user"), dict):
        owner = await find_user(req, given["user"])
        where = {"name": given["name"], "user_id": owner.id if owner else ""}
    if where is None:
        raise BadRequest("Expecting to find an id, or a name and a user, in application_credential.")
    row = await req.db.find(model.APPLICATION_CREDENTIALS, **where)
    tokens = req.house.state["identity"]
    hashed = row.secret_hash if row else None
    matches = await tokens.proven_secrets.matches(given["secret"], hashed, tokens.config.bcrypt_rounds)
    if row is None or not matches or (row.expires_at is not None and row.expires_at <= now()):
        raise refused()
    scope = {
        "project_id": row.project_id,
        "application_credential_id": row.id,
        "ends_at": row.expires_at.replace(tzinfo=UTC).timestamp() if row.expires_at else None,
    }
    return Proof(await req.db.get(model.USERS, id=row.user_id), scope)
