"""Rescue: boot from another disk to mend one's own, and back.

Wire: https://docs.openstack.org/api-ref/compute/#rescue-server-rescue-action
"""

import secrets
from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import imaging
from ....flows.rescue_server import rescue_server, unrescue_server
from ...schemas import NOTHING, PASSWORD, UUID, closed
from ...terms import MEMBER
from ..create import PASSWORD_LETTERS
from ..lookup import begin, check_has_host, check_state

_BODY = {"anyOf": [closed({"adminPass": PASSWORD, "rescue_image_ref": UUID}), NOTHING]}
DEVICES = ("disk", "cdrom")
BUSES = ("virtio", "scsi", "sata", "ide", "usb")


@action("rescue", policy="os_compute_api:os-rescue", default=MEMBER, status=200, body=_BODY)
async def rescue(req: Request, server: Row, body: dict[str, str] | None) -> dict[str, str]:
    """From the named image, or from the one that the server was made of."""
    asked = body or {}
    check_has_host(server)
    check_state(server, "rescue", "active", "stopped", "error")
    image = await imaging.get_image(req.house, req.context, asked.get("rescue_image_ref") or server.image_id)
    password = asked.get("adminPass") or "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))
    data = {"admin_password": password} if server.config_drive else {}
    await begin(req, server, "rescue", rescue_server, what="rescue", data=data, rescue=_disk(image))
    return {"adminPass": password}


@action("unrescue", policy="os_compute_api:os-unrescue", default=MEMBER)
async def unrescue(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "unrescue", unrescue_server, what="unrescue")


def _disk(image: Mapping[str, Any]) -> dict[str, str]:
    """What the image says of how it wants to be plugged in. Saying nothing means: in the root disk's place."""
    device, bus = image.get("hw_rescue_device", ""), image.get("hw_rescue_bus", "")
    if device not in ("", *DEVICES):
        raise BadRequest(f"Unsupported rescue device {device}: this cloud has {' and '.join(DEVICES)}.")
    if bus not in ("", *BUSES):
        raise BadRequest(f"Unsupported rescue bus {bus}: this cloud has {', '.join(BUSES)}.")
    return {"image_id": image["id"], "device": device, "bus": bus}
