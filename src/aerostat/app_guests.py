"""How guests reach the control process: the API on the external network, and metadata in every network.

The host process makes the listening sockets inside the namespaces and hands them over; what comes in by them is
answered here, by the same application that users reach. There is one metadata listener for each network that wants
one on each host of this machine, kept as the networks come and go.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import structlog

from aerostat.kernel.context import internal_context
from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import HostPlace, places_of
from aerostat.kernel.house import House
from aerostat.services.network.host.protocol import METADATA_ADDRESS, MetadataPort, network_topic
from aerostat.services.network.host.sockets import SocketClient

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0
RETRY_AFTER_S = 2.0
CALL_LIMIT_S = 30.0
METADATA_OWNER = "network:distributed"

Serving = Callable[..., contextlib.AbstractAsyncContextManager[None]]


class GuestDoors:
    """The listeners for guests. `serving(app, socket)` answers HTTP on a socket while its block runs."""

    def __init__(self, house: House, serving: Serving, metadata_app: Callable[[str], Any]) -> None:
        self._house = house
        self._serving = serving
        places = places_of(house.config)
        self._outside = SocketClient(places[0].sockets)
        self._hosts = [HostDoors(house, place, serving, metadata_app) for place in places]
        self._api: contextlib.AsyncExitStack | None = None
        self._wake = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the doors while the block runs."""
        deafen = self._house.store.listen(self._nudged)
        task = asyncio.create_task(self._keep(), name="doors for guests")
        try:
            yield
        finally:
            deafen()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            for host in self._hosts:
                await host.close()
            if self._api is not None:
                await self._api.aclose()

    def _nudged(self, topic: str) -> None:
        if topic.startswith("network."):
            self._wake.set()

    async def _keep(self) -> None:
        while True:
            pause_s = LOOK_EVERY_S
            for work in (self._open_api, *(host.reconcile for host in self._hosts)):
                # A host that is down keeps nobody else waiting.
                try:
                    await work()
                except DriverError as error:
                    log.warning("doors.waiting", reason=error.message, detail=error.detail)
                    pause_s = RETRY_AFTER_S
                except Exception:
                    log.exception("doors.failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()

    async def _open_api(self) -> None:
        if self._api is not None:
            return
        url = urlsplit(self._house.guest_url)
        listener = await self._outside.listen("external", url.hostname or "", url.port or 80)
        self._api = await served(self._serving, self._house.dispatch, listener)
        log.info("doors.api", url=self._house.guest_url)


class HostDoors:
    """The metadata listeners of one host, by network."""

    def __init__(
        self, house: House, place: HostPlace, serving: Serving, metadata_app: Callable[[str], Any]
    ) -> None:
        self._house = house
        self._place = place
        self._serving = serving
        self._metadata_app = metadata_app
        self._sockets = SocketClient(place.sockets)
        self._open: dict[str, contextlib.AsyncExitStack] = {}

    async def close(self) -> None:
        for network_id in list(self._open):
            await self._open.pop(network_id).aclose()

    async def reconcile(self) -> None:
        """One listener for each network that has a metadata port, none for others."""
        client = self._house.client("network", internal_context("metadata"))
        wanted = {port["network_id"]: port for port in await client.list_ports(device_owner=METADATA_OWNER)}
        for network_id in set(self._open) - set(wanted):
            await self._open.pop(network_id).aclose()
            await self._call("remove_metadata", network_id)
        for network_id, port in wanted.items():
            if network_id not in self._open and port["fixed_ips"]:
                await self._open_metadata(client, network_id, port)

    async def _open_metadata(self, client: Any, network_id: str, port: dict[str, Any]) -> None:
        addresses = []
        for fixed in port["fixed_ips"]:
            subnet = await client.get_subnet(fixed["subnet_id"])
            addresses.append(f"{fixed['ip_address']}/{subnet['cidr'].rsplit('/', 1)[1]}")
        network = await client.get_network(network_id)
        wanted = MetadataPort(
            network_id=network_id,
            port_id=port["id"],
            mac=port["mac_address"],
            addresses=tuple(addresses),
            mtu=network.get("mtu") or 1442,
        )
        await self._call("ensure_metadata", wanted)
        listener = await self._sockets.listen(f"metadata/{network_id}", METADATA_ADDRESS, 80)
        self._open[network_id] = await served(self._serving, self._metadata_app(network_id), listener)
        log.info("doors.metadata", network_id=network_id, host=self._place.name)

    async def _call(self, verb: str, body: Any) -> None:
        await self._house.bus.call(network_topic(self._place.name), verb, body, timeout_s=CALL_LIMIT_S)


async def served(serving: Serving, app: Any, listener: Any) -> contextlib.AsyncExitStack:
    """A listener that is answered until what is given back is closed."""
    stack = contextlib.AsyncExitStack()
    stack.callback(listener.close)
    await stack.enter_async_context(serving(app, listener))
    return stack
