"""What application credentials, trusts and stored credentials have in common: who may make them, with which roles."""

import re
from datetime import UTC, datetime
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import ApiError, BadRequest, Forbidden
from aerostat.kernel.http import Request

from . import model
from .errors import Delegated

ROLES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
        "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
    },
}
MOMENT = {"type": ["string", "null"]}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*", re.ASCII)


def check_not_delegated(req: Request, what: str) -> None:
    """Raises `Delegated` for tokens that stand for a part of somebody's rights.

    One of an unrestricted application credential passes, if `note_unrestricted` was called before.
    """
    method = req.context.delegated_by
    if method is not None and not (method == "application_credential" and req.state.get("is_unrestricted")):
        raise Delegated(method=method, what=what)


async def note_unrestricted(req: Request) -> None:
    """Remember for `check_not_delegated` whether the token's application credential may make others."""
    id = req.context.application_credential_id
    if id is not None:
        row = await req.db.find(model.APPLICATION_CREDENTIALS, id=id)
        req.state["is_unrestricted"] = row is not None and row.unrestricted


def read_moment(text: str | None) -> datetime | None:
    """A time in the future. Raises `BadRequest`."""
    if text is None:
        return None
    try:
        if _MOMENT.fullmatch(text) is None:
            raise ValueError
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise BadRequest(f"Invalid input for field 'expires_at': The value was {text}") from None
    if moment <= now():
        raise BadRequest("Expiration time is in the past.")
    return moment


def current_project(req: Request) -> str:
    """The project of the token. Raises `Forbidden` for tokens without one."""
    if req.context.project_id is None:
        raise Forbidden(
            "You are not authorized to perform the requested action: a project-scoped token is needed."
        )
    return req.context.project_id


async def held_roles(req: Request) -> list[Row]:
    """The roles of the token itself."""
    return await req.db.all(model.ROLES, {"name": list(req.context.roles), "domain_id": ""}, order="name")


async def asked_roles(req: Request, asked: list[dict[str, Any]], error: type[ApiError]) -> list[Row]:
    """The roles that a body names, if the token has them all. Raises `error` with a `reason`."""
    held = await held_roles(req)
    found = []
    for one in asked:
        match = next(
            (role for role in held if role.id == one.get("id") or role.name == one.get("name")), None
        )
        if match is None:
            raise error(
                reason=f"Could not find role assignment with role: {one.get('id') or one.get('name')}."
            )
        found.append(match)
    return found


async def roles_by_id(req: Request, ids: list[str]) -> list[Row]:
    return await req.db.all(model.ROLES, {"id": ids}, order="name") if ids else []
