"""Services, endpoints and regions: what the catalog is made of.

https://docs.openstack.org/api-ref/identity/v3/#service-catalog-and-endpoints
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row, StillReferenced
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import anyone
from aerostat.kernel.resource import View, route

from .. import model
from ..errors import EndpointNotFound, RegionNotFound, ServiceNotFound
from ..rules import ANY_SCOPE, LOOK, policy_of
from .shape import Named, insert_named, links

_TEXT = {"type": ["string", "null"]}


class CatalogService(Named):
    path = "/v3/services/{service_id}"
    singular, plural = "service", "services"
    table = model.SERVICES
    project_column = None
    not_found = ServiceNotFound
    extra_body_keys = True
    policy = policy_of("service", "services", list=LOOK, show=LOOK)

    id = Field(str)
    type = Field(str, create="required", update="optional", length=(1, 255), filter=True)
    name = Field(str, create="optional", update="optional", length=(0, 255), filter=True, nullable=True)
    description = Field(str, create="optional", update="optional", nullable=True)
    enabled = Field(bool, create="optional", update="optional", default=True)
    links = links()

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        view = super().view(req, row, brief)
        return {
            key: value
            for key, value in view.items()
            if value is not None or key not in ("name", "description")
        }


class CatalogEndpoint(Named):
    path = "/v3/endpoints/{endpoint_id}"
    singular, plural = "endpoint", "endpoints"
    table = model.ENDPOINTS
    project_column = None
    not_found = EndpointNotFound
    extra_body_keys = True
    policy = policy_of("endpoint", "endpoints", list=LOOK, show=LOOK)

    id = Field(str)
    interface = Field(
        str, create="required", update="optional", choices=("admin", "internal", "public"), filter=True
    )
    service_id = Field(str, create="required", update="optional", filter=True)
    region = Field(str, create="optional", update="optional", schema=_TEXT, column="region_id")
    region_id = Field(str, create="optional", update="optional", schema=_TEXT, filter=True)
    url = Field(str, create="required", update="optional", length=(1, 2048), pattern=r"^[^\s]+$")
    enabled = Field(bool, create="optional", update="optional", default=True)
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        await self._check(req, new)
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        await self._check(req, changes)
        return await super().update(req, row, changes)

    async def _check(self, req: Request, values: dict[str, Any]) -> None:
        region = values.pop("region", None)
        if region is not None and values.get("region_id") is None:
            values["region_id"] = region
        url = values.get("url")
        if url is not None:
            for known in ("project_id", "tenant_id", "user_id"):
                url = url.replace(f"$({known})s", "").replace(f"%({known})s", "")
            if "$(" in url or "%(" in url:
                raise BadRequest(f"Malformed endpoint URL ({values['url']}), see ERROR log for details.")
        if "service_id" in values and await req.db.find(model.SERVICES, id=values["service_id"]) is None:
            raise BadRequest(f"Could not find service: {values['service_id']}.")
        region_id = values.get("region_id")
        if region_id is not None and await req.db.find(model.REGIONS, id=region_id) is None:
            if region is None:
                raise BadRequest(f"Could not find region: {region_id}.")
            await insert_named(req, "region", model.REGIONS, {"id": region_id})


class Region(Named):
    path = "/v3/regions/{region_id}"
    singular, plural = "region", "regions"
    table = model.REGIONS
    project_column = None
    not_found = RegionNotFound
    extra_body_keys = True
    policy = policy_of(
        "region",
        "regions",
        list=anyone,
        show=anyone,
        verb_scopes={"list": ANY_SCOPE, "show": ANY_SCOPE},
    )

    id = Field(str, create="optional", schema={"type": "string", "maxLength": 255})
    description = Field(str, create="optional", update="optional", nullable=True, default="")
    parent_region_id = Field(str, create="optional", update="optional", schema=_TEXT, filter=True)
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        from aerostat.kernel.ids import new_hex_id

        new["id"] = new.get("id") or new_hex_id()
        new["description"] = new.get("description") or ""
        await self._check_parent(req, new)
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        await self._check_parent(req, changes, row.id)
        if changes.get("description", "") is None:
            changes["description"] = ""
        return await super().update(req, row, changes)

    async def delete(self, req: Request, row: Row) -> None:
        limited = await req.db.count(model.REGISTERED_LIMITS, region_id=row.id)
        if limited or await req.db.count(model.REGIONS, parent_region_id=row.id):
            raise Forbidden(
                f"Unable to delete region {row.id} because it or its child regions have associated endpoints."
            )
        try:
            await super().delete(req, row)
        except StillReferenced:
            raise Forbidden(
                f"Unable to delete region {row.id} because it or its child regions have associated endpoints."
            ) from None

    @route("PUT", "/v3/regions/{region_id}")
    async def create_named(self, req: Request, region_id: str) -> Response:
        """Create under an id of the client's choice."""
        req.check(self.policy.name("create"))
        new = await self._read(req, "create")
        if new.get("id") not in (None, region_id):
            raise BadRequest("Conflicting region IDs specified: in the URL and in the body.")
        if await req.db.find(model.REGIONS, id=region_id) is not None:
            raise Conflict(f"Conflict occurred attempting to store region - Duplicate ID, {region_id}.")
        return Response(await self.render(req, await self.create(req, {**new, "id": region_id})), 201)

    async def _check_parent(self, req: Request, values: dict[str, Any], own_id: str | None = None) -> None:
        """A region lies in one that is there, and not in itself by any way."""
        parent = values.get("parent_region_id")
        if parent is None:
            return
        if await req.db.find(model.REGIONS, id=parent) is None:
            raise RegionNotFound(id=parent)
        if own_id in await regions_upwards(req, parent):
            raise BadRequest("A region cannot be its own parent.")


async def regions_upwards(req: Request, region_id: str | None) -> list[str]:
    """The region and those around it, the innermost first."""
    found: list[str] = []
    while region_id is not None and region_id not in found:
        found.append(region_id)
        row = await req.db.find(model.REGIONS, id=region_id)
        region_id = row.parent_region_id if row is not None else None
    return found
