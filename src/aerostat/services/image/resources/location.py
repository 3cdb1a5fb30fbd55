"""Where an image's bytes are, for services; and an image that lies on a web server of somebody else's.

https://docs.openstack.org/api-ref/image/v2/#add-location
"""

from typing import Any

from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, route

from .. import model
from ..copies import kept_copies
from ..flows.import_location import import_location
from ..locations import HASH_BYTES, KNOWN_BY, check_hash
from ..states import IMAGE
from ..stores import stores_of
from ..tasks import new_task
from .image import Image, location_view

_PATH = "/images/{image_id}/locations"
_ADD = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "minLength": 1, "maxLength": 2048},
        "validation_data": {
            "type": ["object", "null"],
            "properties": {
                "os_hash_algo": {"type": "string", "enum": list(HASH_BYTES)},
                "os_hash_value": {"type": "string", "maxLength": 128},
            },
            "additionalProperties": False,
        },
    },
    "required": ["url"],
    "additionalProperties": False,
}


class Location(Resource):
    extra_rules = (
        Rule(
            name="add_image_location",
            text="role:service or role:admin or (role:member and project_id:%(project_id)s)",
        ),
        Rule(name="fetch_image_location", text="role:service or role:admin"),
    )

    @route("POST", _PATH, body=_ADD, status=202)
    async def add(self, req: Request, image_id: str) -> Response:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        if image.status != "queued":
            raise Conflict(f"It's not allowed to add locations if image status is {image.status}.")
        req.check("add_image_location", kind.target(image))
        store = stores_of(req.house).on_the_web
        if store is None:
            raise Forbidden("http store must be enabled to use location API by normal user.")
        url, known = req.body["url"], req.body.get("validation_data") or {}
        if known and set(known) != {"os_hash_algo", "os_hash_value"}:
            raise BadRequest("os_hash_algo and os_hash_value are given together, or not at all.")
        check_hash({"os_hash_algo": KNOWN_BY, **known})
        stores_of(req.house).check_uri(url, "add location")
        given = {"image_id": image.id, "loc_url": url, "validation_data": known}
        async with req.db.transaction() as tx:
            task = await new_task(tx, "location_import", req.context, image.id, given)
            free = {"id": image.id, "status": "queued", "import_task": None}
            if not await tx.update(model.IMAGES, free, import_task=task.id):
                raise Conflict(
                    f"New operation on image '{image.id}' is not permitted as prior operation is still in progress"
                )
            await IMAGE.move(tx, model.IMAGES, image.id, "import")
            data = {"task_id": task.id, "url": url, "store": store, "validation": known}
            await import_location.start(tx, image.id, context=req.context, data=data)
        return Response(None, 202, resource_id=image.id)

    @route("GET", _PATH)
    async def list_locations(self, req: Request, image_id: str) -> list[dict[str, Any]]:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("fetch_image_location", kind.target(image))
        return [location_view(copy) for copy in await kept_copies(req.db, image.id)]
