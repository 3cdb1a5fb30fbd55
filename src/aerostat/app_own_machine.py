"""A compute host on a machine of its own: switch, controller and libvirt are the distribution's, not our children.

`settle_in` finds them, says what is missing by its package's name, and sets in the switch what is ours to set.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from aerostat.kernel.config import Config
from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import HostPlace
from aerostat.services.compute.config import ComputeConfig
from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings
from aerostat.services.network.config import NetworkConfig
from aerostat.services.network.drivers.ovn.chassis import (
    CONTROL_FOLDER,
    Chassis,
    control_sockets,
    ensure_chassis,
    is_connected,
    look,
    wait_connected,
)

log = structlog.get_logger(__name__)

LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # which a user who became root may not have in their path
# Program → Debian package.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ovs-vsctl": "openvswitch-switch",
    "ovn-controller": "ovn-host",
    "libvirtd": "libvirt-daemon-system",
}


class Surroundings(NamedTuple):
    """What was found on the machine: where the switch is told things, what the hypervisor's driver is told, and where
    other hosts reach this one."""

    switch: str
    libvirt: LibvirtSettings
    address: str


class Trouble(NamedTuple):
    """Something that keeps this machine from being a host, and what to do about it."""

    what: str
    next_step: str


NO_SOUTHBOUND = Trouble(
    "network.southbound is not set: which OVN does this host belong to?",
    "set it here, or in the control plane's settings and join again",
)


def find_missing(config: Config) -> list[Trouble]:
    """Programs that are not installed, daemons that do not run. Looks only."""
    path = f"{os.environ.get('PATH', '')}:{ADMIN_FOLDERS}"
    absent = sorted(name for name in PROGRAMS if shutil.which(name, path=path) is None)
    found = []
    if absent:
        packages = " ".join(sorted({PROGRAMS[name] for name in absent}))
        found.append(Trouble(f"not installed: {', '.join(absent)}", f"apt-get install {packages}"))
    found += [
        Trouble(what, f"systemctl start {unit}")
        for program, what, unit in _silent(config)
        if program not in absent
    ]
    return found


def _silent(config: Config) -> Iterator[tuple[str, str, str]]:
    """Daemons whose sockets are not there: a program of their package, what is wrong, their unit."""
    network, compute = config.section(NetworkConfig), config.section(ComputeConfig)
    kind, _, path = network.switch.partition(":")
    if kind == "unix" and not Path(path).is_socket():
        yield "ovs-vsctl", f"Open vSwitch does not run: there is no {path}", "openvswitch-switch"
    if not control_sockets():
        yield "ovn-controller", f"OVN's controller does not run: nothing is in {CONTROL_FOLDER}", "ovn-host"
    named = re.search(r"socket=([^&]+)", compute.libvirt_uri)
    socket = Path(named.group(1)) if named else LIBVIRT_SOCKET
    if not socket.is_socket():
        yield "libvirtd", f"libvirt does not run: there is no {socket}", "libvirtd"


async def find_troubles(config: Config, place: HostPlace) -> list[Trouble]:
    """What keeps this machine from being a host; changes nothing. Raises `DriverError` if the switch does not
    answer.
    """
    if missing := find_missing(config):
        return missing
    if not config.section(NetworkConfig).southbound:
        return [NO_SOUTHBOUND]
    plan = await look(config.section(NetworkConfig).switch, _chassis(config, place))
    if plan.conflicts:
        return [Trouble(conflict, "or change the setting") for conflict in plan.conflicts]
    if not plan.changes and not await is_connected():
        southbound = config.section(NetworkConfig).southbound
        return [Trouble(f"ovn-controller has no connection to {southbound}", "is it reached from here?")]
    return []


async def settle_in(config: Config, place: HostPlace) -> Surroundings:
    """Make the machine's switch part of the cloud. Raises `DriverError` for what is missing or somebody else's."""
    network = config.section(NetworkConfig)
    missing = find_missing(config) or ([] if network.southbound else [NO_SOUTHBOUND])
    if missing:
        words = "; ".join(f"{one.what} ({one.next_step})" for one in missing)
        raise DriverError(f"This machine cannot be a compute host yet: {words}")
    plan = await ensure_chassis(network.switch, _chassis(config, place))
    if plan.changes:
        log.info("chassis.set", ids=plan.changes)
    if not await wait_connected():
        log.warning("chassis.not_connected", southbound=network.southbound)
    address = plan.tunnel_address
    return Surroundings(network.switch, _libvirt(place, config.section(ComputeConfig), address), address)


def _chassis(config: Config, place: HostPlace) -> Chassis:
    network = config.section(NetworkConfig)
    return Chassis(
        host_name=place.name,
        southbound=network.southbound,
        tunnel_address=network.tunnel_address,
        bridge_mappings=network.bridge_mappings,
    )


def _libvirt(place: HostPlace, compute: ComputeConfig, address: str) -> LibvirtSettings:
    host = f"[{address}]" if ":" in address else address
    return LibvirtSettings(
        state=place.instances,
        host_name=place.name,
        uri=compute.libvirt_uri,
        shared_instances=Path(compute.instances) if compute.instances else None,
        address=address,
        landing_uri=compute.migration_uri.replace("{address}", host),
        qemu_as_root=True,
    )
