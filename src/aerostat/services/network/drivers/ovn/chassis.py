"""The switch of a machine whose distribution runs it: what our cloud needs to stand in its database.

On a compute host of its own, Debian's openvswitch-switch and ovn-host are the daemons, and an administrator may have
set them up. ovn-controller reads from the switch's database whom to ask and what to tell (ovn-controller(8)). What is
missing there we set, and keep in step with our settings; what somebody else has chosen stays if the cloud works with
it, and is an error if it does not.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from aerostat.kernel.errors import DriverError

from .daemons import run_tool

OURS = "aerostat-set"
"""Among the `external_ids`: the names of those that we set."""
CONNECT_LIMIT_S = 10.0
CONTROL_FOLDER = "/run/ovn"


class Chassis(msgspec.Struct, frozen=True, kw_only=True):
    """What the cloud wants of a machine's switch. `bridge_mappings`: physical network → bridge. `tunnel_address` empty:
    what stands there, else the address by which the southbound database is reached.
    """

    host_name: str
    southbound: str
    tunnel_address: str = ""
    bridge_mappings: Mapping[str, str] = {}


class ChassisPlan(msgspec.Struct, frozen=True):
    """What is to be set; why it cannot be, if it cannot; and where other hosts reach this one."""

    changes: dict[str, str]
    conflicts: list[str]
    tunnel_address: str


def plan_chassis(
    present: Mapping[str, str], wanted: Chassis, reached_from: str, machine_names: frozenset[str]
) -> ChassisPlan:
    """`present`: the switch's `external_ids`. `reached_from`: our address towards the southbound database, empty if
    there is none. `machine_names`: what a distribution calls the machine by itself.
    """
    ours = set(present.get(OURS, "").split())
    after = dict(present)
    conflicts: list[str] = []
    if after.get("hostname") in machine_names - {wanted.host_name}:
        del after["hostname"]  # nobody chose it

    def want(key: str, value: str, who: str, *, bears_others: bool = False) -> None:
        """`bears_others`: the cloud works with what somebody else has chosen, too."""
        found = after.get(key)
        if found is None or key in ours:
            after[key] = value
            ours.add(key)
        elif found != value and not bears_others:
            conflicts.append(
                f"external_ids:{key} is {found}, and {who} needs {value}. If nobody else does, take it out:"
                f" ovs-vsctl remove Open_vSwitch . external_ids {key}"
            )

    if not same_servers(after.get("ovn-remote", ""), wanted.southbound):
        want("ovn-remote", wanted.southbound, "this cloud's OVN")
    want("ovn-encap-type", "geneve", "a tunnel", bears_others=True)
    if wanted.tunnel_address:
        want("ovn-encap-ip", wanted.tunnel_address, "network.tunnel_address")
    elif reached_from:
        want("ovn-encap-ip", reached_from, "a tunnel", bears_others=True)
    elif "ovn-encap-ip" not in after:
        conflicts.append(f"network.tunnel_address is not set, and {wanted.southbound} does not tell it")
    if wanted.bridge_mappings:
        mapped = ",".join(f"{name}:{bridge}" for name, bridge in sorted(wanted.bridge_mappings.items()))
        want("ovn-bridge-mappings", mapped, "network.bridge_mappings")
    # Debian makes a random system-id and writes it again at each start of the switch, so it is left alone: ports can be
    # bound by the host's name as well.
    want("system-id", wanted.host_name, "a chassis", bears_others=True)
    is_known = after["system-id"] == wanted.host_name
    want("hostname", wanted.host_name, "kernel.host_name", bears_others=is_known)
    changes = {key: value for key, value in after.items() if present.get(key) != value}
    if changes:
        changes[OURS] = " ".join(sorted(ours))
    return ChassisPlan(changes, conflicts, after.get("ovn-encap-ip", ""))


def same_servers(one: str, other: str) -> bool:
    """Whether two lists of addresses name the same servers, in any order."""
    return {word.strip() for word in one.split(",")} == {word.strip() for word in other.split(",")}


def own_address_towards(southbound: str) -> str:
    """The address by which this machine reaches the southbound database; empty if that is not over a network."""
    kind, _, rest = southbound.split(",")[0].strip().partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("tcp", "ssl") or not host:
        return ""
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))  # sends nothing: the kernel only chooses the way
        except (OSError, ValueError):
            return ""
        return str(probe.getsockname()[0])


async def read_ids(switch: str) -> dict[str, str]:
    """The switch's `external_ids`. Raises `DriverError`."""
    printed = await _vsctl(switch, "--format=json", "--columns=external_ids", "list", "Open_vSwitch")
    ((ids,),) = json.loads(printed)["data"]
    return dict(ids[1])


async def look(switch: str, wanted: Chassis) -> ChassisPlan:
    """What there is to do about this machine's switch."""
    reached_from = own_address_towards(wanted.southbound)
    return plan_chassis(await read_ids(switch), wanted, reached_from, _machine_names())


async def ensure_chassis(switch: str, wanted: Chassis) -> ChassisPlan:
    """Set what is ours to set; what was done. Raises `DriverError` that names what somebody else has chosen."""
    plan = await look(switch, wanted)
    if plan.conflicts:
        raise DriverError(
            f"Open vSwitch of this machine is not set up for this cloud: {'; '.join(plan.conflicts)}"
        )
    if plan.changes:
        settings = [f'external_ids:{key}="{value}"' for key, value in plan.changes.items()]
        await _vsctl(switch, "--no-wait", "set", "Open_vSwitch", ".", *settings)
    return plan


def control_sockets(folder: str = CONTROL_FOLDER) -> list[Path]:
    """Of the controllers that run here, or ran."""
    return sorted(Path(folder).glob("ovn-controller.*.ctl"))


async def is_connected(folder: str = CONTROL_FOLDER) -> bool:
    """Whether this machine's ovn-controller has its southbound database. Raises `DriverError` if none runs."""
    for file in control_sockets(folder):
        with contextlib.suppress(DriverError):  # of one that died
            answer = await run_tool("ovn-appctl", "-t", str(file), "connection-status", timeout_s=5)
            return answer.strip() == "connected"
    raise DriverError("ovn-controller does not run", detail=f"nothing answers in {folder}", retry=True)


async def wait_connected(limit_s: float = CONNECT_LIMIT_S) -> bool:
    """The same, with some patience: it was just told where to."""
    give_up_at = asyncio.get_running_loop().time() + limit_s
    while not await is_connected():
        if asyncio.get_running_loop().time() > give_up_at:
            return False
        await asyncio.sleep(0.2)
    return True


def _machine_names() -> frozenset[str]:
    name = socket.gethostname()
    return frozenset({name, name.partition(".")[0], socket.getfqdn()})


async def _vsctl(switch: str, *words: str) -> str:
    return await run_tool("ovs-vsctl", f"--db={switch}", "--timeout=10", *words)
