"""A compute host of a fake world as a process of its own: everything of a host but the hardware, without root.

With it a cloud of many processes and hosts can be tried and tested on one machine, over the real queue and the real
database. Its guests are kept in its state folder, and what it plugs in the file that is the fake network.
"""

import asyncio
from collections.abc import Callable

import structlog

from aerostat.kernel.bus import Bus
from aerostat.kernel.config import Config
from aerostat.services.compute.config import ComputeConfig
from aerostat.services.compute.drivers.fake_kept import KeptFakeHypervisor
from aerostat.services.compute.host.agent import HostAgent, running
from aerostat.services.network.drivers import open_fake_world
from aerostat.services.network.drivers.fake import FakeHostNetworkDriver

log = structlog.get_logger(__name__)


async def run_host(config: Config, bus: Bus, ready: Callable[..., None] | None) -> None:
    """Serve until cancelled; `ready` is told what kind of host this is."""
    name = config.kernel.host_name
    network = FakeHostNetworkDriver(open_fake_world(config), name)
    hypervisor = KeptFakeHypervisor(name, config.folder.instances)
    agent = HostAgent(
        name,
        bus,
        hypervisor,
        network,
        report_s=config.section(ComputeConfig).report_s,
        machine_id=config.folder.machine_id(),
    )
    async with running(agent):
        log.info("host.serving", host=name, hypervisor="fake")
        if ready is not None:
            ready(host=name, hypervisor="fake")
        await asyncio.Event().wait()
