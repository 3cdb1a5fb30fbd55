"""Who holds which role where: assignments of users and of their groups, inherited ones, and the roles they imply."""

from typing import TYPE_CHECKING, Any

from aerostat.kernel.clock import now
from aerostat.kernel.context import AccessRule, Context
from aerostat.kernel.db import Row, Store
from aerostat.kernel.errors import Unauthorized

from . import model

if TYPE_CHECKING:
    from .tokens import Payload

PRIMARY_METHODS = frozenset({"password", "token", "totp", "external", "mapped", "openid", "saml2"})
"""Ways in which users log in themselves. Any other way gives a part of somebody's rights."""


async def context_of(store: Store, payload: "Payload") -> Context:
    """The context a token stands for. Raises `Unauthorized` when its user, project or domain is gone or disabled."""
    user = await store.find(model.USERS, id=payload.user_id)
    if user is None or not user.enabled:
        raise Unauthorized("The user is gone or disabled.")
    domain = await _enabled_domain(store, user.domain_id)
    values: dict[str, Any] = {}
    roles: list[Row] = []
    if payload.project_id:
        project = await store.find(model.PROJECTS, id=payload.project_id, is_domain=False)
        if project is None or not project.enabled:
            raise Unauthorized("The project is gone or disabled.")
        await _enabled_domain(store, project.domain_id)
        values = {
            "project_id": project.id,
            "project_name": project.name,
            "project_domain_id": project.domain_id,
            "project_domain_name": (await store.get(model.PROJECTS, id=project.domain_id)).name,
        }
        roles, limits = await delegated_roles(store, payload, project)
        values |= limits
    elif payload.domain_id:
        scope = await _enabled_domain(store, payload.domain_id)
        values = {"domain_id": scope.id, "domain_name": scope.name}
        roles = await roles_on(store, user.id, "domain", scope.id)
    elif payload.system:
        values = {"system_scope": "all"}
        roles = await roles_on(store, user.id, "system", "all")
    if payload.is_scoped and not roles:
        raise Unauthorized("The user has no role there any longer.")
    return Context(
        request_id="",
        user_id=user.id,
        user_name=user.name,
        user_domain_id=user.domain_id,
        user_domain_name=domain.name,
        roles=tuple(row.name for row in roles),
        trust_id=payload.trust_id,
        application_credential_id=payload.application_credential_id,
        delegated_by=delegated_by(payload),
        token_id=payload.audit_ids[0],
        expires_at=payload.expires_at,
        **values,
    )


def delegated_by(payload: "Payload") -> str | None:
    """What gave the token a part of somebody's rights; None when its user logged in."""
    if payload.trust_id:
        return "trust"
    return next((method for method in payload.methods if method not in PRIMARY_METHODS), None)


async def delegated_roles(store: Store, payload: "Payload", project: Row) -> tuple[list[Row], dict[str, Any]]:
    """The roles a token has on its project, and what else bounds it. Raises `Unauthorized`.

    A token from an application credential, a trust or an OAuth access token has the roles named there, as long as the
    one who gave them holds every one of them.
    """
    held_by = payload.user_id
    if payload.application_credential_id:
        given = await store.find(model.APPLICATION_CREDENTIALS, id=payload.application_credential_id)
    elif payload.access_token_id:
        given = await store.find(model.OAUTH_ACCESSES, id=payload.access_token_id)
    elif payload.trust_id:
        given, held_by = await _trust(store, payload.trust_id)
    else:
        return await roles_on_project(store, payload.user_id, project), {}
    if given is None or given.project_id != project.id:
        raise Unauthorized("What the token was made with is gone.")
    if given.expires_at is not None and given.expires_at <= now():
        raise Unauthorized("What the token was made with has expired.")
    held = {role.id for role in await roles_on_project(store, held_by, project)}
    if not set(given.role_ids) <= held:
        raise Unauthorized("The roles that were given are no longer held.")
    roles = await with_implied(store, set(given.role_ids))
    rule_ids = given.get("access_rule_ids")
    if rule_ids is None:
        return roles, {}
    rules = await store.all(model.ACCESS_RULES, {"id": rule_ids}) if rule_ids else []
    return roles, {"access_rules": tuple(AccessRule(rule.service, rule.method, rule.path) for rule in rules)}


async def _trust(store: Store, trust_id: str) -> tuple[Row | None, str]:
    """The trust, and who holds its roles: the maker of the first one, if it was handed on.

    Everybody in the chain has to be there and enabled. Raises `Unauthorized`.
    """
    given = trust = await store.find(model.TRUSTS, id=trust_id)
    while trust is not None:
        for user_id in (trust.trustor_user_id, trust.trustee_user_id):
            user = await store.find(model.USERS, id=user_id)
            if user is None or not user.enabled:
                raise Unauthorized("Somebody who gave or took the trust is gone or disabled.")
            await _enabled_domain(store, user.domain_id)
        if trust.redelegated_trust_id is None:
            return given, str(trust.trustor_user_id)
        trust = await store.find(model.TRUSTS, id=trust.redelegated_trust_id)
    return None, ""


async def roles_on_project(store: Store, user_id: str, project: Row) -> list[Row]:
    """Effective roles on a project: direct, through groups, inherited from its domain and its parents."""
    held = await _role_ids(store, user_id, "project", project.id, inherited=False)
    held |= await _role_ids(store, user_id, "domain", project.domain_id, inherited=True)
    for parent in await above(store, project):
        held |= await _role_ids(store, user_id, "project", parent.id, inherited=True)
    return await with_implied(store, held)


async def roles_on(store: Store, user_id: str, target_kind: str, target_id: str) -> list[Row]:
    """Effective roles on a domain or the system."""
    return await with_implied(store, await _role_ids(store, user_id, target_kind, target_id, inherited=False))


async def with_implied(store: Store, role_ids: set[str]) -> list[Row]:
    """The roles and all that they imply, by name. A domain's own roles only stand for those they imply."""
    implied: dict[str, list[str]] = {}
    for row in await store.all(model.IMPLIED_ROLES):
        implied.setdefault(row.prior_role_id, []).append(row.implied_role_id)
    reached, waiting = set(role_ids), list(role_ids)
    while waiting:
        for following in implied.get(waiting.pop(), ()):
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    return await store.all(model.ROLES, {"id": reached, "domain_id": ""}, order="name") if reached else []


async def projects_of(store: Store, user_id: str) -> list[Row]:
    """The enabled projects on which the user holds any role."""
    actors = await _actors(store, user_id)
    ids: set[str] = set()
    domains: set[str] = set()
    for kind, actor_ids in actors.items():
        if not actor_ids:
            continue
        for row in await store.all(model.ASSIGNMENTS, {"actor_kind": kind, "actor_id": actor_ids}):
            if row.target_kind == "project" and not row.inherited:
                ids.add(row.target_id)
            elif row.target_kind == "project":
                ids |= await below(store, row.target_id)
            elif row.target_kind == "domain" and row.inherited:
                domains.add(row.target_id)
    if domains:
        ids |= {row.id for row in await store.all(model.PROJECTS, {"domain_id": domains})}
    if not ids:
        return []
    return await store.all(model.PROJECTS, {"id": ids, "enabled": True, "is_domain": False}, order="name")


async def domains_of(store: Store, user_id: str) -> list[Row]:
    """The enabled domains on which the user holds any role."""
    ids: set[str] = set()
    for kind, actor_ids in (await _actors(store, user_id)).items():
        where = {"actor_kind": kind, "actor_id": actor_ids, "target_kind": "domain", "inherited": False}
        if actor_ids:
            ids |= {row.target_id for row in await store.all(model.ASSIGNMENTS, where)}
    return await store.all(model.PROJECTS, {"id": ids, "enabled": True, "is_domain": True}) if ids else []


async def above(store: Store, project: Row) -> list[Row]:
    """The projects above one, the nearest first; its domain is not among them."""
    found: list[Row] = []
    parent_id = project.parent_id
    while parent_id and parent_id != project.domain_id:
        parent = await store.find(model.PROJECTS, id=parent_id)
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.parent_id
    return found


async def below(store: Store, project_id: str) -> set[str]:
    """Ids of the projects below one, at any depth."""
    found: set[str] = set()
    level = {project_id}
    while level:
        rows = await store.all(model.PROJECTS, {"parent_id": level})
        level = {row.id for row in rows} - found
        found |= level
    return found


async def _role_ids(store: Store, user_id: str, kind: str, target_id: str, *, inherited: bool) -> set[str]:
    found: set[str] = set()
    for actor_kind, actor_ids in (await _actors(store, user_id)).items():
        where = {
            "actor_kind": actor_kind,
            "actor_id": actor_ids,
            "target_kind": kind,
            "target_id": target_id,
            "inherited": inherited,
        }
        if actor_ids:
            found |= {row.role_id for row in await store.all(model.ASSIGNMENTS, where)}
    return found


async def _actors(store: Store, user_id: str) -> dict[str, list[str]]:
    groups = await store.all(model.MEMBERSHIPS, {"user_id": user_id})
    return {"user": [user_id], "group": [row.group_id for row in groups]}


async def _enabled_domain(store: Store, domain_id: str) -> Row:
    domain = await store.find(model.PROJECTS, id=domain_id, is_domain=True)
    if domain is None or not domain.enabled:
        raise Unauthorized("The domain is gone or disabled.")
    return domain
