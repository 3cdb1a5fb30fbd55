"""Images as the compute API showed them until 2.35, asked of the image room in the caller's name.

Wire: /images, https://docs.openstack.org/api-ref/compute/#images-deprecated
Deprecated, but what older clients and the interoperability tests still wait for after they made an image of a server.
"""

from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import BadRequest, Forbidden, NotFound
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import COMPUTE, named_links, read_limit
from aerostat.kernel.policy.terms import anyone
from aerostat.kernel.resource import Resource, route

from ..imaging import properties_of
from .arguments import bookmark, links, read_time
from .room_errors import refusals_relayed
from .schemas import METADATA, closed
from .terms import rules

_RULE = "os_compute_api:images"

# The image room's word → the word of old, and the progress that goes with it.
_STATUS = {
    "queued": ("SAVING", 25),
    "saving": ("SAVING", 50),
    "importing": ("SAVING", 50),
    "active": ("ACTIVE", 100),
    "killed": ("ERROR", 0),
    "deleted": ("DELETED", 0),
    "pending_delete": ("DELETED", 0),
}
_UNKNOWN = ("UNKNOWN", 0)
_METADATA = closed({"metadata": METADATA}, "metadata")
_ITEM = closed({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}, "meta")


class ImageProxy(Resource):
    extra_rules = rules((_RULE, anyone))

    @route("GET", "/images", policy=_RULE, until="2.35")
    async def index(self, req: Request) -> dict[str, Any]:
        page = await self._page(req)
        shown = [{"id": one["id"], "name": one["name"], "links": _links(req, one["id"])} for one in page.rows]
        return {"images": shown, **named_links(req, "images", page)}

    @route("GET", "/images/detail", policy=_RULE, until="2.35")
    async def detail(self, req: Request) -> dict[str, Any]:
        page = await self._page(req)
        return {"images": [_view(req, one) for one in page.rows], **named_links(req, "images", page)}

    @route("DELETE", "/images", policy=_RULE, until="2.35")
    async def remove_none(self, req: Request) -> Response:
        """What deletes an image without naming any (`/images/`) finds none."""
        raise NotFound("Image not found.")

    @route("GET", "/images/{image_id}", policy=_RULE, until="2.35")
    async def show_one(self, req: Request, image_id: str) -> dict[str, Any]:
        return {"image": _view(req, await self._find(req, image_id))}

    @route("DELETE", "/images/{image_id}", policy=_RULE, until="2.35")
    async def remove(self, req: Request, image_id: str) -> Response:
        await self._find(req, image_id)
        try:
            await req.client("image").delete_image(image_id)
        except RoomError as error:
            if error.status == 403:
                raise Forbidden("You are not allowed to delete the image.") from None
            raise
        return Response(None, 204)

    @route("GET", "/images/{image_id}/metadata", policy=_RULE, until="2.38")
    async def metadata(self, req: Request, image_id: str) -> dict[str, Any]:
        return {"metadata": properties_of(await self._find(req, image_id))}

    @route("POST", "/images/{image_id}/metadata", policy=_RULE, until="2.38", body=_METADATA)
    async def add_metadata(self, req: Request, image_id: str) -> dict[str, Any]:
        known = properties_of(await self._find(req, image_id))
        return {"metadata": await _set_metadata(req, image_id, known, {**known, **req.body["metadata"]})}

    @route("PUT", "/images/{image_id}/metadata", policy=_RULE, until="2.38", body=_METADATA)
    async def replace_metadata(self, req: Request, image_id: str) -> dict[str, Any]:
        known = properties_of(await self._find(req, image_id))
        return {"metadata": await _set_metadata(req, image_id, known, req.body["metadata"])}

    @route("GET", "/images/{image_id}/metadata/{key}", policy=_RULE, until="2.38")
    async def metadata_item(self, req: Request, image_id: str, key: str) -> dict[str, Any]:
        return {"meta": {key: _item(await self._find(req, image_id), key)}}

    @route("PUT", "/images/{image_id}/metadata/{key}", policy=_RULE, until="2.38", body=_ITEM)
    async def set_metadata_item(self, req: Request, image_id: str, key: str) -> dict[str, Any]:
        meta = req.body["meta"]
        if key not in meta:
            raise BadRequest("Request body and URI mismatch")
        known = properties_of(await self._find(req, image_id))
        await _set_metadata(req, image_id, known, {**known, key: meta[key]})
        return {"meta": {key: meta[key]}}

    @route("DELETE", "/images/{image_id}/metadata/{key}", policy=_RULE, until="2.38")
    async def remove_metadata_item(self, req: Request, image_id: str, key: str) -> Response:
        image = await self._find(req, image_id)
        _item(image, key)
        known = properties_of(image)
        left = {name: value for name, value in known.items() if name != key}
        await _set_metadata(req, image_id, known, left)
        return Response(None, 204)

    async def _find(self, req: Request, image_id: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await req.client("image").get_image(image_id)
        except RoomError as error:
            if error.status in (400, 404):
                raise NotFound("Image not found.") from None
            raise
        return found

    async def _page(self, req: Request) -> Page:
        """Images that fit, newest first; the image room's list is short enough to be looked through here."""
        images = [one for one in await req.client("image").list_images() if _fits(req, one)]
        marker, limit = req.argument("marker"), read_limit(req, COMPUTE)
        if marker is not None:
            places = [place for place, one in enumerate(images) if one["id"] == marker]
            if not places:
                raise BadRequest(f"marker [{marker}] not found")
            images = images[places[0] + 1 :]
        if req.argument("limit") == "0":
            return Page([])
        rows: Any = images[:limit]
        more = limit is not None and len(images) > limit
        return Page(rows, rows[-1]["id"] if more and rows else None)


def _item(image: dict[str, Any], key: str) -> str:
    known = properties_of(image)
    if key not in known:
        raise NotFound("Metadata item was not found")
    return known[key]


async def _set_metadata(
    req: Request, image_id: str, known: dict[str, str], wanted: dict[str, str]
) -> dict[str, str]:
    """Make the image's properties `wanted`, by the changes that lead there. Answers `wanted`."""
    changes: list[dict[str, Any]] = [
        {"op": "remove", "path": _pointer(key)} for key in known.keys() - wanted.keys()
    ]
    for key, value in wanted.items():
        if known.get(key) != value:
            changes.append(
                {"op": "replace" if key in known else "add", "path": _pointer(key), "value": value}
            )
    if changes:
        with refusals_relayed():
            await req.client("image").update_image(image_id, changes)
    return wanted


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _fits(req: Request, image: dict[str, Any]) -> bool:
    asked = {name: values[-1] for name, values in req.query.items()}
    if "name" in asked and image["name"] != asked["name"]:
        return False
    if "status" in asked and _STATUS.get(image["status"], _UNKNOWN)[0] != asked["status"].upper():
        return False
    if "type" in asked and image.get("image_type", "base") != asked["type"]:
        return False
    if "server" in asked and image.get("instance_uuid") != asked["server"].rstrip("/").rsplit("/", 1)[-1]:
        return False
    if "changes-since" in asked:
        changed = read_time(image["updated_at"], "updated_at")
        return changed >= read_time(asked["changes-since"], "changes-since")
    return True


def _view(req: Request, image: dict[str, Any]) -> dict[str, Any]:
    status, progress = _STATUS.get(image["status"], _UNKNOWN)
    view = {
        "id": image["id"],
        "name": image["name"],
        "status": status,
        "progress": progress,
        "created": image["created_at"],
        "updated": image["updated_at"],
        "minDisk": image.get("min_disk") or 0,
        "minRam": image.get("min_ram") or 0,
        "metadata": properties_of(image),
        "links": _links(req, image["id"]),
        "OS-EXT-IMG-SIZE:size": image.get("size") or 0,
    }
    if server_id := image.get("instance_uuid"):
        view["server"] = {"id": server_id, "links": links(req, "servers", server_id)}
    return view


def _links(req: Request, image_id: str) -> list[dict[str, str]]:
    alternate = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{req.house.url('image')}/images/{image_id}",
    }
    return [links(req, "images", image_id)[0], *bookmark(req, "images", image_id), alternate]
