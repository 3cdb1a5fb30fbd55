"""From a log-in body to a token: who it is, and where the token shall be good.

https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
Every refusal of who somebody is reads the same, so that it tells nothing about which part was wrong.
"""

from datetime import UTC
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Forbidden, Unauthorized
from aerostat.kernel.http import Request

from . import grants, model
from .passwords import is_password
from .tokens import Payload, Tokens


def refused() -> Unauthorized:
    return Unauthorized("The request you have made requires authentication.")


async def log_in(req: Request, tokens: Tokens, auth: dict[str, Any]) -> tuple[str, Payload]:
    """A new token for the body's `auth`. Raises `Unauthorized`, `BadRequest`."""
    identity = auth["identity"]
    methods: list[str] = identity["methods"]
    user: Row | None = None
    parent: Payload | None = None
    credential: Row | None = None
    used: list[str] = []
    for method in methods:
        if method not in identity:
            raise BadRequest(
                f"Expecting to find {method} in identity. The server could not comply with the request."
            )
        if method == "password":
            found = await _by_password(req, tokens, identity["password"])
        elif method == "token":
            parent, found = await _by_token(req, tokens, identity["token"])
        elif method == "application_credential":
            credential, found = await _by_application_credential(req, tokens, identity[method])
        else:
            raise Unauthorized(f"Attempted to authenticate with an unsupported method: {method}.")
        if user is not None and user.id != found.id:
            raise refused()
        user = found
        used.extend([*(parent.methods if method == "token" and parent else ()), method])
    if user is None:
        raise refused()
    if credential is not None:
        scope = _scope_of_credential(credential, auth.get("scope"))
    elif isinstance(auth.get("scope"), dict) and "OS-TRUST:trust" in auth["scope"]:
        user, scope = await _scope_of_trust(req, user, auth["scope"]["OS-TRUST:trust"])
    else:
        scope = await _scope(req, user, auth.get("scope"), parent)
    return tokens.issue(user.id, tuple(dict.fromkeys(used)), parent=parent, **scope)


async def _by_password(req: Request, tokens: Tokens, given: dict[str, Any]) -> Row:
    asked = given.get("user")
    if not isinstance(asked, dict) or not isinstance(asked.get("password"), str):
        raise BadRequest("Expecting to find user with a password in password.")
    user = await _find_user(req, asked)
    rounds = tokens.config.bcrypt_rounds
    matches = await is_password(asked["password"], user.password_hash if user else None, rounds)
    if user is None or not matches or not user.enabled:
        raise refused()
    if user.password_expires_at is not None and user.password_expires_at <= now():
        raise Unauthorized("The password is expired and needs to be changed for user: " + user.id + ".")
    domain = await req.db.find(model.PROJECTS, id=user.domain_id)
    if domain is None or not domain.enabled:
        raise refused()
    return user


async def _by_token(req: Request, tokens: Tokens, given: dict[str, Any]) -> tuple[Payload, Row]:
    if not isinstance(given, dict) or not isinstance(given.get("id"), str):
        raise BadRequest("Expecting to find id in token.")
    payload, _ = await tokens.open(given["id"])
    if payload.trust_id or payload.application_credential_id or "ec2credential" in payload.methods:
        # Such a token stands for a part of somebody's rights; a token made with it must not have more.
        raise Forbidden("A token made with delegated rights cannot be used to make another.")
    return payload, await req.db.get(model.USERS, id=payload.user_id)


async def _by_application_credential(req: Request, tokens: Tokens, given: Any) -> tuple[Row, Row]:
    if not isinstance(given, dict) or not isinstance(given.get("secret"), str):
        raise BadRequest("Expecting to find secret in application_credential.")
    where: dict[str, Any] | None = None
    if isinstance(given.get("id"), str):
        where = {"id": given["id"]}
    elif isinstance(given.get("name"), str) and isinstance(given.get("user"), dict):
        owner = await _find_user(req, given["user"])
        where = {"name": given["name"], "user_id": owner.id if owner else ""}
    if where is None:
        raise BadRequest("Expecting to find an id, or a name and a user, in application_credential.")
    row = await req.db.find(model.APPLICATION_CREDENTIALS, **where)
    rounds = tokens.config.bcrypt_rounds
    matches = await is_password(given["secret"], row.secret_hash if row else None, rounds)
    if row is None or not matches or (row.expires_at is not None and row.expires_at <= now()):
        raise refused()
    return row, await req.db.get(model.USERS, id=row.user_id)


def _scope_of_credential(credential: Row, asked: Any) -> dict[str, Any]:
    """Always the project on which the credential was made, and never beyond its end."""
    if asked is not None:
        raise Unauthorized("Application credentials cannot request a scope.")
    ends_at = credential.expires_at.replace(tzinfo=UTC).timestamp() if credential.expires_at else None
    return {
        "project_id": credential.project_id,
        "application_credential_id": credential.id,
        "ends_at": ends_at,
    }


async def _scope_of_trust(req: Request, user: Row, asked: Any) -> tuple[Row, dict[str, Any]]:
    """Whom the token stands for, and the trust's project. Uses up one of the trust's uses."""
    if not isinstance(asked, dict) or not isinstance(asked.get("id"), str):
        raise BadRequest("Expecting to find id in OS-TRUST:trust.")
    async with req.db.transaction() as tx:
        trust = await tx.find(model.TRUSTS, id=asked["id"])
        if trust is None or trust.project_id is None:
            raise refused()
        if trust.trustee_user_id != user.id:
            raise Forbidden("User is not a trustee.")
        if trust.expires_at is not None and trust.expires_at <= now():
            raise refused()
        if trust.remaining_uses is not None:
            if trust.remaining_uses < 1:
                raise refused()
            await tx.update(model.TRUSTS, {"id": trust.id}, remaining_uses=trust.remaining_uses - 1)
        acting = await tx.find(model.USERS, id=trust.trustor_user_id) if trust.impersonation else user
    if acting is None:
        raise refused()
    ends_at = trust.expires_at.replace(tzinfo=UTC).timestamp() if trust.expires_at else None
    return acting, {"project_id": trust.project_id, "trust_id": trust.id, "ends_at": ends_at}


async def _find_user(req: Request, asked: dict[str, Any]) -> Row | None:
    if isinstance(asked.get("id"), str):
        return await req.db.find(model.USERS, id=asked["id"])
    name, domain = asked.get("name"), asked.get("domain")
    if not isinstance(name, str) or not isinstance(domain, dict):
        raise BadRequest("Expecting to find an id, or a name and a domain, in user.")
    owner = await _find_domain(req, domain)
    return await req.db.find(model.USERS, name=name, domain_id=owner.id) if owner else None


async def _find_domain(req: Request, asked: dict[str, Any]) -> Row | None:
    for key in ("id", "name"):
        if isinstance(asked.get(key), str):
            return await req.db.find(model.PROJECTS, **{key: asked[key]}, is_domain=True)
    raise BadRequest("Expecting to find an id or a name in domain.")


async def _scope(req: Request, user: Row, asked: Any, parent: Payload | None) -> dict[str, Any]:
    """The token's scope: what was asked, else the user's default project, else none."""
    if asked is None:
        return await _default_scope(req, user)
    if asked == "unscoped" or asked == {"unscoped": {}} or asked == {}:
        return {}
    if not isinstance(asked, dict) or sum(key in asked for key in ("project", "domain", "system")) != 1:
        raise BadRequest("Expecting exactly one of project, domain, system in scope.")
    if "system" in asked:
        if not isinstance(asked["system"], dict) or asked["system"].get("all") is not True:
            raise BadRequest("Expecting all to be true in system.")
        if not await grants.roles_on(req.db, user.id, "system", "all"):
            raise refused()
        return {"system": True}
    if "domain" in asked:
        if not isinstance(asked["domain"], dict):
            raise BadRequest("Expecting an object as domain.")
        domain = await _find_domain(req, asked["domain"])
        if (
            domain is None
            or not domain.enabled
            or not await grants.roles_on(req.db, user.id, "domain", domain.id)
        ):
            raise refused()
        return {"domain_id": domain.id}
    project = await _find_project(req, asked["project"])
    if project is None or not await grants.roles_on_project(req.db, user.id, project):
        raise refused()
    return {"project_id": project.id}


async def _default_scope(req: Request, user: Row) -> dict[str, Any]:
    if user.default_project_id is None:
        return {}
    project = await req.db.find(model.PROJECTS, id=user.default_project_id, enabled=True, is_domain=False)
    if project is None or not await grants.roles_on_project(req.db, user.id, project):
        return {}
    return {"project_id": project.id}


async def _find_project(req: Request, asked: Any) -> Row | None:
    if not isinstance(asked, dict):
        raise BadRequest("Expecting an object as project.")
    if isinstance(asked.get("id"), str):
        project = await req.db.find(model.PROJECTS, id=asked["id"], is_domain=False)
    else:
        if not isinstance(asked.get("name"), str) or not isinstance(asked.get("domain"), dict):
            raise BadRequest("Expecting to find an id, or a name and a domain, in project.")
        domain = await _find_domain(req, asked["domain"])
        if domain is None or not domain.enabled:
            return None
        project = await req.db.find(model.PROJECTS, name=asked["name"], domain_id=domain.id, is_domain=False)
    return project if project is not None and project.enabled else None
