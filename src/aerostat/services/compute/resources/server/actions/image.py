"""An image of a server.

Wire: https://docs.openstack.org/api-ref/compute/#create-image-createimage-action
"""

from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import action

from .... import imaging, model
from ....errors import NotYet
from ....flows.snapshot_server import snapshot_server
from ....quotas import QUOTAS
from ....states import RESTING
from ...arguments import at_least
from ...schemas import METADATA, NAME, closed
from ...terms import MEMBER
from ..create import check_metadata_limit
from ..lookup import begin, check_has_host, check_state, check_unlocked

_STATES = tuple(state for state in RESTING if state not in ("error", "resized"))


@action(
    "createImage",
    policy="os_compute_api:servers:create_image",
    default=MEMBER,
    body=closed({"name": NAME, "metadata": METADATA}, "name"),
)
async def create_image(req: Request, server: Row, body: dict[str, Any]) -> Response:
    check_unlocked(req, server)
    check_state(server, "createImage", *_STATES)
    host = await req.db.find(model.HOSTS, name=check_has_host(server))
    if host is None or not host.facts.get("export_format"):
        raise NotYet(what="images of servers on this host")
    properties = body.get("metadata", {})
    check_metadata_limit(await QUOTAS.limits(req.db, server.project_id), len(properties))
    images = req.client("image")
    try:
        image = await images.create_image(**_attributes(server, host, body["name"], properties))
    except RoomError as error:
        kind = {403: Forbidden, 409: Conflict, 413: Forbidden}.get(error.status, BadRequest)
        raise kind(error.text) from None
    try:
        await begin(
            req,
            server,
            "snapshot",
            snapshot_server,
            what="createImage",
            data={"image_id": image["id"]},
            snapshot_id=image["id"],
        )
    except BaseException:
        await images.delete_image(image["id"])
        raise
    location = f"{req.house.url('image')}/v2/images/{image['id']}"
    shown = {"image_id": image["id"]} if at_least(req, 45) else None
    return Response(shown, 202, headers={"Location": location})


def _attributes(server: Row, host: Row, name: str, properties: dict[str, str]) -> dict[str, Any]:
    """What the image says of itself: the old image's properties, where it comes from, what the user added."""
    inherited = {
        key: value for key, value in server.image_properties.items() if not key.startswith(("os_", "owner_"))
    }
    return {
        **inherited,
        "image_type": "snapshot",
        "base_image_ref": server.image_id,
        "instance_uuid": server.id,
        "user_id": server.user_id,
        "image_location": "snapshot",
        **{key: value for key, value in properties.items() if key not in imaging.OWN_KEYS},
        "name": name,
        "container_format": "bare",
        "disk_format": host.facts["export_format"],
        "min_disk": server.flavor["disk_gib"],
        "min_ram": 0,
        "visibility": "private",
    }
