"""Roles, and which role brings which others with it. https://docs.openstack.org/api-ref/identity/v3/#roles"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Forbidden, NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions, View, route

from .. import model
from ..errors import ProhibitedImplication, RoleNotFound
from ..rules import ANY_SCOPE, CLOUD_SCOPES, LOOK, SYSTEM_READER, policy_of, rules
from .shape import DOMAIN_ID, IMMUTABLE, Named, changed, links


class Role(Named):
    path = "/v3/roles/{role_id}"
    singular, plural = "role", "roles"
    table = model.ROLES
    project_column = None
    not_found = RoleNotFound
    extra_body_keys = True
    policy_first = ()
    policy = policy_of(
        "role",
        "roles",
        list=Term(f"({SYSTEM_READER}) or (role:manager and not domain_id:None)", 0),
        show=Term(f"({SYSTEM_READER}) or (role:manager and rule:domain_managed_target_role)", 0),
        verb_scopes={"list": ANY_SCOPE, "show": ANY_SCOPE},
    )
    domain_policy = policy_of("domain_role", "domain_roles", list=LOOK, show=LOOK)
    extra_rules = (
        *domain_policy.rules(("list", "show", "create", "update", "delete")),
        *rules(
            {
                **dict.fromkeys(("create_implied_role", "delete_implied_role"), "rule:admin_required"),
                **dict.fromkeys(("get_implied_role", "check_implied_role", "list_implied_roles"), LOOK.text),
                "list_role_inference_rules": LOOK.text,
            },
            CLOUD_SCOPES,
        ),
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 255), filter=True, pattern=r"\S")
    domain_id = Field(str, create="optional", update="optional", schema=DOMAIN_ID)
    description = Field(str, create="optional", update="optional", nullable=True)
    options = Field(dict, create="optional", update="optional", schema=IMMUTABLE, default=dict)
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["domain_id"] = new.get("domain_id") or ""
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if (changes.pop("domain_id", None) or row.domain_id) != row.domain_id:
            raise BadRequest("Cannot change Domain ID.")
        return await super().update(req, row, changes)

    def visible(self, req: Request) -> Conditions:
        return [model.ROLES.c.domain_id == (req.argument("domain_id") or "")]

    def _allow(self, req: Request, verb: str, target: Mapping[str, Any] | None = None) -> None:
        """A domain's own roles have rules of their own."""
        domain_id = target.get("domain_id") if target is not None and verb != "create" else None
        if verb == "create":
            body = req.body.get("role") if isinstance(req.body, dict) else None
            domain_id = body.get("domain_id") if isinstance(body, dict) else None
        elif verb == "list":
            domain_id = req.argument("domain_id")
        if domain_id:
            req.check(self.domain_policy.name(verb), target)
        else:
            super()._allow(req, verb, target)

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        view = super().view(req, row, brief)
        view["domain_id"] = row["domain_id"] or None
        return view

    @route("GET", "/v3/roles/{prior_role_id}/implies", policy="identity:list_implied_roles")
    async def implied(self, req: Request, prior_role_id: str) -> dict[str, Any]:
        prior = await self.find(req, prior_role_id)
        rows = await req.db.all(model.IMPLIED_ROLES, {"prior_role_id": prior.id})
        ids = [row.implied_role_id for row in rows]
        roles = await req.db.all(model.ROLES, {"id": ids}, order="name") if ids else []
        return {
            "role_inference": {
                "prior_role": self._brief(req, prior),
                "implies": [self._brief(req, role) for role in roles],
            },
            "links": {"self": req.url},
        }

    @route(
        "PUT", "/v3/roles/{prior_role_id}/implies/{implied_role_id}", policy="identity:create_implied_role"
    )
    async def imply(self, req: Request, prior_role_id: str, implied_role_id: str) -> Response:
        prior, following = await self.find(req, prior_role_id), await self.find(req, implied_role_id)
        if following.name == "admin":
            raise ProhibitedImplication(implied=following.id)
        if following.domain_id and not prior.domain_id:
            raise Forbidden("Global role cannot imply a domain-specific role.")
        try:
            await req.db.insert(model.IMPLIED_ROLES, prior_role_id=prior.id, implied_role_id=following.id)
        except Duplicate:
            pass  # implied already: the answer is the same
        changed(req)
        return Response(self._inference(req, prior, following), 201)

    @route("GET", "/v3/roles/{prior_role_id}/implies/{implied_role_id}", policy="identity:get_implied_role")
    async def implication(self, req: Request, prior_role_id: str, implied_role_id: str) -> dict[str, Any]:
        prior, following = await self.find(req, prior_role_id), await self.find(req, implied_role_id)
        await self._implication(req, prior_role_id, implied_role_id)
        return self._inference(req, prior, following)

    @route(
        "HEAD",
        "/v3/roles/{prior_role_id}/implies/{implied_role_id}",
        status=204,
        policy="identity:check_implied_role",
    )
    async def is_implied(self, req: Request, prior_role_id: str, implied_role_id: str) -> None:
        await self._implication(req, prior_role_id, implied_role_id)

    @route(
        "DELETE",
        "/v3/roles/{prior_role_id}/implies/{implied_role_id}",
        status=204,
        policy="identity:delete_implied_role",
    )
    async def stop_implying(self, req: Request, prior_role_id: str, implied_role_id: str) -> None:
        await self._implication(req, prior_role_id, implied_role_id)
        await req.db.delete(model.IMPLIED_ROLES, prior_role_id=prior_role_id, implied_role_id=implied_role_id)
        changed(req)

    @route("GET", "/v3/role_inferences", policy="identity:list_role_inference_rules")
    async def inferences(self, req: Request) -> dict[str, Any]:
        roles = {row.id: row for row in await req.db.all(model.ROLES)}
        following: dict[str, list[Any]] = {}
        for row in await req.db.all(model.IMPLIED_ROLES):
            following.setdefault(row.prior_role_id, []).append(self._brief(req, roles[row.implied_role_id]))
        return {
            "role_inferences": [
                {"prior_role": self._brief(req, roles[prior]), "implies": implied}
                for prior, implied in following.items()
            ],
            "links": {"self": req.url, "previous": None, "next": None},
        }

    async def _implication(self, req: Request, prior: str, following: str) -> None:
        if await req.db.find(model.IMPLIED_ROLES, prior_role_id=prior, implied_role_id=following) is None:
            raise NotFound(f"{prior} does not imply {following}.")

    def _inference(self, req: Request, prior: Row, following: Row) -> dict[str, Any]:
        return {
            "role_inference": {"prior_role": self._brief(req, prior), "implies": self._brief(req, following)},
            "links": {"self": req.url},
        }

    def _brief(self, req: Request, row: Row) -> dict[str, Any]:
        return {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "links": {"self": f"{req.base_url}{req.service.prefix}/v3/roles/{row.id}"},
        }
