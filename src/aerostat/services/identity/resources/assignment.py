"""Who has which role on what: grants on projects, domains and the system, and their list.

https://docs.openstack.org/api-ref/identity/v3/#assign-role-to-user-on-project and its like.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Forbidden
from aerostat.kernel.http import Request
from aerostat.kernel.http.request import Response
from aerostat.kernel.http.router import Endpoint, Handler
from aerostat.kernel.resource import Resource, route

from .. import grants, model
from ..effective import read_lookup
from ..errors import (
    AssignmentNotFound,
    DomainNotFound,
    GroupNotFound,
    ProjectNotFound,
    RoleNotFound,
    UserNotFound,
)
from ..rules import ADMIN, ANY_SCOPE, CLOUD_SCOPES, DOMAIN_READER, SYSTEM_READER, rules
from .shape import changed

_ACTORS_AND_PLACES = " or ".join(
    f"(role:{{role}} and domain_id:%(target.{actor}.domain_id)s and domain_id:%(target.{place})s)"
    for actor in ("user", "group")
    for place in ("project.domain_id", "domain.id")
)
_CHANGE = f"{ADMIN} or ({_ACTORS_AND_PLACES.format(role='manager')}) and rule:domain_managed_target_role"
_READ = _ACTORS_AND_PLACES.format(role="reader")
_ANY_ROLE = "domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s"


class Assignment(Resource):
    extra_rules = rules(
        {
            "create_grant": _CHANGE,
            "revoke_grant": _CHANGE,
            "check_grant": f"({SYSTEM_READER}) or ({_READ}) and ({_ANY_ROLE})",
            "list_grants": f"({SYSTEM_READER}) or {_READ}",
            "list_role_assignments": DOMAIN_READER,
            "list_role_assignments_for_tree": f"({SYSTEM_READER}) or "
            "(role:reader and domain_id:%(target.project.domain_id)s) or "
            "(role:admin and project_id:%(target.project.id)s)",
        },
        ANY_SCOPE,
    ) + rules(
        {
            name.format(actor): text
            for name, text in (
                ("create_system_grant_for_{}", ADMIN),
                ("revoke_system_grant_for_{}", ADMIN),
                ("check_system_grant_for_{}", SYSTEM_READER),
                ("list_system_grants_for_{}", SYSTEM_READER),
            )
            for actor in ("user", "group")
        },
        CLOUD_SCOPES,
    )

    def endpoints(self, base: str) -> list[Endpoint]:
        """One set of grant endpoints for each pair of target and actor; they differ in nothing else."""
        made = list(super().endpoints(base))
        for target in ("project", "domain", "system"):
            for actor in ("user", "group"):
                for inherited in (False, True):
                    made.extend(self._grant_endpoints(target, actor, inherited))
        return made

    def _grant_endpoints(self, target: str, actor: str, inherited: bool) -> list[Endpoint]:
        where = "/system" if target == "system" else f"/{target}s/{{target_id}}"
        if inherited and target == "system":
            return []
        path = f"/v3{'/OS-INHERIT' if inherited else ''}{where}/{actor}s/{{actor_id}}/roles"
        end = "/inherited_to_projects" if inherited else ""
        name = f"grant.{target}.{actor}"

        def bind(verb: Callable[[Request, dict[str, Any]], Awaitable[Response]]) -> Handler:
            async def answer(req: Request) -> Response:
                grant = await self._grant(req, target, actor, inherited)
                return await verb(req, grant)

            return answer

        return [
            Endpoint("GET", path + end, bind(self._list_grants), name=f"{name}.list"),
            Endpoint("PUT", f"{path}/{{role_id}}{end}", bind(self._create_grant), name=f"{name}.create"),
            Endpoint("GET", f"{path}/{{role_id}}{end}", bind(self._check_grant), name=f"{name}.check"),
            Endpoint("DELETE", f"{path}/{{role_id}}{end}", bind(self._revoke_grant), name=f"{name}.revoke"),
        ]

    async def _grant(self, req: Request, target: str, actor: str, inherited: bool) -> dict[str, Any]:
        """The named target, actor and role as assignment columns, after policy. Raises the right not-found."""
        target_id = req.params.get("target_id", "all")
        actor_id = req.params["actor_id"]
        verb = {"PUT": "create", "DELETE": "revoke"}.get(
            req.method, "check" if "role_id" in req.params else "list"
        )
        looked_up: dict[str, Any] = {}
        if target == "system":
            rule = f"identity:{verb}_system_grant{'s' if verb == 'list' else ''}_for_{actor}"
        else:
            rule = "identity:list_grants" if verb == "list" else f"identity:{verb}_grant"
            looked_up[target] = await req.db.find(
                model.PROJECTS, id=target_id, **({"is_domain": True} if target == "domain" else {})
            )
        table, missing = (model.USERS, UserNotFound) if actor == "user" else (model.GROUPS, GroupNotFound)
        looked_up[actor] = await req.db.find(table, id=actor_id)
        role = None
        if "role_id" in req.params:
            role = await req.db.find(model.ROLES, id=req.params["role_id"])
            looked_up["role"] = {**role, "domain_id": role.domain_id or None} if role else None
        # Policy first: who may not ask is not told what is there.
        req.check(rule, {"target": {name: row for name, row in looked_up.items() if row is not None}})
        if target != "system" and looked_up[target] is None:
            raise (ProjectNotFound if target == "project" else DomainNotFound)(id=target_id)
        if looked_up[actor] is None and verb in ("create", "list"):
            raise missing(id=actor_id)
        if "role_id" in req.params and role is None:
            raise RoleNotFound(id=req.params["role_id"])
        homes = ("", looked_up["project"].domain_id) if target == "project" else ()
        if verb == "create" and role is not None and homes and role.domain_id not in homes:
            raise Forbidden("The role belongs to another domain.")
        grant = {
            "actor_kind": actor,
            "actor_id": actor_id,
            "target_kind": target,
            "target_id": target_id,
            "inherited": inherited,
        }
        if role is not None:
            grant["role_id"] = role.id
        return grant

    async def _list_grants(self, req: Request, grant: dict[str, Any]) -> Response:
        held = [row.role_id for row in await req.db.all(model.ASSIGNMENTS, grant)]
        rows = await req.db.all(model.ROLES, {"id": held}, order="name") if held else []
        kind = req.service.resources["Role"]
        return Response({"roles": [kind.view(req, row) for row in rows], "links": _links(req)})

    async def _create_grant(self, req: Request, grant: dict[str, Any]) -> Response:
        try:
            await req.db.insert(model.ASSIGNMENTS, **grant)
        except Duplicate:
            return Response(None, 204)  # granted already
        changed(req)
        return Response(None, 204)

    async def _check_grant(self, req: Request, grant: dict[str, Any]) -> Response:
        if await req.db.find(model.ASSIGNMENTS, **grant) is None:
            raise _missing(grant)
        return Response(None, 204)

    async def _revoke_grant(self, req: Request, grant: dict[str, Any]) -> Response:
        if not await req.db.delete(model.ASSIGNMENTS, **grant):
            raise _missing(grant)
        changed(req)
        return Response(None, 204)

    @route("GET", "/v3/role_assignments")
    async def list_assignments(self, req: Request) -> dict[str, Any]:
        where, tree = self._asked(req), set[str]()
        if "include_subtree" in req.query and req.flag("include_subtree"):
            tree = await self._tree(req, where)
        else:
            req.check("identity:list_role_assignments", {"target": {"domain_id": req.context.domain_id}})
        if "effective" in req.query and req.flag("effective"):
            rows = await self._effective(req, where)
        else:
            rows = await req.db.all(model.ASSIGNMENTS, where)
        if tree:
            rows = [row for row in rows if row.target_kind == "project" and row.target_id in tree]
        elif req.context.domain_id is not None:
            rows = await self._of_own_domain(req, rows)
        names = await _names(req) if "include_names" in req.query and req.flag("include_names") else None
        return {"role_assignments": [_assignment(req, row, names) for row in rows], "links": _links(req)}

    async def _tree(self, req: Request, where: dict[str, Any]) -> set[str]:
        """The project of the query and all below it; taken out of `where`. Raises `BadRequest`."""
        if where.get("target_kind") != "project":
            raise BadRequest("scope.project.id must be specified if include_subtree is also specified")
        del where["target_kind"]
        project = await req.db.find(model.PROJECTS, id=where.pop("target_id"))
        target = {"project": project} if project is not None else {}
        req.check("identity:list_role_assignments_for_tree", {"target": target})
        return {project.id, *(await grants.below(req.db, project.id))} if project is not None else {""}

    async def _of_own_domain(self, req: Request, rows: list[Row]) -> list[Row]:
        """What a domain's own people may see: assignments on their domain and its projects."""
        own = req.context.domain_id
        places = {row.id for row in await req.db.all(model.PROJECTS, {"domain_id": own})} | {own}
        return [row for row in rows if row.target_kind != "system" and row.target_id in places]

    def _asked(self, req: Request) -> dict[str, Any]:
        where: dict[str, Any] = {}
        user, group = req.argument("user.id"), req.argument("group.id")
        if user and group:
            raise BadRequest("Specify a user or group, not both.")
        targets = [key for key in ("scope.project.id", "scope.domain.id", "scope.system") if key in req.query]
        if len(targets) > 1:
            raise BadRequest("Specify a domain or project, not both.")
        if user or group:
            where |= {"actor_kind": "user" if user else "group", "actor_id": user or group}
        for key in targets:
            kind = key.split(".")[1]
            where |= {"target_kind": kind, "target_id": "all" if kind == "system" else req.argument(key)}
        if role := req.argument("role.id"):
            where["role_id"] = role
        if req.argument("scope.OS-INHERIT:inherited_to"):
            where["inherited"] = True
        return where

    async def _effective(self, req: Request, where: dict[str, Any]) -> list[Row]:
        """The assignments as they take effect, each with the one it comes from."""
        if where.get("actor_kind") == "group":
            raise BadRequest("Combining effective and group filter will always result in an empty list.")
        if where.get("target_kind") == "domain" and where.get("inherited"):
            raise BadRequest(
                "Combining effective, domain and inherited filters will always result in an empty list."
            )
        inherited = {"inherited": where["inherited"]} if "inherited" in where else {}
        lookup = await read_lookup(req.db)
        rows = []
        for one in lookup.lay_out(await req.db.all(model.ASSIGNMENTS, inherited)):
            row = Row(
                actor_kind="user",
                actor_id=one.user_id,
                target_kind=one.target_kind,
                target_id=one.target_id,
                role_id=one.role_id,
                inherited=one.source.inherited,
            )
            if all(row[key] == value for key, value in where.items()):
                rows.append(Row(row, source=one.source))
        return rows


async def _names(req: Request) -> dict[str, Row]:
    """Everything an assignment may name, by id."""
    rows: dict[str, Row] = {}
    for table in (model.PROJECTS, model.USERS, model.GROUPS, model.ROLES):
        rows |= {row.id: row for row in await req.db.all(table)}
    return rows


def _assignment(req: Request, row: Row, names: dict[str, Row] | None) -> dict[str, Any]:
    base = f"{req.base_url}{req.service.prefix}/v3"

    def named(id: str, domain: bool = True) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": id}
        known = names.get(id) if names else None
        if known is not None and names is not None:
            shown["name"] = known.name
            owner = names.get(known.get("domain_id") or "")
            if domain and owner is not None:
                shown["domain"] = {"id": owner.id, "name": owner.name}
        return shown

    scope: dict[str, Any]
    if row.target_kind == "system":
        scope = {"system": {"all": True}}
    else:
        scope = {row.target_kind: named(row.target_id, row.target_kind == "project")}
    if row.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
    source = row.get("source") or row  # what takes effect links to what was granted
    links = {"assignment": _grant_url(base, source)}
    if source.actor_kind != row.actor_kind:
        links["membership"] = f"{base}/groups/{source.actor_id}/users/{row.actor_id}"
    if source.role_id != row.role_id:
        links["prior_role"] = f"{base}/roles/{source.role_id}/implies/{row.role_id}"
    return {"role": named(row.role_id), row.actor_kind: named(row.actor_id), "scope": scope, "links": links}


def _grant_url(base: str, row: Row) -> str:
    where = "system" if row.target_kind == "system" else f"{row.target_kind}s/{row.target_id}"
    path = f"{where}/{row.actor_kind}s/{row.actor_id}/roles/{row.role_id}"
    return f"{base}/OS-INHERIT/{path}/inherited_to_projects" if row.inherited else f"{base}/{path}"


def _missing(grant: dict[str, Any]) -> AssignmentNotFound:
    return AssignmentNotFound(role=grant["role_id"], actor=grant["actor_id"], target=grant["target_id"])


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
