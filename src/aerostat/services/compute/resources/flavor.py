"""Flavors: sizes of servers, made by administrators.

Wire: /flavors in the Compute API, https://docs.openstack.org/api-ref/compute/#flavors
"""

from typing import Any

from sqlalchemy import exists, or_, select

from aerostat.kernel import ids
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import Order
from aerostat.kernel.policy import Policy
from aerostat.kernel.policy.terms import anyone
from aerostat.kernel.resource import Conditions, Resource, Rows

from .. import model
from ..errors import FlavorExists, FlavorIdExists, FlavorNotFound
from .arguments import PAGING, SORTING, at_least, check_query, links
from .schemas import BOOLEAN, DESCRIPTION, NAME, NATURAL, POSITIVE, read_boolean
from .terms import ADMIN

_TABLE = model.FLAVORS
_ID = {
    "oneOf": [
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9. _-]+(?<! )$"},
        {"type": "integer"},
        {"type": "null"},
    ]
}
_BIG = {"maximum": 2147483647, "maxLength": 10}
_FACTOR = {
    "type": ["number", "string"],
    "pattern": r"^[0-9]+(\.[0-9]+)?$",
    "exclusiveMinimum": 0,
    "minLength": 1,
}


def _swap(flavor: Any, req: Request) -> Any:
    return flavor["swap_mib"] or (0 if at_least(req, 75) else "")


class Flavor(Resource):
    path = "/flavors/{flavor_id}"
    detail_path = "/flavors/detail"
    singular, plural = "flavor", "flavors"
    table = _TABLE
    policy = Policy(
        "os_compute_api:os-flavor-manage:{verb}",
        default=ADMIN,
        verbs={"list": "list", "show": "show"},
        list=anyone,
        show=anyone,
    )
    project_column = None
    order = (Order("id"),)
    status = {"create": 200, "delete": 202}
    since = {"update": "2.55"}
    not_found = FlavorNotFound

    id = Field(str, create="optional", summary=True, schema=_ID, default=None)
    name = Field(str, create="required", summary=True, schema=NAME)
    links = Field(list, summary=True, compute=lambda row, req: links(req, "flavors", row["id"]))
    ram = Field(int, column="memory_mib", create="required", schema={**POSITIVE, **_BIG})
    vcpus = Field(int, create="required", schema={**POSITIVE, **_BIG})
    disk = Field(int, column="disk_gib", create="required", schema={**NATURAL, **_BIG})
    swap = Field(
        int, column="swap_mib", create="optional", schema={**NATURAL, **_BIG}, compute=_swap, default=0
    )
    ephemeral = Field(
        int,
        wire="OS-FLV-EXT-DATA:ephemeral",
        column="ephemeral_gib",
        create="optional",
        schema={**NATURAL, **_BIG},
        default=0,
    )
    disabled = Field(bool, wire="OS-FLV-DISABLED:disabled")
    rxtx_factor = Field(float, create="optional", schema=_FACTOR, default=1.0)
    is_public = Field(
        bool, wire="os-flavor-access:is_public", create="optional", schema=BOOLEAN, default=True
    )
    description = Field(
        str,
        create="optional",
        update="required",
        since="2.55",
        summary=True,
        schema=DESCRIPTION,
        default=None,
    )
    extra_specs = Field(dict, since="2.61", policy="os_compute_api:os-flavor-extra-specs:index")

    async def list(self, req: Request) -> Page | Rows:
        check_query(req, PAGING | SORTING | {"is_public", "minRam", "minDisk"})
        return await super().list(req)

    async def find(self, req: Request, id: str) -> Row:
        return await find_flavor(req, id)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        flavor_id = new["id"]
        if flavor_id in (None, "auto"):
            flavor_id = ids.new_id()
        values = {
            "id": str(flavor_id),
            "name": new["name"],
            "memory_mib": int(new["ram"]),
            "vcpus": int(new["vcpus"]),
            "disk_gib": int(new["disk"]),
            "ephemeral_gib": int(new["ephemeral"]),
            "swap_mib": int(new["swap"]),
            "rxtx_factor": float(new["rxtx_factor"]),
            "is_public": read_boolean(new["is_public"]),
            "description": new.get("description"),
        }
        _check_numbers(values)
        if await req.db.count(_TABLE, name=values["name"]):
            raise FlavorExists(name=values["name"])
        try:
            return await req.db.insert(_TABLE, **values)
        except Duplicate:
            raise FlavorIdExists(id=values["id"]) from None

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            await tx.delete(_TABLE, id=row.id)
            await tx.delete(model.FLAVOR_ACCESS, flavor_id=row.id)

    def visible(self, req: Request) -> Conditions:
        """Public ones and those the project was given; administrators choose with `is_public`."""
        if req.context.is_admin:
            asked = req.argument("is_public")
            if asked is not None and asked.lower() == "none":
                return []
            if asked is not None:
                return [_TABLE.c.is_public.is_(req.flag("is_public"))]
            return [_TABLE.c.is_public.is_(True)]
        return [or_(_TABLE.c.is_public.is_(True), _given_to(req.context.project_id))]

    def filters(self, req: Request) -> Conditions:
        conditions = []
        for name, column in (("minRam", _TABLE.c.memory_mib), ("minDisk", _TABLE.c.disk_gib)):
            if (text := req.argument(name)) is not None:
                if not text.isdigit():
                    raise BadRequest(f"Invalid {name} filter [{text}]")
                conditions.append(column >= int(text))
        return conditions

    def sortable(self, req: Request) -> dict[str, str]:
        return {
            "flavorid": "id",
            "id": "id",
            "name": "name",
            "memory_mb": "memory_mib",
            "vcpus": "vcpus",
            "root_gb": "disk_gib",
            "ephemeral_gb": "ephemeral_gib",
            "swap": "swap_mib",
            "rxtx_factor": "rxtx_factor",
            "disabled": "disabled",
            "is_public": "is_public",
            "created_at": "created_at",
            "updated_at": "updated_at",
        }


async def find_flavor(req: Request, id: str) -> Row:
    """The flavor, if the caller may use it. Raises `FlavorNotFound`."""
    row = await req.db.find(_TABLE, id=id)
    if row is None:
        raise FlavorNotFound(id=id)
    if not row.is_public and not req.context.is_admin:
        given = await req.db.find(model.FLAVOR_ACCESS, flavor_id=id, project_id=req.context.project_id)
        if given is None:
            raise FlavorNotFound(id=id)
    return row


def snapshot(flavor: Row) -> dict[str, Any]:
    """A flavor as a server keeps it: later changes and its deletion do not touch the server."""
    kept = ("id", "name", "vcpus", "memory_mib", "disk_gib", "ephemeral_gib", "swap_mib", "extra_specs")
    return {name: flavor[name] for name in kept}


def _given_to(project_id: str | None) -> Any:
    access = model.FLAVOR_ACCESS.c
    return exists(
        select(access.flavor_id).where(access.flavor_id == _TABLE.c.id, access.project_id == project_id)
    )


def _check_numbers(values: dict[str, Any]) -> None:
    """Numbers that came as texts have passed no limit of the schema's."""
    for name in ("memory_mib", "vcpus"):
        if not 1 <= values[name] <= 2147483647:
            raise BadRequest(f"'{name}' argument must be a positive integer")
    for name in ("disk_gib", "ephemeral_gib", "swap_mib"):
        if values[name] > 2147483647:
            raise BadRequest(f"'{name}' argument must be an integer between 0 and 2147483647")
    if values["rxtx_factor"] <= 0:
        raise BadRequest("'rxtx_factor' argument must be a float between 0 and 3.40282e+38")
