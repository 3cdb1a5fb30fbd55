"""OS::Heat::DeployedServer: a machine from elsewhere whose agent is given deployments.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::DeployedServer
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...template import select
from ...thing import Thing
from ..collecting import (
    POLL_CFN,
    TRANSPORTS,
    check_transport,
    collected,
    collecting,
    ensure_collecting,
    forget_collecting,
)
from ..property import MAP, Attribute, mapping, text
from ..resource_type import ResourceType


class DeployedServer(ResourceType):
    name = "OS::Heat::DeployedServer"
    description = "A resource for managing servers that are already deployed."
    properties = {
        "name": text("Server name.", update=True),
        "metadata": mapping("Arbitrary key/value metadata to store for this server.", update=True),
        "software_config_transport": text(
            "How the server should receive the metadata required for software configuration.",
            default=POLL_CFN,
            allowed=TRANSPORTS,
            update=True,
        ),
    }
    attributes = {
        "name": Attribute("Name of the server."),
        "os_collect_config": Attribute(
            "The os-collect-config configuration for the server's local agent to be configured to connect to Heat"
            " to retrieve deployment data.",
            MAP,
        ),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_transport(properties["software_config_transport"])

    async def create(self, thing: Thing) -> str | None:
        await ensure_collecting(thing)
        return thing.id

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if "software_config_transport" in changed:
            await ensure_collecting(thing)

    async def delete(self, thing: Thing) -> None:
        await forget_collecting(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return thing.id if collecting(thing) or "account" in thing.data else None

    async def metadata(self, thing: Thing) -> dict[str, Any]:
        return await collected(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(thing.named if name == "name" else collecting(thing), path)
