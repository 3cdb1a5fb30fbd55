"""The processes of one host's network, and the namespaces they live in.

Six daemons: two databases, northd which translates between them, the switch's own database, the switch, and
the controller that programs it. All live in the namespace `<prefix>-host`; `<prefix>-ext` stands for the
outside, joined to the bridge `br-ex` by a veth pair. Every step may be repeated: after a kill or a reboot
the same calls rebuild what is missing and leave alone what runs.

Where one machine is several hosts, each has a switch and a controller, and the first the databases for all. The
outside is a bridge with a wire to every host; a second bridge, in `<prefix>-wire`, is the network over which their
tunnels go.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import HostPlace
from aerostat.kernel.namespaces import (
    disable_checksum_offload,
    ensure_namespace,
    find_link,
    list_namespaces,
    remove_namespace,
    run_inside,
)
from aerostat.kernel.supervise import Child

from .dhcp import derived_mac

INTEGRATION_BRIDGE, EXTERNAL_BRIDGE, TUNNEL_BRIDGE = "br-int", "br-ex", "br-phy"
# The bridge in the namespace that a host's wire leads to, and the wire's end at the host.
_OUTSIDE, _OUTSIDE_END = "public", "public-br"
_UNDERLAY, _UNDERLAY_END = "underlay", "underlay"
_NB_SCHEMA, _SB_SCHEMA = "/usr/share/ovn/ovn-nb.ovsschema", "/usr/share/ovn/ovn-sb.ovsschema"
_SWITCH_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
# A unix socket's path has 107 bytes; the switch makes names of its own in the folder.
_LONGEST_SOCKET_FOLDER = 80
LINK_LIMIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class OvnHost:
    """One host's network processes: where their state is and how the host is called.

    `external_address`: the outside's own address in the external network, with prefix length. `client`:
    user and group ids of the process that talks to the northbound database, when it is not root.

    For one of several hosts: `number` tells its processes and wires from the others', `cloud_prefix` begins the
    names of the namespaces that they share, `central_dir` is the state folder of the host that has the databases,
    `tunnel_address` its own address, with prefix length, in the network between the hosts.
    """

    state_dir: Path
    prefix: str
    host_name: str
    number: int = 1
    cloud_prefix: str = ""
    central_dir: Path | None = None
    tunnel_address: str = ""
    physical_network: str = "public"
    external_address: str = "172.24.4.1/24"
    client: tuple[int, int] | None = None

    @classmethod
    def at(cls, place: HostPlace, first: HostPlace, client: tuple[int, int] | None = None) -> "OvnHost":
        """The network of the host at `place`; `first` has the databases."""
        return cls(
            state_dir=place.state,
            prefix=place.prefix,
            host_name=place.name,
            number=place.number,
            cloud_prefix=place.cloud_prefix,
            central_dir=None if place.is_first else first.state,
            tunnel_address=f"{place.address}/24" if place.address else "",
            client=client,
        )

    @property
    def is_central(self) -> bool:
        return self.central_dir is None

    @property
    def host_namespace(self) -> str:
        return f"{self.prefix}-host"

    @property
    def external_namespace(self) -> str:
        return f"{self.cloud_prefix or self.prefix}-ext"

    @property
    def wire_namespace(self) -> str:
        return f"{self.cloud_prefix or self.prefix}-wire"

    @property
    def folder(self) -> Path:
        return self.state_dir.absolute() / "ovn"

    @property
    def socket_folder(self) -> Path:
        return _socket_folder(self.folder, self.prefix)

    @property
    def _central_sockets(self) -> Path:
        if self.central_dir is None:
            return self.socket_folder
        return _socket_folder(self.central_dir.absolute() / "ovn", self.cloud_prefix)

    @property
    def northbound(self) -> str:
        return f"unix:{self._central_sockets}/nb.sock"

    @property
    def southbound(self) -> str:
        return f"unix:{self._central_sockets}/sb.sock"

    @property
    def switch(self) -> str:
        return f"unix:{self.socket_folder}/db.sock"

    def children(self) -> list[Child]:
        """The daemons, for the supervisor. Taken over by its successor: guests' packets do not notice."""
        return [*(self._central() if self.is_central else ()), *self._chassis()]

    def _central(self) -> list[Child]:
        return [
            self._database("ovn-nb", "nb", _NB_SCHEMA, ["ovn-nbctl", "init"], after=()),
            self._database("ovn-sb", "sb", _SB_SCHEMA, ["ovn-sbctl", "init"], after=()),
            self._daemon(
                "ovn-northd",
                ["ovn-northd", f"--ovnnb-db={self.northbound}", f"--ovnsb-db={self.southbound}"],
                control="northd",
                after=("ovn-nb", "ovn-sb"),
            ),
        ]

    def _chassis(self) -> list[Child]:
        database, switch = self._named("ovs-db"), self._named("ovs-switch")
        return [
            self._database(database, "db", _SWITCH_SCHEMA, ["ovs-vsctl", "--no-wait", "init"], after=()),
            self._daemon(
                switch,
                ["ovs-vswitchd", self.switch, "--disable-system"],
                control="vswitchd",
                after=(database,),
                settle=self._set_up_bridges,
            ),
            # Its control socket is named by its pid, so readiness cannot be asked; nothing waits for it.
            self._daemon(
                self._named("ovn-controller"), ["ovn-controller", self.switch], after=(switch, "ovn-sb")
            ),
        ]

    def _named(self, daemon: str) -> str:
        return daemon if self.number == 1 else f"{daemon}-{self.number}"

    async def ensure_namespaces(self) -> None:
        """Make the namespaces and the wires between them; before the children start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket_folder.mkdir(parents=True, exist_ok=True)
        await ensure_namespace(self.host_namespace)
        await self._ensure_wire(self.external_namespace, _OUTSIDE, _OUTSIDE_END, self.external_address)
        if self.tunnel_address:
            await self._ensure_wire(self.wire_namespace, _UNDERLAY, _UNDERLAY_END)

    async def _ensure_wire(self, namespace: str, bridge: str, own_end: str, address: str = "") -> None:
        """From the host to a bridge in another namespace, which may have an address there."""
        await ensure_namespace(namespace)
        far_end = f"host{self.number}"
        if not await run_inside(namespace, partial(_is_link, far_end)):
            await run_inside(self.host_namespace, partial(_make_wire, own_end, far_end, namespace))
        await run_inside(namespace, partial(_join_bridge, bridge, far_end, address))
        await run_inside(self.host_namespace, partial(_raise_link, own_end))

    def _daemon(
        self,
        name: str,
        command: list[str],
        *,
        after: tuple[str, ...],
        control: str | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
        ready: Callable[[], Awaitable[bool]] | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> Child:
        argv = [*command, "-vconsole:info", "-vsyslog:off", "-vfile:off"]
        if control is not None:
            path = self.socket_folder / f"{control}.ctl"
            argv.append(f"--unixctl={path}")
            ready = ready or partial(_accepts, path)
        folders = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVN_RUNDIR", "OVN_LOGDIR")
        return Child(
            name=name,
            argv=argv,
            env=dict.fromkeys(folders, str(self.socket_folder)),
            namespace=self.host_namespace,
            after=after,
            prepare=prepare,
            ready=ready,
            settle=settle,
            adopt=True,
        )

    def _database(self, name: str, short: str, schema: str, init: list[str], after: tuple[str, ...]) -> Child:
        path, socket = self.folder / f"{short}.db", self.socket_folder / f"{short}.sock"

        async def settle() -> None:
            program, *rest = init
            await run_tool(program, f"--db=unix:{socket}", "--timeout=10", *rest)
            if short == "db":
                await self._introduce_host()
            if short == "nb" and self.client is not None:
                os.chown(socket, *self.client)

        return self._daemon(
            name,
            ["ovsdb-server", str(path), f"--remote=punix:{socket}"],
            control=name,
            after=after,
            prepare=partial(_ensure_database_file, path, schema),
            ready=partial(_accepts, socket),
            settle=settle,
        )

    async def _introduce_host(self) -> None:
        """Tell the controller who it is and whom to ask; it reads this from the switch's database."""
        ids = {
            "system-id": self.host_name,
            "hostname": self.host_name,
            "ovn-remote": self.southbound,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.tunnel_address.partition("/")[0] or "127.0.0.1",
            "ovn-bridge-datapath-type": "netdev",
            "ovn-bridge-mappings": f"{self.physical_network}:{EXTERNAL_BRIDGE}",
            "ovn-monitor-all": "true",
        }
        # The names hold «:» and «/», so every value is quoted for the command's own little language.
        settings = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
        threads = ["other_config:n-revalidator-threads=1", "other_config:n-handler-threads=1"]
        await self._vsctl("--no-wait", "set", "Open_vSwitch", ".", *settings, *threads)

    async def _set_up_bridges(self) -> None:
        """The bridges in userspace, and the wires in them.

        Tunnels of a userspace switch go out by a bridge of its own that has their address.
        """
        wires = {EXTERNAL_BRIDGE: _OUTSIDE_END}
        if self.tunnel_address:
            wires[TUNNEL_BRIDGE] = _UNDERLAY_END
        steps: list[str] = []
        for bridge in (INTEGRATION_BRIDGE, *wires):
            mode = "secure" if bridge == INTEGRATION_BRIDGE else "standalone"
            steps += ["--", "--may-exist", "add-br", bridge]
            steps += ["--", "set", "Bridge", bridge, "datapath_type=netdev", f"fail_mode={mode}"]
        for bridge, wire in wires.items():
            steps += ["--", "--may-exist", "add-port", bridge, wire]
        await self._vsctl(*steps)
        if self.tunnel_address:
            await self._address_tunnels()

    async def _address_tunnels(self) -> None:
        """The bridge of the tunnels gets its address. The switch answers a little before its new bridge is a link."""
        give_up_at = asyncio.get_running_loop().time() + LINK_LIMIT_S
        while not await run_inside(self.host_namespace, partial(_is_link, TUNNEL_BRIDGE)):
            if asyncio.get_running_loop().time() > give_up_at:
                raise DriverError(
                    f"the switch made no link {TUNNEL_BRIDGE} in {LINK_LIMIT_S:.0f} s", retry=True
                )
            await asyncio.sleep(0.05)
        await run_inside(self.host_namespace, partial(_address, TUNNEL_BRIDGE, self.tunnel_address))

    async def _vsctl(self, *arguments: str) -> None:
        await run_tool("ovs-vsctl", f"--db={self.switch}", "--timeout=15", *arguments)


async def remove_everything(prefix: str) -> None:
    """Take away all namespaces of a cloud and whatever still lives in them; a repeat does nothing.

    The supervisor and guests are to be stopped before: what is found alive here is ended without ceremony.
    """
    for name in list_namespaces(f"{prefix}-"):
        await remove_namespace(name)


def _socket_folder(folder: Path, prefix: str) -> Path:
    """Beside the state, or below /run when that path is too long for a socket."""
    if len(str(folder)) <= _LONGEST_SOCKET_FOLDER:
        return folder
    return Path("/run/aerostat") / prefix


def _make_wire(own_end: str, far_end: str, far_namespace: str) -> None:
    """In the host's namespace: the veth pair, its far end moved away. An end without the other goes first."""
    with IPRoute() as ip:
        if (left := find_link(ip, own_end)) is not None:
            with contextlib.suppress(NetlinkError):  # the kernel is just taking it away, after its other end
                ip.link("del", index=left)
        far = {"ifname": far_end, "net_ns_fd": far_namespace}
        ip.link("add", ifname=own_end, kind="veth", peer=far)


def _is_link(name: str) -> bool:
    with IPRoute() as ip:
        return find_link(ip, name) is not None


def _join_bridge(bridge: str, link: str, address: str) -> None:
    """In the namespace that a wire leads to: its end in the bridge, which has an address if there is one.

    Its MAC address then stays the same for ever: routers remember it across restarts.
    """
    with IPRoute() as ip:
        if find_link(ip, bridge) is None:
            ip.link("add", ifname=bridge, kind="bridge")
        index = find_link(ip, link)
        if index is None:
            raise DriverError(f"the wire to {bridge} has lost its end", retry=True)
        if address:
            mac = derived_mac(f"external {address}")
            ip.link("set", index=find_link(ip, bridge), address=mac)
        ip.link("set", index=index, master=find_link(ip, bridge))
    _raise_link(link)
    if address:
        _address(bridge, address)
    else:
        _raise_link(bridge)


def _address(link: str, address: str) -> None:
    """In a link's namespace: let it have this address, and go up."""
    text, _, prefix_length = address.partition("/")
    with IPRoute() as ip:
        index = find_link(ip, link)
        if index is None:
            raise DriverError(f"there is no {link} yet", retry=True)
        ip.addr("replace", index=index, address=text, prefixlen=int(prefix_length))
    _raise_link(link)


def _raise_link(name: str) -> None:
    disable_checksum_offload(name)
    with IPRoute() as ip:
        ip.link("set", index=find_link(ip, name), state="up")


async def _ensure_database_file(path: Path, schema: str) -> None:
    """Make the file, or bring it to the installed schema. Made beside and moved: never half a database."""
    if await asyncio.to_thread(path.exists):
        if (await run_tool("ovsdb-tool", "needs-conversion", str(path), schema)).strip() == "yes":
            await run_tool("ovsdb-tool", "convert", str(path), schema)
        return
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    await run_tool("ovsdb-tool", "create", str(fresh), schema)
    fresh.rename(path)


async def _accepts(path: Path) -> bool:
    """Whether somebody listens at a unix socket; OSError if not."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()
    return True


async def run_tool(*command: str, timeout_s: float = 30.0) -> str:
    """Run a command; what it printed, or DriverError with what it complained about."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            printed, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DriverError(
            f"{command[0]} did not end in {timeout_s:g} s", detail=" ".join(command), retry=True
        ) from None
    if process.returncode != 0:
        raise DriverError(f"{command[0]} failed", detail=f"{' '.join(command)}: {complaint.decode().strip()}")
    return printed.decode()
