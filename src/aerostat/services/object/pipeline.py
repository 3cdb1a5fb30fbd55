"""The order in which a request meets the features of the store, outermost first.

Each is a module of `middleware/` with a class `Middleware(room, next)`: what it does not care for it hands on to
`next`. A refusal raised in one is an answer to those around it. `info()` of each is what `/info` tells of it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .cluster.errors import DeviceFull, NoQuorum
from .http.request import Request
from .http.response import Refusal, Response
from .stores.protocol import DeviceAway

if TYPE_CHECKING:
    from .room import ObjectStore

Handler = Callable[[Request], Awaitable[Response]]


class SettingsError(ValueError):
    """Settings of a layer that make no sense; the text is for the operator."""


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


class Layer(Protocol):
    def __init__(self, room: ObjectStore, next: Handler) -> None: ...

    async def __call__(self, request: Request) -> Response: ...

    def info(self) -> Mapping[str, Any]:
        """Sections of `/info` by their name."""


def build(room: ObjectStore, core: Handler) -> tuple[Handler, dict[str, Layer]]:
    """The whole pipeline around the handlers of accounts, containers and objects, and its layers by their names.

    Raises `SettingsError`.
    """
    for name in room.settings.middleware:
        if name not in ORDER:
            near = difflib.get_close_matches(name, ORDER, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(ORDER))}"
            raise SettingsError(f"unknown section [object.middleware.{name}]; {hint}")
    handler = guarded(core)
    layers: dict[str, Layer] = {}
    for name in reversed(ORDER):
        options = room.settings.middleware.get(name, {})
        if not options.get("enabled", name in room.settings.middleware or name not in OPTIONAL):
            continue
        module = importlib.import_module(f"{__package__}.middleware.{name}")
        try:
            layer: Layer = module.Middleware(room, handler)
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingsError(f"[object.middleware.{name}]: {error}") from error
        layers[name] = layer
        handler = guarded(layer)
    return handler, dict(reversed(layers.items()))


def guarded(handler: Handler) -> Handler:
    """The handler, its refusals as answers, and the faults of devices: whoever asks for an account may meet them."""

    async def guard(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refused:
            return refused.response()
        except (NoQuorum, DeviceAway):
            return Refusal(503, None, {"retry-after": "1"}).response()
        except DeviceFull:
            return Refusal(507).response()

    return guard
