"""Images. https://docs.openstack.org/api-ref/image/v2/#images

Wire: no envelope around one image, and properties of the client's own stand beside the known fields.
"""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, exists, false, or_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, UnsupportedMediaType
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import next_url
from aerostat.kernel.policy import Policy, Rule, admin, project_member, project_reader, reader
from aerostat.kernel.policy.terms import Term
from aerostat.kernel.resource import Conditions, Resource, Rows, View, Views, get_or, route

from .. import model, quotas
from ..caching import cache_of
from ..config import ImageConfig
from ..copies import plan_removal, remove_due
from ..errors import ImageNotFound, ImageProtected, TooMany
from ..filters import moment_filter, value_filter
from ..patch import apply_patch, check_writable
from ..protections import protections_of
from ..reading import best_first, by_weight
from ..states import IMAGE
from ..stores import HIDDEN, stores_of

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("community", "public", "private", "shared")
_FORMAT = {"type": ["string", "null"]}
_TAGS = {"type": "array", "items": {"type": "string", "maxLength": 255}}
_PATCH_TYPES = (
    "application/openstack-images-v2.1-json-patch",
    "application/openstack-images-v2.0-json-patch",
    "application/json-patch+json",
)
OWN = "role:admin or (role:member and project_id:%(project_id)s)"
_SHARED_WITH_ALL = "'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
_SEEN = f"project_id:%(project_id)s or project_id:%(member_id)s or {_SHARED_WITH_ALL}"
UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_SIZE = re.compile(r"[0-9]{1,18}")
# Query arguments that are neither fields nor properties.
_OTHER_ARGUMENTS = frozenset(
    {
        "limit",
        "marker",
        "sort",
        "sort_key",
        "sort_dir",
        "member_status",
        "tag",
        "size_min",
        "size_max",
        "visibility",
    }
)


class Image(Resource):
    path = "/images/{image_id}"
    singular, plural = "", "images"
    table = model.IMAGES
    verbs = ("list", "show", "create", "delete")
    project_column = "owner"
    not_found = ImageNotFound
    extra_body_keys = True
    policy = Policy(
        "{verb}",
        default=admin | project_member,
        verbs={"list": "get_images", "show": "get_image", "create": "add_image", "delete": "delete_image"},
        list=admin | project_reader,
        show=admin | (reader & Term(_SEEN, 0)),
    )
    extra_rules = (
        *(Rule(name=name, text=OWN) for name in ("modify_image", "upload_image", "communitize_image")),
        *(Rule(name=name, text=OWN) for name in ("deactivate", "reactivate")),
        Rule(name="download_image", text=f"role:admin or (role:member and ({_SEEN}))"),
        Rule(name="publicize_image", text="role:admin"),
        Rule(name="get_image_location", text="role:admin or (role:reader and project_id:%(project_id)s)"),
        Rule(name="set_image_location", text=OWN),
        Rule(name="delete_image_location", text="role:admin"),
    )

    id = Field(str, create="optional", schema={"type": "string", "pattern": UUID})
    name = Field(str, create="optional", schema={"type": ["string", "null"], "maxLength": 255})
    shown_status = Field(str, wire="status", column="status", sort=True)
    visibility = Field(str, create="optional", choices=VISIBILITIES, default="shared")
    protected = Field(bool, create="optional", default=False, filter=True)
    os_hidden = Field(bool, create="optional", default=False)
    owner = Field(str, create="optional", schema={"type": ["string", "null"], "maxLength": 255}, filter=True)
    size = Field(int, filter=True, minimum=0, maximum=2**62)
    virtual_size = Field(int, filter=True, minimum=0, maximum=2**62)
    checksum = Field(str, filter=True)
    os_hash_algo = Field(str, filter=True)
    os_hash_value = Field(str, filter=True)
    min_disk = Field(int, create="optional", minimum=0, maximum=2147483647, default=0, filter=True)
    min_ram = Field(int, create="optional", minimum=0, maximum=2147483647, default=0, filter=True)
    disk_format = Field(str, create="optional", schema={**_FORMAT, "enum": [None, *DISK_FORMATS]})
    container_format = Field(str, create="optional", schema={**_FORMAT, "enum": [None, *CONTAINER_FORMATS]})
    created_at = Field(str)
    updated_at = Field(str)
    tags = Field(list, create="optional", schema=_TAGS, default=list, stored=False)
    self_ = Field(str, wire="self", compute=lambda row, req: f"/v2/images/{row['id']}")
    file = Field(str, compute=lambda row, req: f"/v2/images/{row['id']}/file")
    schema = Field(str, compute=lambda row, req: "/v2/schemas/image")

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        for name in req.body:
            check_writable(name)
        properties, tags = check_properties(req, new.pop("extra")), new.pop("tags")
        new.setdefault("owner", req.context.project_id)
        if new["owner"] != req.context.project_id and not req.context.is_admin:
            raise Forbidden(f"You are not permitted to create images owned by '{new['owner']}'.")
        check_visibility(req, self.target(new), new["visibility"])
        if len(set(tags)) > config_of(req).max_tags:
            raise TooMany(what="tags", asked=len(set(tags)), limit=config_of(req).max_tags)
        limits = await quotas.limits_of(req, new["owner"])
        async with req.db.transaction() as tx:
            await quotas.check_in(tx, new["owner"], limits, image_count_total=1)
            try:
                row = await tx.insert(model.IMAGES, status=IMAGE.initial, **{**new, "updated_at": now()})
            except Duplicate as error:
                raise Conflict(f"Image ID {new.get('id')} already exists!") from error
            await set_properties(tx, row.id, properties)
            for tag in dict.fromkeys(tags):
                await tx.insert(model.TAGS, image_id=row.id, value=tag)
        return row

    async def delete(self, req: Request, row: Row) -> None:
        if row.protected:
            raise ImageProtected(id=row.id)
        # Row first, bytes after: an image without its bytes would be a lie.
        delay_s = config_of(req).delete_delay_s
        async with req.db.transaction() as tx:
            await tx.delete(model.IMAGES, id=row.id)
            await plan_removal(tx, row.id, delay_s)
        await remove_due(req.house, row.id, only_local=True)
        await cache_of(req.house).drop(row.id)

    @route("PATCH", "/images/{image_id}", raw_body=True)
    async def patch(self, req: Request, image_id: str) -> Any:
        """JSON patch (RFC 6902) over the image as it is shown, less what is read-only."""
        content_type = req.headers.get("content-type", "").split(";")[0].strip()
        if content_type not in _PATCH_TYPES:
            raise UnsupportedMediaType(f"Unsupported Content-Type {content_type}; use {_PATCH_TYPES[0]}")
        changes = await req.json()
        row = await self.find(req, image_id)
        req.check("modify_image", self.target(row))
        async with req.db.transaction() as tx:
            row = await get_or(ImageNotFound(id=image_id), tx.get(model.IMAGES, id=image_id))
            await apply_patch(req, tx, row, changes)
            row = await tx.get(model.IMAGES, id=image_id)
        return Response(await self.render(req, row), 200, resource_id=image_id)

    @route("DELETE", "/images")
    async def delete_unnamed(self, req: Request) -> None:
        """`/images/`: the id is empty."""
        raise ImageNotFound(id="")

    @route("POST", "/images/{image_id}/actions/deactivate", status=204)
    async def deactivate(self, req: Request, image_id: str) -> None:
        await self._move(req, image_id, "deactivate")

    @route("POST", "/images/{image_id}/actions/reactivate", status=204)
    async def reactivate(self, req: Request, image_id: str) -> None:
        await self._move(req, image_id, "reactivate")

    @route("PUT", "/images/{image_id}/tags/{tag}", status=204)
    async def add_tag(self, req: Request, image_id: str, tag: str) -> None:
        row = await self.find(req, image_id)
        req.check("modify_image", self.target(row))
        if len(tag) > 255:
            raise BadRequest("Invalid tag: at most 255 characters.")
        async with req.db.transaction() as tx:
            if await tx.find(model.TAGS, image_id=row.id, value=tag) is None:
                have = await tx.count(model.TAGS, image_id=row.id)
                if have >= config_of(req).max_tags:
                    raise TooMany(what="tags", asked=have + 1, limit=config_of(req).max_tags)
                await tx.insert(model.TAGS, image_id=row.id, value=tag)

    @route("DELETE", "/images/{image_id}/tags/{tag}", status=204)
    async def remove_tag(self, req: Request, image_id: str, tag: str) -> None:
        row = await self.find(req, image_id)
        req.check("modify_image", self.target(row))
        if not await req.db.delete(model.TAGS, image_id=row.id, value=tag):
            raise NotFound("Could not find tag.")

    async def find(self, req: Request, id: str) -> Row:
        row = await req.db.find(model.IMAGES, id=id)
        if row is None or not await self._is_visible(req, row):
            raise ImageNotFound(id=id)
        return row

    async def _is_visible(self, req: Request, row: Row) -> bool:
        if req.context.is_admin or row.visibility in ("public", "community"):
            return True
        if req.context.project_id is None:  # not the owner of images that nobody owns
            return False
        if row.owner == req.context.project_id:
            return True
        if row.visibility != "shared":
            return False
        return await req.db.find(model.MEMBERS, image_id=row.id, member_id=req.context.project_id) is not None

    def target(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As upstream's rules name it: `find` has already hidden what was not shared with the caller."""
        return {**row, "project_id": row["owner"]}

    async def _create(self, req: Request) -> Response:
        response = await super()._create(req)
        response.headers["Location"] = f"{req.url}/{response.resource_id}"
        if methods := config_of(req).import_methods:
            response.headers["OpenStack-image-import-methods"] = ",".join(methods)
        response.headers["OpenStack-image-store-ids"] = ",".join(one.name for one in stores_of(req.house).all)
        return response

    async def _move(self, req: Request, image_id: str, event: str) -> None:
        row = await self.find(req, image_id)
        req.check(event, self.target(row))
        if row.status not in ("active", "deactivated"):
            raise Forbidden(f"Not allowed to {event} image in status '{row.status}'")
        async with req.db.transaction() as tx:
            await IMAGE.move(tx, model.IMAGES, row.id, event)

    # Lists.

    async def list(self, req: Request) -> Page | Rows:
        if req.path.endswith("/"):  # an image with an empty id is asked for
            raise ImageNotFound(id="")
        if "changes-since" in req.query:
            raise BadRequest('The "changes-since" filter is no longer available on v2.')
        if "sort" in req.query and not {"sort_key", "sort_dir"}.isdisjoint(req.query):
            raise BadRequest("Old and new sorting syntax cannot be combined")
        keys, directions = (req.query.get(name, []) for name in ("sort_key", "sort_dir"))
        if len(directions) > 1 and len(directions) != len(keys):
            raise BadRequest("Number of sort dirs does not match the number of sort keys")
        return await super().list(req)

    def visible(self, req: Request) -> Conditions:
        table, project = model.IMAGES, req.context.project_id
        asked = req.argument("visibility")
        if asked is not None and asked not in (*VISIBILITIES, "all"):
            raise BadRequest(f"Invalid visibility value: {asked}")
        conditions: Conditions = []
        if not req.context.is_admin or asked == "shared":
            own = table.c.owner == project if project is not None else false()
            shared = and_(table.c.visibility == "shared", self._member(req))
            seen = [own, table.c.visibility == "public", shared]
            if asked in ("community", "all"):
                seen.append(table.c.visibility == "community")
            conditions.append(or_(*seen))
        elif asked is None:
            conditions.append(or_(table.c.visibility != "community", table.c.owner == project))
        if asked not in (None, "all"):
            conditions.append(table.c.visibility == asked)
        hidden = req.flag("os_hidden") if "os_hidden" in req.query else False
        conditions.append(table.c.os_hidden.is_(hidden))
        return conditions

    def filters(self, req: Request) -> Conditions:
        table = model.IMAGES
        conditions = super().filters(req)
        for name in ("id", "name", "status", "disk_format", "container_format"):
            if name in req.query:
                conditions.append(value_filter(table.c[name], req.query[name][-1]))
        for name in ("created_at", "updated_at"):
            for text in req.query.get(name, []):
                conditions.append(moment_filter(table.c[name], name, text))
        for name, bound in (("size_min", table.c.size.__ge__), ("size_max", table.c.size.__le__)):
            if name in req.query:
                text = req.query[name][-1]
                if not _SIZE.fullmatch(text):
                    raise BadRequest(f"Invalid value for option {name}: {text}")
                conditions.append(bound(int(text)))
        for tag in req.query.get("tag", []):
            conditions.append(
                exists(select(1).where(model.TAGS.c.image_id == table.c.id, model.TAGS.c.value == tag))
            )
        known = {field.wire for field in self.fields} | _OTHER_ARGUMENTS
        for name in set(req.query) - known:
            if not protections_of(req).may(req, "read", name):
                conditions.append(false())  # what is not shown is not found out by asking either
                continue
            value = req.query[name][-1]
            found = model.PROPERTIES
            conditions.append(
                exists(
                    select(1).where(
                        found.c.image_id == table.c.id, found.c.name == name, found.c.value == value
                    )
                )
            )
        return conditions

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        query = f"?{req.query_string}" if req.query_string else ""
        first = "&".join(
            part for part in req.query_string.split("&") if part and not part.startswith("marker=")
        )
        listed: View = {
            "images": views,
            "first": f"/v2/images?{first}" if first and query else "/v2/images",
            "schema": "/v2/schemas/images",
        }
        if page.next_marker:
            listed["next"] = "/v2/images?" + next_url(req, page).partition("?")[2]
        return listed

    async def prepare(self, req: Request, rows: Rows) -> None:
        ids = [row.id for row in rows]
        by_id = {row.id: row for row in rows}
        for row in rows:
            row["tags"], row["properties"], row["copies"] = [], {}, []
            row["updated_at"] = row["updated_at"] or row["created_at"]
        if not ids:
            return
        for tag in await req.db.all(model.TAGS, {"image_id": ids}, order="value"):
            by_id[tag.image_id]["tags"].append(tag.value)
        for one in await req.db.all(model.PROPERTIES, {"image_id": ids}, order="name"):
            by_id[one.image_id]["properties"][one.name] = one.value
        shown = {"image_id": ids, "state": ("kept", "refused")}
        for copy in await req.db.all(model.LOCATIONS, shown, order="place"):
            image = by_id[copy.image_id]
            if copy.store not in HIDDEN and (copy.state == "kept" or image.status == "queued"):
                image["copies"].append(copy)
        for row in rows:
            row["copies"] = by_weight(req.house, row["copies"])

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        properties: dict[str, Any] = row["properties"]
        if protections_of(req).is_on:
            readable = protections_of(req).readable(req, properties)
            properties = {name: value for name, value in properties.items() if name in readable}
        shown = {**properties, **super().view(req, row, brief)}
        if row["copies"]:
            shown["stores"] = ",".join(copy.store for copy in row["copies"])
        for name in ("import_task", "importing_to", "failed_import"):
            if row[name] is not None:
                shown[_IMPORT_NAMES[name]] = row[name]
        settings = config_of(req)
        if settings.show_locations or settings.show_direct_url:
            may_see = req.allows("get_image_location", self.target(row))
            copies = row["copies"] if may_see else []
            if settings.show_locations:
                shown["locations"] = [location_view(copy) for copy in copies]
            if settings.show_direct_url and copies:
                shown["direct_url"] = best_first(req.house, copies)[0].url
        return shown

    def _member(self, req: Request) -> ColumnElement[bool]:
        wanted = req.argument("member_status", "accepted")
        if wanted not in ("accepted", "pending", "rejected", "all"):
            raise BadRequest(f"Invalid status value: {wanted}")
        members = model.MEMBERS
        match = [
            members.c.image_id == model.IMAGES.c.id,
            members.c.member_id == (req.context.project_id or ""),
        ]
        if wanted != "all":
            match.append(members.c.status == wanted)
        return exists(select(1).where(*match))


_IMPORT_NAMES = {
    "import_task": "os_glance_import_task",
    "importing_to": "os_glance_importing_to_stores",
    "failed_import": "os_glance_failed_import",
}


def location_view(copy: Row) -> View:
    return {"url": copy.url, "metadata": {**copy.metadata, "store": copy.store}}


def config_of(req: Request) -> ImageConfig:
    return req.house.config.section(ImageConfig)


def check_visibility(req: Request, image: Mapping[str, Any], wanted: str) -> None:
    """Raises `Forbidden` where policy keeps a visibility for some."""
    rule = {"public": "publicize_image", "community": "communitize_image"}.get(wanted)
    if rule is not None:
        req.check(rule, image)


def check_properties(req: Request, properties: Mapping[str, Any]) -> dict[str, str]:
    """Properties of the client's own: text by name. Raises `BadRequest`, `Forbidden`, `TooMany`."""
    limit = config_of(req).max_properties
    if len(properties) > limit:
        raise TooMany(what="properties", asked=len(properties), limit=limit)
    for name, value in properties.items():
        check_property(name, value)
        protections_of(req).check(req, "create", name)
    return dict(properties)


def check_property(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise BadRequest(f"Property {name} must be a string.")
    if not name or len(name) > 255:
        raise BadRequest("A property's name has between 1 and 255 characters.")
    if len(value) > 65535:
        raise BadRequest(f"Property {name} is longer than 65535 characters.")


async def set_properties(tx: Transaction, image_id: str, properties: Mapping[str, str]) -> None:
    for name, value in properties.items():
        await tx.insert(model.PROPERTIES, image_id=image_id, name=name, value=value)
