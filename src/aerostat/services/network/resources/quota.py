"""Quotas of projects: limits, defaults and what is in use.

https://docs.openstack.org/api-ref/network/v2/#quotas-extension-quotas
"""

import operator
from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Rule, admin, owner, reader
from aerostat.kernel.quota import EVERYONE
from aerostat.kernel.resource import Resource, route

from ..errors import QuotaLimitTooLow, TenantQuotaNotFound, refuse_body, refuse_value
from ..quotas import QUOTAS

_MOST = 0x7FFFFFFF


class Quota(Resource):
    extra_rules = (
        Rule(name="get_quota", text=(admin | reader & owner("project_id")).text),
        Rule(name="update_quota", text=admin.text),
        Rule(name="delete_quota", text=admin.text),
    )

    @route("GET", "/quotas")
    async def all(self, req: Request) -> dict[str, Any]:
        """Projects with limits of their own."""
        req.check("get_quota", {"project_id": ""})
        async with req.db.snapshot() as tx:
            projects = await QUOTAS.projects(tx)
            limits = {
                project: await QUOTAS.limits(tx, project) for project in projects if project != EVERYONE
            }
        return {
            "quotas": [
                {**limit, "project_id": project, "tenant_id": project} for project, limit in limits.items()
            ]
        }

    @route("GET", "/quotas/tenant")
    async def tenant(self, req: Request) -> dict[str, Any]:
        """Which project the token is of, by its older name."""
        return {"tenant": {"tenant_id": req.context.project_id}}

    @route("GET", "/quotas/project")
    async def project(self, req: Request) -> dict[str, Any]:
        return {"project": {"project_id": req.context.project_id}}

    @route("GET", "/quotas/{project_id}")
    async def show_limits(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check("get_quota", {"project_id": project_id})
        return {"quota": await QUOTAS.limits(req.db, project_id)}

    @route("GET", "/quotas/{project_id}/default")
    async def defaults(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check("get_quota", {"project_id": project_id})
        return {"quota": await QUOTAS.limits(req.db)}

    @route("GET", "/quotas/{project_id}/details.json")
    async def details(self, req: Request, project_id: str) -> dict[str, Any]:
        return await self._details(req, project_id)

    @route("GET", "/quotas/{project_id}/details")
    async def details_too(self, req: Request, project_id: str) -> dict[str, Any]:
        return await self._details(req, project_id)

    @route("PUT", "/quotas/{project_id}")
    async def set_limits(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check("update_quota", {"project_id": project_id})
        limits, checked = _read_limits(req.body)
        async with req.db.transaction() as tx:
            if checked:
                used = await QUOTAS.usage(tx, project_id)
                for name, limit in limits.items():
                    if -1 < limit < used[name]:
                        raise QuotaLimitTooLow(resource=name, limit=limit, used=used[name])
            await QUOTAS.set_limits(tx, project_id, limits)
            return {"quota": await QUOTAS.limits(tx, project_id)}

    @route("DELETE", "/quotas/{project_id}")
    async def reset(self, req: Request, project_id: str) -> Response:
        req.check("delete_quota", {"project_id": project_id})
        async with req.db.transaction() as tx:
            if project_id not in await QUOTAS.projects(tx):
                raise TenantQuotaNotFound(tenant_id=project_id)
            await QUOTAS.reset(tx, project_id)
        return Response(None, 204)

    async def _details(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check("get_quota", {"project_id": project_id})
        async with req.db.snapshot() as tx:
            limits, used = await QUOTAS.limits(tx, project_id), await QUOTAS.usage(tx, project_id)
        return {
            "quota": {
                name: {"limit": limits[name], "used": used[name], "reserved": 0} for name in QUOTAS.names
            }
        }


def _read_limits(body: Any) -> tuple[dict[str, int], bool]:
    """The limits, and whether they are to be held against what is in use (`check_limit`, or `force` of false)."""
    if not isinstance(body, dict) or not isinstance(body.get("quota"), dict):
        raise refuse_body("Unable to find 'quota' in request body")
    asked = {name: value for name, value in body["quota"].items() if name not in ("project_id", "tenant_id")}
    checked = asked.pop("check_limit", False) is True
    checked |= asked.pop("force", True) is False
    if unknown := sorted(set(asked) - set(QUOTAS.names)):
        raise refuse_body(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    limits = {}
    for name, value in asked.items():
        try:
            limits[name] = int(value) if isinstance(value, str) else operator.index(value)
        except (TypeError, ValueError):
            raise refuse_value(name, f"'{value}' is not an integer") from None
        if isinstance(value, bool) or not -1 <= limits[name] <= _MOST:
            raise refuse_value(name, f"'{value}' is not in valid range")
    return limits, checked
