"""From a server row to what its host is told: the guest's shape, its cards, its config drive."""

import base64
from typing import Any

from aerostat.kernel.db import Row

from . import metadata
from .host.orders import GuestSpec
from .host.protocol import RescueDisk, RootDisk
from .networking import cards_of
from .room import instance_name, room_of
from .states import RESCUED


async def guest_of(house: Any, server: Row, request_id: str, admin_password: str | None = None) -> GuestSpec:
    """The spec of the server's guest, as it is now."""
    flavor = server.flavor
    drive = None
    if server.config_drive:
        drive = await _config_drive(house, server, request_id, admin_password)
    return GuestSpec(
        id=server.id,
        name=instance_name(server.id),
        title=server.name,
        vcpus=flavor["vcpus"],
        memory_mib=flavor["memory_mib"],
        root=RootDisk(_root_image(server), flavor["disk_gib"]),
        rescue=RescueDisk(**server.rescue) if server.rescue and server.state in RESCUED else None,
        ephemeral_gib=(flavor["ephemeral_gib"],) if flavor["ephemeral_gib"] else (),
        swap_mib=flavor["swap_mib"],
        cards=cards_of(server),
        config_drive=drive,
        properties=server.image_properties,
    )


def _root_image(server: Row) -> str:
    """Its image, or what its disk was saved as while it comes back from the shelf."""
    shelved = server.shelved_image_id if server.state == "unshelving" else None
    return str(shelved or server.image_id)


async def _config_drive(
    house: Any, server: Row, request_id: str, admin_password: str | None
) -> dict[str, bytes]:
    content = await metadata.content_of(
        server, room_of(house).network_admin(request_id), admin_password=admin_password
    )
    files = content.openstack_files()
    files |= content.ec2_files()
    for number, file in enumerate(server.personality or ()):
        files[f"openstack/content/{number:04d}"] = base64.b64decode(file["contents"])
    return files
