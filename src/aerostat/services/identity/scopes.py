"""Where a new token shall be good: what was asked for, else the user's default project, else nowhere."""

from datetime import UTC
from typing import Any

from sqlalchemy import update

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Forbidden
from aerostat.kernel.http import Request

from . import grants, model
from .methods import refused
from .methods.proof import find_domain
from .tokens import Payload

_KINDS = ("project", "domain", "system", "unscoped", "OS-TRUST:trust")


async def scope_of(req: Request, user: Row, asked: Any, parent: Payload | None) -> tuple[str, dict[str, Any]]:
    """Whom the token stands for (a trust may say: its maker) and what `Tokens.issue` has to know.

    Raises `Unauthorized` when the user has no role there, `BadRequest` for what is no scope.
    """
    if asked is None:
        return user.id, await _default(req, user)
    if asked in ("unscoped", {}):
        return user.id, {}
    if not isinstance(asked, dict) or sum(kind in asked for kind in _KINDS) != 1:
        raise BadRequest(f"Expecting exactly one of {', '.join(_KINDS)} in scope.")
    if "unscoped" in asked:
        return user.id, {}
    if "OS-TRUST:trust" in asked:
        return await _trust(req, user, asked["OS-TRUST:trust"])
    if "system" in asked:
        return user.id, await _system(req, user, asked["system"])
    if parent is not None and parent.system:
        raise Forbidden(
            "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed."
        )
    if "domain" in asked:
        return user.id, await _domain(req, user, asked["domain"])
    return user.id, await _project(req, user, asked["project"])


async def use_trust(req: Request, trust_id: str) -> None:
    """One use less, of a trust that counts them. Raises `Unauthorized` when another took the last."""
    trusts = model.TRUSTS.c
    trust = await req.db.find(model.TRUSTS, id=trust_id)
    if trust is None or trust.remaining_uses is None:
        return
    one_less = (
        update(model.TRUSTS)
        .where(trusts.id == trust_id, trusts.remaining_uses > 0)
        .values(remaining_uses=trusts.remaining_uses - 1)
    )
    async with req.db.transaction() as tx:
        if not await tx.execute(one_less):
            raise refused()


async def _trust(req: Request, user: Row, asked: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(asked, dict) or not isinstance(asked.get("id"), str):
        raise BadRequest("Expecting to find id in OS-TRUST:trust.")
    trust = await req.db.find(model.TRUSTS, id=asked["id"])
    if trust is None or trust.project_id is None:
        raise refused()
    if trust.trustee_user_id != user.id:
        raise Forbidden("User is not a trustee.")
    if (trust.expires_at is not None and trust.expires_at <= now()) or trust.remaining_uses == 0:
        raise refused()
    ends_at = trust.expires_at.replace(tzinfo=UTC).timestamp() if trust.expires_at else None
    acting = trust.trustor_user_id if trust.impersonation else user.id
    return acting, {"project_id": trust.project_id, "trust_id": trust.id, "ends_at": ends_at}


async def _system(req: Request, user: Row, asked: Any) -> dict[str, Any]:
    if not isinstance(asked, dict) or asked.get("all") is not True:
        raise BadRequest("Expecting all to be true in system.")
    if not await grants.roles_on(req.db, user.id, "system", "all"):
        raise refused()
    return {"system": True}


async def _domain(req: Request, user: Row, asked: Any) -> dict[str, Any]:
    domain = await find_domain(req, asked)
    if domain is None or not domain.enabled:
        raise refused()
    if not await grants.roles_on(req.db, user.id, "domain", domain.id):
        raise refused()
    return {"domain_id": domain.id}


async def _project(req: Request, user: Row, asked: Any) -> dict[str, Any]:
    project = await _find_project(req, asked)
    if project is None or not await grants.roles_on_project(req.db, user.id, project):
        raise refused()
    return {"project_id": project.id}


async def _default(req: Request, user: Row) -> dict[str, Any]:
    if user.default_project_id is None:
        return {}
    project = await req.db.find(model.PROJECTS, id=user.default_project_id, enabled=True, is_domain=False)
    if project is None or not await grants.roles_on_project(req.db, user.id, project):
        return {}
    domain = await req.db.find(model.PROJECTS, id=project.domain_id, enabled=True)
    return {"project_id": project.id} if domain is not None else {}


async def _find_project(req: Request, asked: Any) -> Row | None:
    if not isinstance(asked, dict):
        raise BadRequest("Expecting an object as project.")
    if isinstance(asked.get("id"), str):
        project = await req.db.find(model.PROJECTS, id=asked["id"], is_domain=False)
    else:
        if not isinstance(asked.get("name"), str) or not isinstance(asked.get("domain"), dict):
            raise BadRequest("Expecting to find an id, or a name and a domain, in project.")
        domain = await find_domain(req, asked["domain"])
        if domain is None or not domain.enabled:
            return None
        project = await req.db.find(model.PROJECTS, name=asked["name"], domain_id=domain.id, is_domain=False)
    return project if project is not None and project.enabled else None
