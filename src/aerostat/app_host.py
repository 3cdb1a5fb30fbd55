"""The host process: the drivers next to the hardware, reached over the bus, without a database.

It runs as root (inside the cloud's own network namespace if libvirt is part of it), answers `host.<name>` (guests) and
`network.<name>` (metadata namespaces), and hands out sockets that live in namespaces. Guests are nobody's children:
they outlive this process, and the next one finds them.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from aerostat.app_own_machine import Surroundings, settle_in
from aerostat.kernel.bus import Bus, Message
from aerostat.kernel.config import Config
from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import HostPlace, place_of
from aerostat.services.compute.config import ComputeConfig
from aerostat.services.compute.drivers.libvirt.daemon import uri_of
from aerostat.services.compute.drivers.libvirt.hypervisor import LibvirtHypervisor
from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings
from aerostat.services.compute.host.agent import HostAgent
from aerostat.services.network.drivers.ovn.daemons import OvnHost
from aerostat.services.network.drivers.ovn.host import OvnHostNetworkDriver
from aerostat.services.network.host.protocol import HostNetworkDriver, MetadataPort, network_topic
from aerostat.services.network.host.sockets import SocketServer

log = structlog.get_logger(__name__)


async def run_host(config: Config, number: int | None, bus: Bus, ready: Callable[..., None] | None) -> None:
    """Serve until cancelled; `ready` is told what was found out about the machine."""
    place = place_of(config, number)
    surroundings = made_by_up(config, place) if number is not None else await settle_in(config, place)
    async with open_host(config, place, bus, surroundings) as facts:
        if ready is not None:
            ready(**facts)
        await asyncio.Event().wait()


@asynccontextmanager
async def open_host(
    config: Config, place: HostPlace, bus: Bus, surroundings: Surroundings
) -> AsyncIterator[dict[str, Any]]:
    """Open drivers and agent; yields the facts that `aerostat status` shows."""
    name = place.name
    network = OvnHostNetworkDriver(surroundings.switch, place.prefix, stands_alone=place.stands_alone)
    hypervisor = LibvirtHypervisor(surroundings.libvirt)
    async with AsyncExitStack() as stack:
        await network.start()
        stack.push_async_callback(network.close)
        sockets = SocketServer(network, place.sockets, config.folder.control_user)
        await sockets.start()
        stack.push_async_callback(sockets.close)
        await bus.serve(network_topic(name), _network_verbs(network))
        agent = HostAgent(
            name,
            bus,
            hypervisor,
            network,
            report_s=config.section(ComputeConfig).report_s,
            address=surroundings.address,
            machine_id=config.folder.machine_id(),
        )
        await agent.start()
        stack.push_async_callback(agent.stop)
        facts = await hypervisor.inspect_host()
        log.info("host.serving", host=name, accelerator=facts.accelerator)
        yield {
            "host": name,
            "accelerator": facts.accelerator,
            "accelerator_reason": facts.accelerator_reason,
            "network": "OVN",
        }


def made_by_up(config: Config, place: HostPlace) -> Surroundings:
    """A host of those that `up` makes of its machine."""
    switch = OvnHost.at(place, place_of(config)).switch
    return Surroundings(switch, libvirt_settings(config, place), place.address)


def libvirt_settings(config: Config, place: HostPlace) -> LibvirtSettings:
    """The host's libvirt: in this process, or the daemon beside it."""
    shared = config.section(ComputeConfig).instances
    settings = LibvirtSettings(
        state=place.instances,
        host_name=place.name,
        client=config.folder.control_user,
        shared_instances=Path(shared) if shared else None,
        address=place.address,
    )
    if not place.has_daemon:
        return settings
    uri = uri_of(settings)
    return dataclasses.replace(settings, uri=uri, landing_uri=uri)


def _network_verbs(network: HostNetworkDriver) -> Callable[[Message], Any]:
    """Metadata namespaces, as the control side asks for them."""

    async def answer(message: Message) -> Any:
        if message.verb == "ensure_metadata":
            return await network.ensure_metadata(message.read(MetadataPort))
        if message.verb == "remove_metadata":
            return await network.remove_metadata(message.read(str))
        if message.verb == "list_metadata":
            return sorted(await network.list_metadata())
        raise DriverError(f"The host's network does not know how to {message.verb}.")

    return answer
