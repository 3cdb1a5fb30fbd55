"""The object store of one process, put together: rings and devices, what is known of accounts, the pipeline."""

from collections.abc import Mapping
from typing import Any

from .cluster.cluster import Cluster
from .cluster.policies import Policies
from .config import ObjectConfig
from .expiry import Expiry
from .http.front import Front
from .pipeline import Handler, Layer, build
from .places import Places, ring_name
from .proxy.core import Core
from .proxy.infos import Generations, Infos
from .ring import Hasher
from .stores.device import LocalDevice
from .stores.protocol import DeviceVerbs

ALONE_TTL_S = 60.0
"""How long things are remembered where all who change them share one machine."""
VERSION = "2.38.0"
"""Upstream's, whose features these are."""


class ObjectStore:
    """A proxy, with the devices of its own machine in the same process."""

    def __init__(self, settings: ObjectConfig, places: Places, host: Any = None) -> None:
        """`places` are founded. `host` is what the store lives in: the cloud's `House`; None where it stands alone.

        Raises `RingError`, FileNotFoundError.
        """
        self.settings = settings
        self.places = places
        self.house = host
        self.policies = Policies(settings.policies)
        secret = places.secret()
        rings = {name: places.ring(name) for name in ("account", "container")}
        object_rings = {policy.index: places.ring(ring_name(policy.index)) for policy in self.policies}
        self.local: dict[str, LocalDevice] = {}
        self.devices: dict[str, DeviceVerbs] = {}
        for ring in (*rings.values(), *object_rings.values()):
            for device in ring.devices.values():
                if device.key not in self.devices and device.node == settings.node:
                    own = LocalDevice(places.device(device.name))
                    self.local[device.key] = self.devices[device.key] = own
        self.hasher = Hasher(secret)
        self.cluster = Cluster(
            self.hasher,
            rings["account"],
            rings["container"],
            self.policies,
            object_rings,
            self.devices,
        )
        is_alone = len(self.local) == len(self.devices)
        self.infos = Infos(
            self.cluster, Generations(places.generations), ALONE_TTL_S if is_alone else settings.info_ttl_s
        )
        self.expiry = Expiry(self.cluster)
        self.handler: Handler
        self.layers: list[Layer]
        self.handler, self.layers = build(self, Core(self))
        self.app = Front(self.handler)

    async def close(self) -> None:
        await self.cluster.close()
        for device in self.local.values():
            await device.close()

    def info(self) -> Mapping[str, Any]:
        """What `/info` tells: limits and features. Sections that only administrators see are not among it."""
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
            "allow_open_expired": False,
            "valid_api_versions": ["v1", "v1.0"],
            **{name: getattr(limits, name) for name in limits.__struct_fields__},
        }
        found: dict[str, Any] = {"swift": swift}
        for layer in self.layers:
            found.update(layer.info())
        return found
