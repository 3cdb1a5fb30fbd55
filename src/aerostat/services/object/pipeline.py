"""The order in which a request meets the features of the store, outermost first.

Each is a module of `middleware/` with a class `Middleware(room, next)`: what it does not care for it hands on to
`next`. A refusal raised in one is an answer to those around it. `info()` of each is what `/info` tells of it. Where it
has options, its class `Settings` says which.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from aerostat.kernel.config import ConfigError

from .cluster.errors import DeviceFull, NoQuorum
from .config import ObjectConfig, options_of
from .http.request import Handler, Request
from .http.response import Refusal, Response
from .stores.object_file import Damaged
from .stores.protocol import DeviceAway

if TYPE_CHECKING:
    from .room import ObjectStore

ORDER = (
    "proxy_logging",
    "gatekeeper",
    "conditional",
    "healthcheck",
    "info",
    "crossdomain",
    "list_endpoints",
    "recon",
    "domain_remap",
    "etag_quoter",
    "listing_formats",
    "container_sync",
    "bulk",
    "name_check",
    "tempurl",
    "formpost",
    "ratelimit",
    "tempauth",
    "keystone",
    "read_only",
    "staticweb",
    "copy",
    "container_quotas",
    "account_quotas",
    "slo",
    "dlo",
    "versioned_writes",
    "symlink",
    "object_versioning",  # below symlinks: a version may be one, and one may lead to what has versions
    "encryption",
)
OPTIONAL = frozenset(
    {
        "crossdomain",
        "domain_remap",
        "keystone",
        "list_endpoints",
        "name_check",
        "ratelimit",
        "read_only",
        "recon",
        "tempauth",
    }
)
"""Only there when `[object.middleware.NAME]` is in the settings, and does not say `enabled = false`."""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a middleware that has none."""


class Layer(Protocol):
    """A middleware, as it stands in the pipeline."""

    def __init__(self, room: ObjectStore, next: Handler) -> None: ...

    async def __call__(self, request: Request) -> Response: ...

    def info(self) -> Mapping[str, Any]:
        """Sections of `/info` by their name."""


def build(room: ObjectStore, core: Handler) -> tuple[Handler, dict[str, Layer]]:
    """The whole pipeline around the handlers of accounts, containers and objects, and its layers by their names.

    Raises `ConfigError` for settings that nobody reads, or that make no sense.
    """
    check_options(room.settings)
    handler = guarded(core)
    layers: dict[str, Layer] = {}
    for name in reversed(ORDER):
        options = room.settings.middleware.get(name, {})
        if not options.get("enabled", name in room.settings.middleware or name not in OPTIONAL):
            continue
        layer: Layer = _module(name).Middleware(room, handler)
        layers[name] = layer
        handler = guarded(layer)
    return handler, dict(reversed(layers.items()))


def check_options(settings: ObjectConfig) -> None:
    """What the settings say of middlewares is understood, and makes sense to those that have a `check` of their own.
    Raises `ConfigError`.
    """
    for name in settings.middleware:
        if name not in ORDER:
            near = difflib.get_close_matches(name, ORDER, n=1) or sorted(ORDER)
            raise ConfigError(
                f"[object.middleware.{name}]: there is no such middleware; there is {', '.join(near)}"
            )
        module = _module(name)
        kind = getattr(module, "Settings", NoOptions)
        options_of(settings, name, kind, apart=getattr(module, "APART", ()))
        if hasattr(module, "check") and settings.middleware[name].get("enabled", True):
            module.check(settings)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.middleware.{name}")


def guarded(handler: Handler) -> Handler:
    """The handler, its refusals as answers, and the faults of devices: whoever asks for an account may meet them."""

    async def guard(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refused:
            return refused.response()
        except (NoQuorum, DeviceAway, Damaged):
            return Refusal(503, None, {"retry-after": "1"}).response()
        except DeviceFull:
            return Refusal(507).response()

    return guard
