"""OS::Swift::Container: a place for objects.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Swift::Container
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aerostat.kernel.client import RoomError

from ...errors import ResourceFailure
from ...thing import Thing
from ..outside import unless_gone
from ..property import MAP, Attribute, boolean, mapping, text
from ..resource_type import ResourceType, is_gone

NAME_LENGTH = 256


class Container(ResourceType):
    name = "OS::Swift::Container"
    description = "A resource for managing Swift containers."
    room = "object"
    physical_name_length = NAME_LENGTH
    properties = {
        "name": text("Name for the container. If not specified, a unique name will be generated."),
        "X-Container-Read": text("Specify the ACL permissions on who can read objects in the container."),
        "X-Container-Write": text("Specify the ACL permissions on who can write objects to the container."),
        "X-Container-Meta": mapping(
            "A map of user-defined meta data to associate with the container.", default={}
        ),
        "X-Account-Meta": mapping(
            "A map of user-defined meta data to associate with the account.", default={}
        ),
        "PurgeOnDelete": boolean(
            "If True, delete any objects in the container when it is deleted.", default=False
        ),
    }
    attributes = {
        "DomainName": Attribute("The host from the container URL."),
        "WebsiteURL": Attribute("The URL of the container."),
        "RootURL": Attribute("The parent URL of the container."),
        "ObjectCount": Attribute("The number of objects stored in the container."),
        "BytesUsed": Attribute("The number of bytes stored in the container."),
        "HeadContainer": Attribute("A map containing all headers for the container.", MAP),
    }

    async def create(self, thing: Thing) -> str:
        """Again it changes nothing: a container is found by its name."""
        given = thing.properties
        name = str(given["name"] or thing.physical_name)
        headers = {
            header.lower(): str(given[header])
            for header in ("X-Container-Read", "X-Container-Write")
            if given[header]
        }
        headers |= _meta("container", given["X-Container-Meta"])
        client = thing.client("object")
        await client.ensure_container(name, headers)
        if account := _meta("account", given["X-Account-Meta"]):
            await client.update_account(account)
        return name

    async def delete(self, thing: Thing) -> None:
        await unless_gone(self._delete(thing, str(thing.physical_id)))

    async def _delete(self, thing: Thing, name: str) -> None:
        client = thing.client("object")
        if not thing.properties["PurgeOnDelete"]:
            if await client.list_objects(name, limit=1):
                raise ResourceFailure(f"Deleting non-empty container ({name}) when PurgeOnDelete is False")
        else:
            marker = ""
            while page := await client.list_objects(name, marker=marker):
                for one in page:
                    await client.remove_object(name, one["name"])
                marker = page[-1]["name"]
        await client.remove_container(name)

    async def check_health(self, thing: Thing) -> None:
        if await thing.client("object").find_container(str(thing.physical_id)) is None:
            raise ResourceFailure(f"The container {thing.physical_id} is not there.")

    async def show(self, thing: Thing) -> dict[str, Any]:
        client = thing.client("object")
        url = client.url(str(thing.physical_id))
        shown: dict[str, Any] = {
            "DomainName": urlsplit(url).hostname,
            "WebsiteURL": url,
            "RootURL": client.url(),
        }
        try:
            headers = await client.find_container(str(thing.physical_id))
        except RoomError as error:
            if not is_gone(error):
                raise
            headers = None
        if headers is not None:
            shown |= {
                "ObjectCount": headers["x-container-object-count"],
                "BytesUsed": headers["x-container-bytes-used"],
                "HeadContainer": dict(headers),
            }
        return shown


def _meta(kind: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {f"x-{kind}-meta-{name}".lower(): str(value) for name, value in values.items()}
