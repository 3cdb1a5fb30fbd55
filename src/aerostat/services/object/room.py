"""The object store of one process, put together: rings and devices, what is known of accounts, the pipeline."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from .cluster.cluster import Cluster
from .cluster.policies import PolicyError
from .config import ObjectConfig, options_of, policies_of
from .daemons.rounds import Daemon, Rounds
from .daemons.station import Station
from .expiry import Expiry
from .http.front import Front
from .http.request import Handler
from .node.neighbours import Neighbours
from .node.server import NodeServer
from .pipeline import Layer, build
from .places import Places, ring_name
from .proxy.core import Core
from .proxy.finishing import Finishing
from .proxy.infos import Generations, Infos
from .realms import Realms
from .realms import Settings as SyncSettings
from .ring import Device, Hasher, Ring, RingError
from .stores.device import LocalDevice
from .stores.mark import OtherFormat
from .stores.protocol import DeviceVerbs

if TYPE_CHECKING:
    from aerostat.kernel.house import Authenticator

ALONE_TTL_S = 60.0
"""How long things are remembered where all who change them share one machine."""
LOOK_AT_RINGS_S = 2.0
LET_GO_S = 60.0
"""Requests that began under an older ring are through by then."""
VERSION = "2.38.0"
"""Upstream's, whose features these are."""

log = structlog.get_logger(__name__)


class Rings(NamedTuple):
    """All of a store; `objects`: by the index of their policy."""

    account: Ring
    container: Ring
    objects: Mapping[int, Ring]


class ObjectStore:
    """A proxy, with the devices of its own machine in the same process."""

    def __init__(
        self, settings: ObjectConfig, places: Places, authenticate: "Authenticator | None" = None
    ) -> None:
        """`places` are founded. `authenticate`: whom a token of the cloud stands for; None where it stands alone.

        Raises `ConfigError`, `RingError`, `OtherFormat`, FileNotFoundError.
        """
        self.settings = settings
        self.places = places
        self.authenticate = authenticate
        self.policies = policies_of(settings)
        self.hasher = Hasher(places.secret())
        self.neighbours = Neighbours(places.secret(), settings.node_waits)
        self.local: dict[str, LocalDevice] = {}
        self._named: dict[str, LocalDevice] = {}
        self.node = NodeServer(self._named, places.secret())
        """What other nodes ask: an ASGI application for the address that `settings.node` tells."""
        self.devices: dict[str, DeviceVerbs] = {}
        self._seen = self._state_of_rings()  # before they are read: what changes meanwhile is seen later
        self.cluster = self._assembled(self._rings())
        is_alone = len(self.local) == len(self.devices)
        self.infos = Infos(
            lambda: self.cluster,
            Generations(places.generations),
            ALONE_TTL_S if is_alone else settings.info_ttl_s,
        )
        self.expiry = Expiry(lambda: self.cluster)
        self.handler: Handler
        self.layers: dict[str, Layer]
        self.finishing = Finishing()
        core = Core(self)
        self.handler, self.layers = build(self, core)
        self.rounds = Rounds(
            lambda: self.cluster,
            self.local,
            settings.daemons,
            reclaim_age_s=settings.reclaim_age_s,
            core=core,
            more=[self._container_sync] if "container_sync" in settings.middleware else (),
        )
        self.app = Front(self.handler, settings.limits, settings.slowest_upload_bytes_per_s)
        self._watching: asyncio.Task[None] | None = None
        self._older: set[asyncio.Task[None]] = set()

    def start(self, *, has_devices: bool = True) -> None:
        """Follow changes of the rings from now on, and keep what is on this node's devices consistent: unless another
        process of the node does (`has_devices`).
        """
        if has_devices:
            self.rounds.start()
        self._watching = asyncio.create_task(self._follow_rings())

    async def close(self) -> None:
        ending = [*self._older] if self._watching is None else [self._watching, *self._older]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self.rounds.stop()
        await self.finishing.all_ended()
        await self.cluster.close()
        self.neighbours.close()
        await asyncio.gather(*(device.close() for device in self.local.values()))
        self.rounds.leave()

    def _container_sync(self, station: Station) -> Daemon:
        from .daemons.container_sync import ContainerSync  # its HTTP client is large, and seldom wanted

        realms = Realms.of(options_of(self.settings, "container_sync", SyncSettings))
        return ContainerSync(station, self.layers["symlink"], realms)

    def info(self) -> Mapping[str, Any]:
        """What `/info` tells: limits and features."""
        limits = self.settings.limits
        swift = {
            "version": VERSION,
            "policies": [
                {
                    "name": policy.name,
                    "aliases": ", ".join((policy.name, *policy.aliases)),
                    **({"default": True} if policy.is_default else {}),
                }
                for policy in self.policies
                if not policy.is_deprecated
            ],
            "strict_cors_mode": self.settings.strict_cors_mode,
            "account_autocreate": self.settings.account_autocreate,
            "allow_account_management": self.settings.allow_account_management,
            "allow_open_expired": self.settings.allow_open_expired,
            "valid_api_versions": ["v1", "v1.0"],
            **{name: getattr(limits, name) for name in limits.__struct_fields__},
        }
        found: dict[str, Any] = {"swift": swift}
        for layer in self.layers.values():
            found.update(layer.info())
        return found

    def _rings(self) -> "Rings":
        """As they are now. Blocks: large ones take a while. Raises FileNotFoundError, `RingError`."""
        objects = {policy.index: self.places.ring(ring_name(policy.index)) for policy in self.policies}
        return Rings(self.places.ring("account"), self.places.ring("container"), objects)

    def _assembled(self, rings: "Rings") -> Cluster:
        """By these rings; devices that were open stay so."""
        account, container, objects = rings
        for ring in (account, container, *objects.values()):
            for device in ring.devices.values():
                if device.key not in self.devices:
                    self.devices[device.key] = self._device(device)
        return Cluster(self.hasher, account, container, self.policies, objects, self.devices)

    def _device(self, device: Device) -> DeviceVerbs:
        """Raises `RingError`, `OtherFormat`."""
        if device.node != self.settings.node:
            try:
                return self.neighbours.device(device.node, device.name)
            except ValueError as error:
                raise RingError(f"{error}; this node is {self.settings.node}") from error
        known = self.places.device_id(device.name)
        own = LocalDevice(self.places.device(device.name), device_id=known)
        if known is None:
            self.places.remember_device(device.name, own.device_id)
        self.local[device.key] = self._named[device.name] = own
        return own

    def _state_of_rings(self) -> list[tuple[int, int]]:
        """Another one when a file was replaced. Raises FileNotFoundError."""
        names = ["account", "container", *(ring_name(policy.index) for policy in self.policies)]
        found = [self.places.ring_file(name).stat() for name in names]
        return [(file.st_mtime_ns, file.st_ino) for file in found]

    async def _follow_rings(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AT_RINGS_S)
            try:
                if (now := self._state_of_rings()) == self._seen:
                    continue
                before, self.cluster = self.cluster, self._assembled(await asyncio.to_thread(self._rings))
            except (OSError, PolicyError, RingError, OtherFormat) as error:
                log.warning("rings cannot be used; the older ones stay", error=str(error))
                continue
            self._seen = now
            log.info("rings have changed")
            letting_go = asyncio.create_task(_let_go(before))
            self._older.add(letting_go)
            letting_go.add_done_callback(self._older.discard)


async def _let_go(cluster: Cluster) -> None:
    try:
        await asyncio.sleep(LET_GO_S)
    finally:
        await cluster.close()
