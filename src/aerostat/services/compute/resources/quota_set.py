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

from ..quotas import OF_NETWORK, QUOTAS
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
    return {name: limits[name] for name in _names(req)}


def _class_shown(req: Request, limits: dict[str, int]) -> dict[str, int]:
    """As a project's, but server groups only since 2.50, and the network's quotas until then."""
    names = {*_names(req), *OF_NETWORK} - {"server_groups", "server_group_members"}
    if at_least(req, 50):
        names = set(_names(req))
    return {name: limits[name] for name in limits if name in names}


def _names(req: Request) -> list[str]:
    """The quotas that this microversion knows."""
    hidden = {*(OF_NETWORK if at_least(req, 36) else ()), *(_INJECTED if at_least(req, 57) else ())}
    return [name for name in QUOTAS.names if name not in hidden]


def _checker(req: Request, envelope: str, *, forced: bool) -> BodySchema:
    names = _names(req) if forced or at_least(req, 50) else [*_names(req), *OF_NETWORK]
    inner: dict[str, Any] = dict.fromkeys(names, _NUMBER)
    if forced:
        inner |= {"force": BOOLEAN, "tenant_id": {"type": "string"}}
    return BodySchema(closed({envelope: closed(inner)}, envelope), _WORDING)
