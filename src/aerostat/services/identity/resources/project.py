"""Projects: what owns servers, networks and everything else, in a tree below a domain.

https://docs.openstack.org/api-ref/identity/v3/#projects
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Text, and_, not_, or_

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import BadRequest, Forbidden, NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions, route

from .. import grants, limits, model
from ..config import IdentityConfig
from ..errors import BadParent, DomainNotFound, ProjectNotFound, ProjectNotLeaf, TooDeep, UserNotFound
from ..rules import ADMIN, ANY_SCOPE, DOMAIN_READER, SYSTEM_READER, looked_at, policy_of, rules
from .shape import DOMAIN_ID, IMMUTABLE, Named, check_mutable, domain_in_sight, links

TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}
TAGS = {"type": "array", "items": TAG, "maxItems": 80, "uniqueItems": True}

# A domain is a project without a domain: who has no domain either is not therefore in charge of it.
_INSIDE = "domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s"
_SHOW = f"({SYSTEM_READER}) or (role:reader and {_INSIDE}) or project_id:%(target.project.id)s"
_MANAGE = f"{ADMIN} or (role:manager and {_INSIDE})"


class Project(Named):
    path = "/v3/projects/{project_id}"
    singular, plural = "project", "projects"
    table = model.PROJECTS
    project_column = None
    not_found = ProjectNotFound
    extra_body_keys = True
    in_domain = True
    policy = policy_of(
        "project",
        "projects",
        default=Term(_MANAGE, 0),
        list=Term(DOMAIN_READER, 0),
        show=Term(_SHOW, 0),
        scopes=ANY_SCOPE,
    )
    extra_rules = rules(
        {
            "list_user_projects": f"{looked_at('user')} or user_id:%(target.user.id)s",
            "list_project_tags": _SHOW,
            "get_project_tag": _SHOW,
            **dict.fromkeys(("update_project_tags", "create_project_tag"), _MANAGE),
            **dict.fromkeys(("delete_project_tags", "delete_project_tag"), _MANAGE),
        }
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 64), filter=True, pattern=r"\S")
    domain_id = Field(str, create="optional", update="optional", schema=DOMAIN_ID, filter=True)
    parent_id = Field(str, create="optional", schema=DOMAIN_ID, filter=True)
    is_domain = Field(bool, create="optional", update="optional", filter=True)
    description = Field(str, create="optional", update="optional", nullable=True, default="")
    enabled = Field(bool, create="optional", update="optional", default=True, filter=True)
    tags = Field(list, create="optional", update="optional", schema=TAGS, default=list)
    options = Field(dict, create="optional", update="optional", schema=IMMUTABLE, default=dict)
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        if new.pop("is_domain", False):
            domain: Any = req.service.resources["Domain"]
            domain.check_new(req, new)
            made: Row = await domain.create(req, {key: new[key] for key in new if key != "parent_id"})
            return made
        parent_id = new.get("parent_id")
        if parent_id is not None:
            parent = await req.db.find(model.PROJECTS, id=parent_id)
            if parent is None:
                raise ProjectNotFound(id=parent_id)
            if not parent.enabled:
                raise BadParent(reason=f"Cannot create project since its parent {parent_id} is disabled.")
            own = parent.id if parent.is_domain else parent.domain_id
            if new.get("domain_id") not in (None, own):
                raise BadParent(reason="Cannot create project: the parent must be in the same domain.")
            new["domain_id"] = own
            await self._check_depth(req, parent)
        new["domain_id"] = (
            new.get("domain_id") or req.context.domain_id or req.context.project_domain_id or "default"
        )
        new["parent_id"] = parent_id or new["domain_id"]
        new["description"] = new.get("description") or ""
        self.check_new(req, new)
        if await req.db.find(model.PROJECTS, id=new["domain_id"], is_domain=True) is None:
            raise DomainNotFound(id=new["domain_id"])
        return await super().create(req, new)

    async def show(self, req: Request, row: Row) -> Row:
        """With the projects above or below it, where they are asked for."""
        named = ("parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids")
        asked = {name for name in named if name in req.query and req.flag(name)}
        for kind in ("parents", "subtree"):
            if {f"{kind}_as_list", f"{kind}_as_ids"} <= asked:
                raise BadRequest(
                    f"Cannot use {kind}_as_list and {kind}_as_ids query params at the same time."
                )
        shown = Row(row, extra=dict(row.extra))  # what is in `extra` is shown beside the fields
        if "parents_as_ids" in asked:
            shown.extra["parents"] = await _ids_above(req, row)
        if "subtree_as_ids" in asked:
            shown.extra["subtree"] = await _ids_below(req, row.id)
        if "parents_as_list" in asked:
            shown.extra["parents"] = await self._wrapped(
                req, [one.id for one in await grants.above(req.db, row)]
            )
        if "subtree_as_list" in asked:
            shown.extra["subtree"] = await self._wrapped(req, await grants.below(req.db, row.id))
        return shown

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        asked = (req.body or {}).get("project", {})
        if asked.get("parent_id", row.parent_id) != row.parent_id:
            raise Forbidden("Update of `parent_id` is not allowed.")
        await self._check_switch(req, row, changes)
        if changes.get("domain_id", row.domain_id) != row.domain_id:
            raise BadRequest("Cannot change Domain ID.")
        if changes.pop("is_domain", row.is_domain) is not row.is_domain:
            raise BadRequest("The is_domain field of a project cannot be changed.")
        changes.pop("domain_id", None)
        if changes.get("description", "") is None:
            changes["description"] = ""
        updated = await super().update(req, row, changes)
        if changes.get("enabled") is False:
            await req.house.state["identity"].revoke(project_id=row.id)
        return updated

    async def delete(self, req: Request, row: Row) -> None:
        check_mutable("project", row)
        if await req.db.count(model.PROJECTS, parent_id=row.id):
            raise ProjectNotLeaf(id=row.id)
        async with req.db.transaction() as tx:
            await remove_project(tx, row.id)
        await req.house.state["identity"].revoke(project_id=row.id)  # should the id ever come again

    async def find(self, req: Request, id: str) -> Row:
        row = await req.db.find(model.PROJECTS, id=id)
        if row is None:
            raise self.missing(id)
        return row

    def visible(self, req: Request) -> Conditions:
        table = model.PROJECTS
        own: Conditions = []
        if "is_domain" not in req.query:
            own.append(table.c.is_domain.is_(False))
        seen = domain_in_sight(req)
        if seen is not None:
            own.append(table.c.domain_id == seen)
        for key in ("tags", "tags-any", "not-tags", "not-tags-any"):
            if key in req.query:
                own.append(_tag_condition(key, req.query[key][-1].split(",")))
        return own

    @route("GET", "/v3/users/{user_id}/projects")
    async def of_user(self, req: Request, user_id: str) -> dict[str, Any]:
        user = await req.db.find(model.USERS, id=user_id)
        target = {"id": user_id, "domain_id": user.domain_id if user else None}
        req.check("identity:list_user_projects", {"target": {"user": target}})
        if user is None:
            raise UserNotFound(id=user_id)
        rows = await grants.projects_of(req.db, user_id)
        return {"projects": [self.view(req, row) for row in rows], "links": _links(req)}

    @route("GET", "/v3/projects/{project_id}/tags")
    async def tags_of(self, req: Request, project_id: str) -> dict[str, Any]:
        row = await self._for(req, project_id, "list_project_tags")
        return {"tags": row.tags, "links": _links(req)}

    @route(
        "PUT",
        "/v3/projects/{project_id}/tags",
        body={"type": "object", "properties": {"tags": TAGS}, "required": ["tags"]},
    )
    async def set_tags(self, req: Request, project_id: str) -> dict[str, Any]:
        row = await self._for(req, project_id, "update_project_tags")
        await req.db.update(model.PROJECTS, {"id": row.id}, tags=req.body["tags"])
        return {"tags": req.body["tags"], "links": _links(req)}

    @route("DELETE", "/v3/projects/{project_id}/tags", status=204)
    async def clear_tags(self, req: Request, project_id: str) -> None:
        row = await self._for(req, project_id, "delete_project_tags")
        await req.db.update(model.PROJECTS, {"id": row.id}, tags=[])

    @route("GET", "/v3/projects/{project_id}/tags/{tag}", status=204)
    async def has_tag(self, req: Request, project_id: str, tag: str) -> None:
        if tag not in (await self._for(req, project_id, "get_project_tag")).tags:
            raise NotFound(f"Could not find project tag: {tag}.")

    @route("PUT", "/v3/projects/{project_id}/tags/{tag}", status=201)
    async def add_tag(self, req: Request, project_id: str, tag: str) -> Response:
        row = await self._for(req, project_id, "create_project_tag")
        if "," in tag or len(tag) > 255 or (tag not in row.tags and len(row.tags) >= 80):
            raise BadRequest("A project has at most 80 tags of 255 characters, without commas and slashes.")
        if tag not in row.tags:
            await req.db.update(model.PROJECTS, {"id": row.id}, tags=[*row.tags, tag])
        return Response(None, 201, {"Location": req.url})

    @route("DELETE", "/v3/projects/{project_id}/tags/{tag}", status=204)
    async def remove_tag(self, req: Request, project_id: str, tag: str) -> None:
        row = await self._for(req, project_id, "delete_project_tag")
        if tag not in row.tags:
            raise NotFound(f"Could not find project tag: {tag}.")
        await req.db.update(model.PROJECTS, {"id": row.id}, tags=[one for one in row.tags if one != tag])

    async def _wrapped(self, req: Request, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Of these the projects on which the caller has a role."""
        own = {row.id for row in await grants.projects_of(req.db, req.context.user_id or "")}
        rows = await req.db.all(model.PROJECTS, {"id": own & set(ids)}, order="name")
        limited = "include_limits" in req.query and req.flag("include_limits")
        return [
            {"project": {**self.view(req, row), **(await _limits(req, row.id) if limited else {})}}
            for row in rows
        ]

    async def _check_switch(self, req: Request, row: Row, changes: dict[str, Any]) -> None:
        """Below a disabled project nothing is enabled. Raises `Forbidden`."""
        if changes.get("enabled") in (None, row.enabled):
            return
        if changes["enabled"]:
            if not all(parent.enabled for parent in await grants.above(req.db, row)):
                raise Forbidden(f"Cannot enable project {row.id} since it has disabled parents.")
        else:
            ids = await grants.below(req.db, row.id)
            if not row.is_domain and ids and await req.db.count(model.PROJECTS, id=ids, enabled=True):
                raise Forbidden(
                    f"Cannot disable project {row.id} since its subtree contains enabled projects."
                )

    async def _check_depth(self, req: Request, parent: Row) -> None:
        """Raises `TooDeep` when a project below `parent` would lie deeper than projects may."""
        config = req.house.config.section(IdentityConfig)
        deepest = limits.MODELS[config.enforcement_model].max_depth or config.max_project_tree_depth
        depth = 2 if parent.is_domain else len(await grants.above(req.db, parent)) + 3
        if depth > deepest:
            raise TooDeep(id=parent.id, deepest=deepest)

    async def _for(self, req: Request, project_id: str, rule: str) -> Row:
        row = await self.find(req, project_id)
        req.check(f"identity:{rule}", self.target(row))
        return row


async def remove_project(tx: Transaction, project_id: str) -> None:
    """Delete a project with its assignments and as a default of users."""
    await tx.delete(model.ASSIGNMENTS, target_kind="project", target_id=project_id)
    await tx.delete(model.APPLICATION_CREDENTIALS, project_id=project_id)
    await tx.delete(model.TRUSTS, project_id=project_id)
    await tx.delete(model.CREDENTIALS, project_id=project_id)
    await tx.delete(model.OAUTH_REQUESTS, project_id=project_id)
    await tx.delete(model.OAUTH_ACCESSES, project_id=project_id)
    await tx.delete(model.LIMITS, project_id=project_id)
    await tx.delete(model.PROJECT_ENDPOINTS, project_id=project_id)
    await tx.delete(model.PROJECT_ENDPOINT_GROUPS, project_id=project_id)
    await tx.update(model.USERS, {"default_project_id": project_id}, default_project_id=None)
    await tx.delete(model.PROJECTS, id=project_id)


async def _ids_above(req: Request, project: Row) -> dict[str, Any] | None:
    """`{parent: {its parent: {…: {domain: None}}}}`"""
    ids = [one.id for one in await grants.above(req.db, project)]
    nested: dict[str, Any] | None = None
    for id in reversed([*ids, *([project.domain_id] if project.domain_id else [])]):
        nested = {id: nested}
    return nested


async def _ids_below(req: Request, project_id: str) -> dict[str, Any] | None:
    """`{child: {its child: None}, …}`"""
    rows = await req.db.all(model.PROJECTS, {"parent_id": project_id}, order="id")
    return {row.id: await _ids_below(req, row.id) for row in rows} or None


async def _limits(req: Request, project_id: str) -> dict[str, Any]:
    kind = req.service.resources["Limit"]
    rows = await req.db.all(model.LIMITS, {"project_id": project_id}, order="resource_name")
    return {"limits": [kind.view(req, row) for row in rows]}


def _tag_condition(key: str, tags: list[str]) -> Any:
    has = [model.PROJECTS.c.tags.cast(Text).contains(f'"{tag}"', autoescape=True) for tag in tags]
    joined = or_(*has) if key.endswith("any") else and_(*has)
    return not_(joined) if key.startswith("not") else joined


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
