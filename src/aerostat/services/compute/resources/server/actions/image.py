"""An image of a server, and a backup, which is one that takes the place of the oldest of its kind.

Wire: https://docs.openstack.org/api-ref/compute/#create-image-createimage-action and
#create-server-back-up-createbackup-action
"""

from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import action
from aerostat.kernel.work import Flow

from .... import imaging, model
from ....errors import NotYet
from ....flows.backup_server import backup_server
from ....flows.snapshot_server import snapshot_server
from ....quotas import QUOTAS
from ...arguments import at_least
from ...schemas import METADATA, NAME, NATURAL, closed
from ...terms import MEMBER
from ..create import check_metadata_limit
from ..lookup import begin, check_has_host, check_state, check_unlocked

_STATES = ("active", "stopped", "paused", "suspended")


@action(
    "createImage",
    policy="os_compute_api:servers:create_image",
    default=MEMBER,
    body=closed({"name": NAME, "metadata": METADATA}, "name"),
)
async def create_image(req: Request, server: Row, body: dict[str, Any]) -> Response:
    properties = body.get("metadata", {})
    check_metadata_limit(await QUOTAS.limits(req.db, server.project_id), len(properties))
    image_id = await begin_image(
        req, server, "snapshot", snapshot_server, what="createImage", name=body["name"], properties=properties
    )
    return answer(req, image_id)


@action(
    "createBackup",
    policy="os_compute_api:os-create-backup",
    default=MEMBER,
    body=closed(
        {
            "name": NAME,
            "backup_type": {"type": "string"},
            "rotation": NATURAL,
            "metadata": METADATA,
        },
        *("name", "backup_type", "rotation"),
    ),
)
async def create_backup(req: Request, server: Row, body: dict[str, Any]) -> Response:
    """Like an image, but of each kind of backup only the newest `rotation` ones are kept."""
    properties = body.get("metadata", {})
    check_metadata_limit(await QUOTAS.limits(req.db, server.project_id), len(properties))
    kind, rotation = body["backup_type"], int(body["rotation"])
    image_id = await begin_image(
        req,
        server,
        "backup",
        backup_server,
        what="createBackup",
        name=body["name"],
        properties={**properties, "image_type": "backup", "backup_type": kind},
        data={"backup_type": kind, "rotation": rotation},
    )
    return answer(req, image_id) if rotation else Response(None, 202)


async def begin_image(
    req: Request,
    server: Row,
    event: str,
    flow: Flow,
    *,
    what: str,
    name: str,
    properties: dict[str, str],
    data: dict[str, Any] | None = None,
) -> str:
    """Make the image, still without bytes, and start the flow that fills it. Answers the image's id."""
    check_unlocked(req, server)
    check_state(server, what, *_STATES)
    host = await req.db.find(model.HOSTS, name=check_has_host(server))
    if host is None or not host.facts.get("export_format"):
        raise NotYet(what="images of servers on this host")
    images = req.client("image")
    try:
        image = await images.create_image(**_attributes(server, host, name, properties))
    except RoomError as error:
        kind = {403: Forbidden, 409: Conflict, 413: Forbidden}.get(error.status, BadRequest)
        raise kind(error.text) from None
    image_id = str(image["id"])
    try:
        data = {**(data or {}), "image_id": image_id}
        await begin(req, server, event, flow, what=what, data=data, snapshot_id=image_id)
    except BaseException:
        await images.delete_image(image_id)
        raise
    return image_id


def answer(req: Request, image_id: str) -> Response:
    """Where the image will be."""
    location = f"{req.house.url('image')}/v2/images/{image_id}"
    shown = {"image_id": image_id} if at_least(req, 45) else None
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
