"""One machine's side of OVN: taps in the switch, metadata namespaces, sockets inside namespaces.

Works on the host's namespace from wherever it is called. Taps are made by us with a name that follows from
the port, before the guest starts: the hypervisor only opens them, and a guest outlives whoever plugged it.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute, NetlinkError

from aerostat.kernel.errors import DriverError
from aerostat.kernel.namespaces import (
    disable_checksum_offload,
    ensure_namespace,
    find_link,
    is_namespace,
    list_namespaces,
    remove_namespace,
    run_inside,
)

from ...host.protocol import METADATA_ADDRESS, MetadataPort, tap_name
from .daemons import INTEGRATION_BRIDGE
from .database import Database, Mirror
from .rows import KEY, OWNER, Operation

T = TypeVar("T")

_TABLES = {
    "Bridge": ("name",),
    "Port": ("name",),
    "Interface": ("name", "ofport", "error"),
}
_METADATA_LINK = "metadata"
_PLUGGED, _SERVING = "port", "metadata"


class OvnHostNetworkDriver:
    """`switch`: where the switch's database listens (`unix:/absolute/path`); `prefix`: of the cloud's
    namespaces. The switch is in the one that ends in `-host`, or where we are ourselves (`stands_alone`).
    """

    def __init__(
        self, switch: str, prefix: str, timeout_s: float = 10.0, *, stands_alone: bool = False
    ) -> None:
        self._database = Database(switch, "Open_vSwitch", _TABLES, timeout_s)
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._host_namespace = None if stands_alone else f"{prefix}-host"

    async def start(self) -> None:
        await self._database.start()

    async def close(self) -> None:
        await self._database.close()

    async def plug_port(self, port_id: str, mac: str, mtu: int) -> str:
        tap = tap_name(port_id)
        is_new = await self._inside(partial(_ensure_tap, tap, mtu))
        await self._join(tap, port_id, mac, _PLUGGED, fresh=is_new)
        return tap

    async def unplug_port(self, port_id: str) -> None:
        await self._leave(tap_name(port_id))
        await self._inside(partial(_remove_link, tap_name(port_id)))

    async def list_plugged_ports(self) -> dict[str, str]:
        return await self._joined(_PLUGGED)

    async def ensure_metadata(self, port: MetadataPort) -> None:
        namespace, link = self._metadata_namespace(port.network_id), _wire_name(port.network_id)
        await ensure_namespace(namespace)
        is_new = await self._inside(partial(_ensure_metadata_wire, link, namespace, port.mtu))
        await run_inside(namespace, partial(_set_up_metadata, port))
        await self._inside(partial(_raise_link, link))
        await self._join(link, port.port_id, port.mac, _SERVING, fresh=is_new)

    async def remove_metadata(self, network_id: str) -> None:
        link = _wire_name(network_id)
        await self._leave(link)
        # The wire before the namespace: with its namespace the kernel takes it away some time later.
        await self._inside(partial(_remove_link, link))
        await remove_namespace(self._metadata_namespace(network_id))

    async def list_metadata(self) -> frozenset[str]:
        start = self._metadata_namespace("")
        return frozenset(name.removeprefix(start) for name in list_namespaces(start) if is_namespace(name))

    async def listen(self, namespace: str, address: str, port: int) -> socket.socket:
        def make() -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, port), family=family, backlog=128)
            listener.setblocking(False)
            return listener

        try:
            return await run_inside(self._namespace(namespace), make)
        except OSError as error:
            raise DriverError(
                f"cannot listen at {address} port {port} in {namespace}",
                detail=str(error),
                retry=error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL),
            ) from error

    async def connect(
        self, namespace: str, address: str, port: int, timeout_s: float = 10.0
    ) -> socket.socket:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            return made

        connection = await run_inside(self._namespace(namespace), make)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
        except OSError as error:
            connection.close()
            raise DriverError(
                f"cannot reach {address} port {port} in {namespace}", detail=str(error), retry=True
            ) from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def _inside(self, work: Callable[[], T]) -> T:
        """Do blocking work in the host's namespace."""
        try:
            return await run_inside(self._host_namespace, work)
        except OSError as error:
            raise DriverError("the host's kernel refused", detail=str(error), retry=True) from error

    def _namespace(self, name: str) -> str:
        kind, _, network_id = name.partition("/")
        if kind == "external":
            return f"{self._prefix}-ext"
        if kind == "metadata" and network_id:
            return self._metadata_namespace(network_id)
        raise DriverError(f"there is no namespace {name}")

    def _metadata_namespace(self, network_id: str) -> str:
        return f"{self._prefix}-meta-{network_id}"

    async def _join(self, link: str, port_id: str, mac: str, purpose: str, fresh: bool) -> None:
        """Put a link into the integration bridge as a logical port; returns when the switch has it.

        `fresh`: the link was just made. Then a row from before (a reboot) goes first, for the switch holds
        on to the link it once opened.
        """
        if fresh:
            await self._leave(link)
        await self._database.transact(partial(_join_operations, link, port_id, mac, purpose))
        if not await self._database.wait_until(partial(_is_switched, link), self._timeout_s):
            raise DriverError(f"the switch did not take up {link}", retry=True)

    async def _leave(self, link: str) -> None:
        await self._database.transact(partial(_leave_operations, link))

    async def _joined(self, purpose: str) -> dict[str, str]:
        def read(mirror: Mirror) -> dict[str, str]:
            rows = ((row.read("external_ids"), row.read("name")) for row in mirror.rows("Interface"))
            return {ids["iface-id"]: name for ids, name in rows if ids.get(OWNER) == purpose}

        return await self._database.read(read)


def _wire_name(network_id: str) -> str:
    return f"meta{network_id[:11]}"


def _join_operations(
    link: str, port_id: str, mac: str, purpose: str, mirror: Mirror
) -> tuple[list[Operation], None]:
    ids = {
        KEY: link,
        OWNER: purpose,
        "iface-id": port_id,
        "attached-mac": mac,
        "iface-status": "active",
    }
    external_ids = ["map", sorted(ids.items())]
    present = mirror.find("Interface", link)
    if present is not None and mirror.find("Port", link) is not None:
        if present.read("external_ids") == ids:
            return [], None
        where = [["_uuid", "==", ["uuid", str(present.uuid)]]]
        change = {"external_ids": external_ids}
        return [{"op": "update", "table": "Interface", "where": where, "row": change}], None
    if not any(row.read("name") == INTEGRATION_BRIDGE for row in mirror.rows("Bridge")):
        raise DriverError(f"the switch has no bridge {INTEGRATION_BRIDGE}", retry=True)
    named = {"name": link, "external_ids": external_ids}
    port = {
        "name": link,
        "external_ids": ["map", [[KEY, link], [OWNER, purpose]]],
        "interfaces": ["named-uuid", "interface"],
    }
    join = ["ports", "insert", ["set", [["named-uuid", "port"]]]]
    return [
        {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": named},
        {"op": "insert", "table": "Port", "uuid-name": "port", "row": port},
        _in_bridge(join),
    ], None


def _leave_operations(link: str, mirror: Mirror) -> tuple[list[Operation], None]:
    port = mirror.find("Port", link)
    if port is None:
        return [], None
    return [_in_bridge(["ports", "delete", ["set", [["uuid", str(port.uuid)]]]])], None


def _in_bridge(mutation: list[Any]) -> Operation:
    where = [["name", "==", INTEGRATION_BRIDGE]]
    return {"op": "mutate", "table": "Bridge", "where": where, "mutations": [mutation]}


def _is_switched(link: str, mirror: Mirror) -> bool:
    row = mirror.find("Interface", link)
    if row is None:
        raise DriverError(f"{link} was taken out of the switch again", retry=True)
    if complaint := row.read("error"):
        raise DriverError(f"the switch cannot open {link}", detail=", ".join(complaint), retry=True)
    return any(number > 0 for number in row.read("ofport"))


def _ensure_tap(name: str, mtu: int) -> bool:
    """In the host's namespace; whether it had to be made."""
    with IPRoute() as ip:
        is_new = find_link(ip, name) is None
        if is_new:
            ip.link("add", ifname=name, kind="tuntap", mode="tap")
            _silence(name)
        ip.link("set", index=find_link(ip, name), mtu=mtu, state="up")
    return is_new


def _remove_link(name: str) -> None:
    with IPRoute() as ip:
        if (index := find_link(ip, name)) is not None:
            try:
                ip.link("del", index=index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:  # it went while we looked
                    raise


def _ensure_metadata_wire(name: str, namespace: str, mtu: int) -> bool:
    """In the host's namespace: a veth pair, its far end in the metadata namespace; whether it was made."""
    with IPRoute() as ip:
        is_new = find_link(ip, name) is None
        if is_new:
            far = {"ifname": _METADATA_LINK, "net_ns_fd": namespace}
            ip.link("add", ifname=name, kind="veth", peer=far)
            _silence(name)
        ip.link("set", index=find_link(ip, name), mtu=mtu)
    return is_new


def _silence(name: str) -> None:
    """The kernel says nothing of its own by this link: its solicitations would reach guests."""
    with contextlib.suppress(FileNotFoundError):  # no IPv6 here
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


def _set_up_metadata(port: MetadataPort) -> None:
    """In the metadata namespace: exactly the port's addresses, and the one guests ask."""
    wanted = {*port.addresses, f"{METADATA_ADDRESS}/32"}
    with IPRoute() as ip:
        index = find_link(ip, _METADATA_LINK)
        if index is None:
            raise DriverError("the metadata namespace's wire has lost its end", retry=True)
        if any(":" in address for address in wanted):
            Path(f"/proc/sys/net/ipv6/conf/{_METADATA_LINK}/disable_ipv6").write_text("0")
        ip.link("set", index=index, address=port.mac, mtu=port.mtu)
        present = {
            f"{one.get_attr('IFA_ADDRESS')}/{one['prefixlen']}"
            for one in ip.get_addr(index=index)
            if not one.get_attr("IFA_ADDRESS").startswith("fe80:")
        }
        for text in sorted(present - wanted):
            address, _, length = text.partition("/")
            ip.addr("del", index=index, address=address, prefixlen=int(length))
        for text in sorted(wanted - present):
            address, _, length = text.partition("/")
            ip.addr("add", index=index, address=address, prefixlen=int(length))
    _raise_link(_METADATA_LINK)


def _raise_link(name: str) -> None:
    disable_checksum_offload(name)
    with IPRoute() as ip:
        ip.link("set", index=find_link(ip, name), state="up")
