"""A real OVN on this machine for a test: daemons under a supervisor, in namespaces of its own, gone
afterwards.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aerostat.kernel.supervise import Supervisor
from aerostat.services.network.drivers.ovn.daemons import OvnHost, remove_everything
from aerostat.services.network.drivers.ovn.host import OvnHostNetworkDriver
from aerostat.services.network.drivers.ovn.northbound import OvnNetworkDriver

_PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller", "nsenter")


def missing_for_ovn() -> str:
    """Why OVN cannot run here; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass
class OvnCloud:
    layout: OvnHost
    supervisor: Supervisor
    driver: OvnNetworkDriver
    host: OvnHostNetworkDriver


@contextlib.asynccontextmanager
async def ovn_cloud(state_dir: Path) -> AsyncIterator[OvnCloud]:
    prefix = f"as-{secrets.token_hex(3)}"
    layout = OvnHost(state_dir=state_dir, prefix=prefix, host_name="host-1")
    supervisor = Supervisor(layout.children(), state_dir)
    driver = OvnNetworkDriver(layout.northbound, ["host-1"])
    host = OvnHostNetworkDriver(layout.switch, prefix)
    try:
        await layout.ensure_namespaces()
        await supervisor.start()
        await driver.start()
        await host.start()
        yield OvnCloud(layout, supervisor, driver, host)
    finally:
        await driver.close()
        await host.close()
        await supervisor.stop()
        await remove_everything(prefix)
        if layout.socket_folder != layout.folder:
            shutil.rmtree(layout.socket_folder, ignore_errors=True)
