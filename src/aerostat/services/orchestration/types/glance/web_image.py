"""OS::Glance::WebImage: an image that the cloud fetches from a web server.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Glance::WebImage
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.client import RoomError

from ...errors import ResourceFailure, StackValidationFailed
from ...thing import Thing
from ..outside import unless_gone
from ..property import boolean, integer, listing, mapping, text
from ..resource_type import ResourceType

_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_AMAZON = ("aki", "ari", "ami")
_DISKS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
_FIXED = ("id", "min_disk", "min_ram", "disk_format", "container_format")
_CHANGED = (
    "protected",
    "tags",
    "architecture",
    "kernel_id",
    "os_distro",
    "os_version",
    "owner",
    "visibility",
    "ramdisk_id",
)


class WebImage(ResourceType):
    name = "OS::Glance::WebImage"
    description = "A resource managing images in Glance using web-download import."
    room = "image"
    properties = {
        "name": text("Name for the image. The name of an image is not unique to a Image Service node."),
        "id": text("The image ID. Glance will generate a UUID if not specified."),
        "min_disk": integer(
            "Amount of disk space (in GB) required to boot image.", default=0, between=(0, None)
        ),
        "min_ram": integer("Amount of ram (in MB) required to boot image.", default=0, between=(0, None)),
        "protected": boolean(
            "Whether the image can be deleted. If the value is True, the image is protected.",
            default=False,
            update=True,
        ),
        "disk_format": text("Disk format of image.", required=True, allowed=_DISKS),
        "container_format": text(
            "Container format of image.",
            required=True,
            allowed=("ami", "ari", "aki", "bare", "ovf", "ova", "docker"),
        ),
        "location": text("URL where the data for this image already resides.", required=True),
        "tags": listing("List of image tags.", update=True),
        "architecture": text("Operating system architecture.", update=True),
        "kernel_id": text(
            "ID of the image that is the kernel of an AMI-style image.", update=True, pattern=_UUID
        ),
        "os_distro": text("The common name of the operating system distribution.", update=True),
        "os_version": text("Operating system version as specified by the distributor.", update=True),
        "owner": text("Owner of the image.", update=True),
        "extra_properties": mapping(
            "Arbitrary properties to associate with the image.", default={}, update=True
        ),
        "visibility": text(
            "Scope of image accessibility.",
            default="private",
            update=True,
            allowed=("public", "private", "community", "shared"),
        ),
        "ramdisk_id": text(
            "ID of the image that is the ramdisk of an AMI-style image.", update=True, pattern=_UUID
        ),
        "active": boolean("Activate or deactivate the image.", default=True, update=True),
        "members": listing(
            "Projects that are permitted to read the image besides.",
            items=text("A project's ID."),
            update=True,
        ),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        container = properties["container_format"]
        if container in _AMAZON and properties["disk_format"] != container:
            raise StackValidationFailed(
                "Invalid mix of disk and container formats. When setting a disk or container format to one of "
                "'aki', 'ari', or 'ami', the container and disk formats must match."
            )
        if properties["members"] and properties["visibility"] != "shared":
            raise StackValidationFailed(
                "members cannot be specified unless the value of visibility is shared."
            )

    async def create(self, thing: Thing) -> str:
        """The image alone: what follows is begun, and looked for, by `is_created`."""
        values = thing.properties
        body = {name: values[name] for name in (*_FIXED, *_CHANGED) if values[name] is not None}
        extra = _texts(values["extra_properties"])
        made = await thing.client("image").create_image(name=thing.named, **body, **extra)
        thing.data["extra"] = sorted(extra)
        return str(made["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("image").list_images(name=thing.named))

    async def is_created(self, thing: Thing) -> bool:
        images, id = thing.client("image"), str(thing.physical_id)
        image = await images.get_image(id)
        if image["status"] == "queued":
            tasks = await images.list_tasks(id)
            if tasks and tasks[-1]["status"] == "failure":
                raise ResourceFailure(f"The image could not be fetched: {tasks[-1]['message']}")
            if not tasks:
                await images.import_image(id, "web-download", uri=thing.properties["location"])
        if image["status"] not in ("active", "deactivated"):
            return False
        await _share(thing, image["visibility"])
        await _activate(thing, image["status"])
        return True

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        images, id = thing.client("image"), str(thing.physical_id)
        image = await images.get_image(id)
        wanted: dict[str, Any] = {name: changed[name] for name in _CHANGED if name in changed}
        if "tags" in wanted:
            wanted["tags"] = wanted["tags"] or []
        if "extra_properties" in changed:
            extra = _texts(changed["extra_properties"] or {})
            wanted |= {name: None for name in thing.data.get("extra", []) if name not in extra} | extra
        if changes := _patch(image, wanted):
            image = await images.update_image(id, changes)
        if "extra_properties" in changed:
            thing.data["extra"] = sorted(_texts(changed["extra_properties"] or {}))
        if "members" in changed or "visibility" in changed:
            await _share(thing, image["visibility"])
        await _activate(thing, image["status"])

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("image").delete_image(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        image = await self.show(thing)
        if image["status"] not in ("active", "deactivated"):
            raise ResourceFailure(f"The image is {image['status']}.", "ResourceUnknownStatus")

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("image").get_image(thing.physical_id))


async def _share(thing: Thing, visibility: str) -> None:
    """With whom the template says, and nobody else."""
    if visibility != "shared":
        return
    images, id = thing.client("image"), thing.physical_id
    wanted, present = set(thing.properties["members"] or []), set(await images.list_members(id))
    for project in sorted(wanted - present):
        try:
            await images.add_member(id, project)
        except RoomError as error:
            if error.status != 409:
                raise
    for project in sorted(present - wanted):
        await unless_gone(images.remove_member(id, project))


async def _activate(thing: Thing, status: str) -> None:
    images, wanted = thing.client("image"), "active" if thing.properties["active"] else "deactivated"
    if status == wanted:
        return
    await (images.reactivate if wanted == "active" else images.deactivate)(thing.physical_id)


def _patch(image: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What turns the image into what is wanted; a None takes a property away."""
    changes: list[dict[str, Any]] = []
    for name, value in wanted.items():
        path = "/" + name.replace("~", "~0").replace("/", "~1")
        if value is None and name in image and name != "owner":
            changes.append({"op": "remove", "path": path})
        elif value is not None and image.get(name) != value:
            changes.append({"op": "replace" if name in image else "add", "path": path, "value": value})
    return changes


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else str(value) for name, value in values.items()}
