"""What a way of logging in answers, and how it refuses: always in the same words."""

from typing import Any, NamedTuple

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request

from .. import model
from ..tokens import Payload


class Proof(NamedTuple):
    """Who it is. `scope`: where alone the token is good, if that comes with it; `parent`: the token that proved it."""

    user: Row
    scope: dict[str, Any] | None = None
    parent: Payload | None = None


def refused() -> Unauthorized:
    return Unauthorized("The request you have made requires authentication.")


async def find_user(req: Request, asked: Any) -> Row | None:
    """The user that a body names by id, or by name and domain. Raises `BadRequest`."""
    if not isinstance(asked, dict):
        raise BadRequest("Expecting an object as user.")
    if isinstance(asked.get("id"), str):
        return await req.db.find(model.USERS, id=asked["id"])
    name, domain = asked.get("name"), asked.get("domain")
    if not isinstance(name, str) or not isinstance(domain, dict):
        raise BadRequest("Expecting to find an id, or a name and a domain, in user.")
    owner = await find_domain(req, domain)
    return await req.db.find(model.USERS, name=name, domain_id=owner.id) if owner else None


async def find_domain(req: Request, asked: Any) -> Row | None:
    """The domain that a body names. Raises `BadRequest`."""
    for key in ("id", "name"):
        if isinstance(asked, dict) and isinstance(asked.get(key), str):
            return await req.db.find(model.PROJECTS, **{key: asked[key]}, is_domain=True)
    raise BadRequest("Expecting to find an id or a name in domain.")
