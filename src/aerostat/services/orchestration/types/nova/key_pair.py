"""OS::Nova::KeyPair. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::KeyPair"""

from collections.abc import Sequence
from typing import Any

from aerostat.kernel.client import RoomError

from ...template import select
from ...thing import Thing
from ..outside import unless_gone
from ..property import Attribute, boolean, text
from ..resource_type import ResourceType


class KeyPair(ResourceType):
    name = "OS::Nova::KeyPair"
    description = "A resource for creating Nova key pairs."
    room = "compute"
    properties = {
        "name": text("The name of the key pair.", required=True, length=(1, 255)),
        "save_private_key": boolean(
            "True if the system should remember a generated private key; False otherwise.", default=False
        ),
        "public_key": text("The optional public key."),
        "type": text("Keypair type.", allowed=("ssh", "x509")),
        "user": text("ID or name of user to whom to add key-pair."),
    }
    attributes = {
        "public_key": Attribute("The public key."),
        "private_key": Attribute("The private key if it has been saved."),
    }

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = {name: values[name] for name in ("name", "public_key", "type") if values[name] is not None}
        made = await thing.client("compute").create_keypair(**body)
        if values["save_private_key"] and made.get("private_key"):
            thing.data["private_key"] = made["private_key"]
        return str(made["name"])

    async def find_made(self, thing: Thing) -> str | None:
        """A key that this run made has no private half any more, where that was wanted: make it anew."""
        compute, name = thing.client("compute"), thing.properties["name"]
        try:
            found = await compute.get_keypair(name)
        except RoomError as error:
            if error.status == 404:
                return None
            raise
        if await thing.find_unclaimed([found], key="name") is None:
            return None
        wants_private = thing.properties["save_private_key"] and not thing.properties["public_key"]
        if wants_private and thing.row.state.startswith("CREATE"):
            await unless_gone(compute.delete_keypair(name))
            return None
        return str(name)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("compute").delete_keypair(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("compute").get_keypair(thing.physical_id))

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name == "private_key":
            return thing.data.get("private_key", "")
        if name == "public_key" and thing.properties["public_key"]:
            return select(thing.properties["public_key"], path)
        return await super().attribute(thing, name, path)
