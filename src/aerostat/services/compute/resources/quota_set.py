"""Quota sets: how much each project may have.

Wire: /os-quota-sets and /os-quota-class-sets,
https://docs.openstack.org/api-ref/compute/#quota-sets-os-quota-sets
"""

from typing import Any

from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.quota import EVERYONE
from aerostat.kernel.resource import Resource, route

from ..quotas import QUOTAS
from .arguments import at_least, check_query
from .schemas import BOOLEAN, closed, read_boolean
from .terms import ADMIN, READER, rules

_RULE = "os_compute_api:os-quota-sets:"
_CLASS_RULE = "os_compute_api:os-quota-class-sets:"
_NUMBER = {
    "type": ["integer", "string"],
    "pattern": "^-?[0-9]+$",
    "minimum": -1,
    "maximum": 0x7FFFFFFF,
    "minLength": 1,
}
_INJECTED = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
_OF_NETWORK = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
_WORDING = "Invalid input for field/attribute %(path)s. Value: %(value)s. %(reason)s"


class QuotaSet(Resource):
    extra_rules = rules(
        (_RULE + "show", READER),
        (_RULE + "defaults", READER),
        (_RULE + "detail", READER),
        (_RULE + "update", ADMIN),
        (_RULE + "delete", ADMIN),
        (_CLASS_RULE + "show", ADMIN),
        (_CLASS_RULE + "update", ADMIN),
    )

    @route("GET", "/os-quota-sets/{project_id}")
    async def show_set(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check(_RULE + "show", {"project_id": project_id})
        check_query(req, {"user_id"})
        limits = await QUOTAS.limits(req.db, project_id)
        return {"quota_set": {"id": project_id, **_shown(req, limits)}}

    @route("GET", "/os-quota-sets/{project_id}/defaults")
    async def defaults(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check(_RULE + "defaults", {"project_id": project_id})
        limits = await QUOTAS.limits(req.db, EVERYONE)
        return {"quota_set": {"id": project_id, **_shown(req, limits)}}

    @route("GET", "/os-quota-sets/{project_id}/detail")
    async def detail(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check(_RULE + "detail", {"project_id": project_id})
        check_query(req, {"user_id"})
        async with req.db.snapshot() as tx:
            limits = await QUOTAS.limits(tx, project_id)
            used = await QUOTAS.usage(tx, project_id)
        shown = {
            name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0}
            for name, limit in _shown(req, limits).items()
        }
        return {"quota_set": {"id": project_id, **shown}}

    @route("PUT", "/os-quota-sets/{project_id}")
    async def change(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check(_RULE + "update", {"project_id": project_id})
        check_query(req, {"user_id"})
        _checker(req, "quota_set", forced=True).check(req.body)
        asked = dict(req.body["quota_set"])
        force = read_boolean(asked.pop("force", False))
        asked.pop("tenant_id", None)
        limits = {name: int(value) for name, value in asked.items() if name in QUOTAS.names}
        async with req.db.transaction() as tx:
            if not force:
                used = await QUOTAS.usage(tx, project_id)
                for name, limit in limits.items():
                    if 0 <= limit < used[name]:
                        raise BadRequest(
                            f"Quota limit {limit} for {name} must be greater than or equal to already used "
                            f"and reserved {used[name]}."
                        )
            await QUOTAS.set_limits(tx, project_id, limits)
            now = await QUOTAS.limits(tx, project_id)
        return {"quota_set": _shown(req, now)}

    @route("DELETE", "/os-quota-sets/{project_id}")
    async def reset(self, req: Request, project_id: str) -> Response:
        req.check(_RULE + "delete", {"project_id": project_id})
        async with req.db.transaction() as tx:
            await QUOTAS.reset(tx, project_id)
        return Response(None, 202)

    @route("GET", "/os-quota-class-sets/{name}", policy=_CLASS_RULE + "show")
    async def show_class(self, req: Request, name: str) -> dict[str, Any]:
        limits = await QUOTAS.limits(req.db, EVERYONE)
        return {"quota_class_set": {"id": name, **_class_shown(req, limits)}}

    @route("PUT", "/os-quota-class-sets/{name}", policy=_CLASS_RULE + "update")
    async def change_class(self, req: Request, name: str) -> dict[str, Any]:
        """There is one class, `default`: the limits of projects without any of their own."""
        _checker(req, "quota_class_set", forced=False).check(req.body)
        if name != "default":
            raise BadRequest(f"Quota class {name} is not there; only default is.")
        asked = req.body["quota_class_set"]
        limits = {key: int(value) for key, value in asked.items() if key in QUOTAS.names}
        async with req.db.transaction() as tx:
            await QUOTAS.set_limits(tx, EVERYONE, limits)
            now = await QUOTAS.limits(tx, EVERYONE)
        return {"quota_class_set": _class_shown(req, now)}


def _shown(req: Request, limits: dict[str, int]) -> dict[str, int]:
    shown = dict(limits)
    if not at_least(req, 36):
        shown |= dict.fromkeys(_OF_NETWORK, -1)
    if at_least(req, 57):
        for name in _INJECTED:
            shown.pop(name, None)
    return shown


def _class_shown(req: Request, limits: dict[str, int]) -> dict[str, int]:
    """As a project's, but groups of servers only since 2.50, and network's quotas until then."""
    shown = _shown(req, limits)
    if at_least(req, 50):
        return {name: limit for name, limit in shown.items() if name not in _OF_NETWORK}
    without = ("server_groups", "server_group_members")
    return {
        name: limit for name, limit in (shown | dict.fromkeys(_OF_NETWORK, -1)).items() if name not in without
    }


def _checker(req: Request, envelope: str, *, forced: bool) -> BodySchema:
    names = [name for name in QUOTAS.names if not (at_least(req, 57) and name in _INJECTED)]
    if not at_least(req, 36):
        names += _OF_NETWORK
    inner: dict[str, Any] = dict.fromkeys(names, _NUMBER)
    if forced:
        inner |= {"force": BOOLEAN, "tenant_id": {"type": "string"}}
    return BodySchema(closed({envelope: closed(inner)}, envelope), _WORDING)
