"""Import: bytes that were staged, or that the cloud fetches itself, go into one store or several.

https://docs.openstack.org/api-ref/image/v2/#interoperable-image-import
"""

import re
from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, route

from .. import model, quotas
from ..copies import kept_copies
from ..errors import OnlyQueuedFor, UnknownStore
from ..flows.import_image import import_image
from ..receiving import stage
from ..states import IMAGE
from ..stores import stores_of
from ..tasks import new_task
from .data import MIB, check_is_bytes, declared_bytes, sent_bytes
from .image import Image, config_of

_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TASK_TYPE = "api_image_import"


class Import(Resource):
    extra_rules = (Rule(name="copy_image", text="role:admin"),)

    @route("PUT", "/images/{image_id}/stage", raw_body=True, status=204)
    async def stage(self, req: Request, image_id: str) -> None:
        check_is_bytes(req)
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        req.check("modify_image", kind.target(image))
        mib = sent_bytes(req) // MIB
        await quotas.check(
            req, image.owner, image_size_total=0, image_stage_total=mib, image_count_uploading=1
        )
        await stage(req.house, image, req.stream(), declared_bytes(req))

    @route("POST", "/images/{image_id}/import", status=202)
    async def start(self, req: Request, image_id: str) -> Response:
        body = await req.json()
        method = check_body(req, body)
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        _check_status(image, method["name"])
        rule = "copy_image" if method["name"] == "copy-image" else "modify_image"
        req.check(rule, kind.target(image))
        _check_method(req, method)
        counted = 0 if method["name"] == "glance-direct" else 1
        await quotas.check(req, image.owner, image_size_total=0, image_count_uploading=counted)
        stores = await _stores(req, body, image)
        if stores:
            await start_import(req, image, TASK_TYPE, body, stores)
        return Response(None, 202, resource_id=image.id)


async def start_import(
    req: Request,
    image: Row,
    task_type: str,
    given: Mapping[str, Any],
    stores: list[str],
    result: Mapping[str, Any] | None = None,
) -> Row:
    """The task, at work. Raises `Conflict` when another is at work on the image, or it is no longer as it was."""
    method = given["method"]
    is_copy = method["name"] == "copy-image"
    given_input = {"image_id": image.id, "import_req": given, "backend": stores}
    async with req.db.transaction() as tx:
        task = await new_task(tx, task_type, req.context, image.id, given_input)
        free = {"id": image.id, "status": image.status, "import_task": None, "upload_token": None}
        taken = {"import_task": task.id, "importing_to": ",".join(stores), "failed_import": ""}
        if not await tx.update(model.IMAGES, free, **taken):
            raise Conflict(
                f"New operation on image '{image.id}' is not permitted as prior operation is still in progress"
            )
        if not is_copy:
            await IMAGE.move(tx, model.IMAGES, image.id, "import")
        data = {
            "task_id": task.id,
            "method": method["name"],
            "given": method,
            "stores": stores,
            "all_must_succeed": given.get("all_stores_must_succeed", True),
            "result": dict(result or {}),
        }
        await import_image.start(tx, image.id, context=req.context, data=data)
    return task


def check_body(req: Request, body: Any) -> dict[str, Any]:
    """The method that is asked for. Raises `BadRequest`."""
    method = body.get("method") if isinstance(body, dict) else None
    if not isinstance(method, dict):
        raise BadRequest("Import request requires a 'method' field.")
    if not isinstance(method.get("name"), str):
        raise BadRequest("Import request requires a 'name' field.")
    if method["name"] not in config_of(req).import_methods:
        raise BadRequest(f"Unknown import method name '{method['name']}'.")
    for name in ("all_stores", "all_stores_must_succeed"):
        if not isinstance(body.get(name, False), bool):
            raise BadRequest(f"'{name}' must be boolean value only")
    return method


def _check_method(req: Request, method: dict[str, Any]) -> None:
    if method["name"] == "web-download":
        stores_of(req.house).check_uri(method.get("uri"))
    if method["name"] == "glance-download":
        for name in ("glance_region", "glance_image_id"):
            if not isinstance(method.get(name), str):
                raise BadRequest(f"'{name}' needs to be set for glance-download import method")
        if not _UUID.fullmatch(method["glance_image_id"]):
            raise BadRequest(f"Remote image id does not look like a UUID: {method['glance_image_id']}")


def _check_status(image: Row, method: str) -> None:
    if method == "copy-image":
        if image.status != "active":
            raise Conflict("Only images with status active can be targeted for copying")
    elif image.status == "active":
        raise Conflict("Image with status active cannot be target for import")
    elif method == "glance-direct":
        if image.status != "uploading":
            raise Conflict("Image needs to be staged before 'glance-direct' method can be used")
    elif image.status != "queued":
        raise OnlyQueuedFor(method=method)
    for name in ("container_format", "disk_format"):
        if image[name] is None:
            raise Conflict(f"'{name}' needs to be set before import")


async def _stores(req: Request, body: Mapping[str, Any], image: Row) -> list[str]:
    """Where the image goes. Raises `BadRequest`, `Conflict`."""
    stores = stores_of(req.house)
    header, named = req.headers.get("x-image-meta-store"), body.get("stores")
    is_copy, asks_all = body["method"]["name"] == "copy-image", body.get("all_stores", False)
    if asks_all and (named is not None or header):
        raise BadRequest(
            "All_stores parameter can't be used with x-image-meta-store header or stores parameter"
        )
    if named is not None and header:
        raise BadRequest("Stores parameter and x-image-meta-store header can't be both specified")
    if named is not None and (
        not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named)
    ):
        raise BadRequest("'stores' is a list of names of stores.")
    wanted = stores.writable if asks_all else list(dict.fromkeys(named or [header or stores.default]))
    for name in wanted:
        try:
            stores.check_writable(name)
        except UnknownStore as error:
            raise Conflict(error.text) from None
    if not is_copy:
        return wanted
    present = {copy.store for copy in await kept_copies(req.db, image.id)}
    if asks_all:
        return [name for name in wanted if name not in present]
    for name in wanted:
        if name in present:
            raise BadRequest(f"Image is already present at store '{name}'")
    return wanted
