"""Extra specs of flavors: wishes that the scheduler and the hypervisor read.

Wire: /flavors/{id}/os-extra_specs,
https://docs.openstack.org/api-ref/compute/#flavors-extra-specs-flavors-os-flavor-extra-specs
"""

from typing import Any

from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy.terms import anyone
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import ExtraSpecNotFound
from .arguments import at_least
from .extra_spec_checks import check_extra_spec
from .flavor import find_flavor
from .schemas import closed
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-flavor-extra-specs:"
_SPECS = {
    "type": "object",
    "patternProperties": {
        "^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "number", "boolean"], "maxLength": 255}
    },
    "additionalProperties": False,
}
_MANY = closed({"extra_specs": _SPECS}, "extra_specs")
_ONE = {**_SPECS, "minProperties": 1, "maxProperties": 1}


class FlavorExtraSpecs(Resource):
    extra_rules = rules(
        (_RULE + "index", anyone),
        (_RULE + "show", anyone),
        (_RULE + "create", ADMIN),
        (_RULE + "update", ADMIN),
        (_RULE + "delete", ADMIN),
    )

    @route("GET", "/flavors/{flavor_id}/os-extra_specs", policy=_RULE + "index")
    async def index(self, req: Request, flavor_id: str) -> dict[str, Any]:
        return {"extra_specs": (await find_flavor(req, flavor_id)).extra_specs}

    @route("POST", "/flavors/{flavor_id}/os-extra_specs", policy=_RULE + "create", body=_MANY)
    async def merge(self, req: Request, flavor_id: str) -> dict[str, Any]:
        flavor = await find_flavor(req, flavor_id)
        added = _checked(req, req.body["extra_specs"])
        await req.db.update(model.FLAVORS, {"id": flavor.id}, extra_specs={**flavor.extra_specs, **added})
        return {"extra_specs": added}

    @route("GET", "/flavors/{flavor_id}/os-extra_specs/{key}", policy=_RULE + "show")
    async def show_one(self, req: Request, flavor_id: str, key: str) -> dict[str, Any]:
        flavor = await find_flavor(req, flavor_id)
        if key not in flavor.extra_specs:
            raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
        return {key: flavor.extra_specs[key]}

    @route("PUT", "/flavors/{flavor_id}/os-extra_specs/{key}", policy=_RULE + "update", body=_ONE)
    async def set_one(self, req: Request, flavor_id: str, key: str) -> dict[str, Any]:
        flavor = await find_flavor(req, flavor_id)
        if key not in req.body:
            raise BadRequest("Request body and URI mismatch")
        changed = _checked(req, req.body)
        await req.db.update(model.FLAVORS, {"id": flavor.id}, extra_specs={**flavor.extra_specs, **changed})
        return changed

    @route("DELETE", "/flavors/{flavor_id}/os-extra_specs/{key}", policy=_RULE + "delete")
    async def delete_one(self, req: Request, flavor_id: str, key: str) -> Response:
        flavor = await find_flavor(req, flavor_id)
        if key not in flavor.extra_specs:
            raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
        kept = {name: value for name, value in flavor.extra_specs.items() if name != key}
        await req.db.update(model.FLAVORS, {"id": flavor.id}, extra_specs=kept)
        return Response(None, 200)


def _checked(req: Request, specs: dict[str, Any]) -> dict[str, str]:
    """All as texts; since 2.86 known names with values that they can have."""
    texts = {key: str(value) for key, value in specs.items()}
    if at_least(req, 86):
        for name, value in texts.items():
            check_extra_spec(name, value)
    return texts
