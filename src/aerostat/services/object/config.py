"""The settings of the object store: `[object]` in the TOML file. docs/howto/object-store-settings.md lists all of them.

What nobody reads is refused, here as in all sections: a misspelt `root_secrets` must not mean objects in plain bytes.
"""

from typing import Any, TypeVar

import msgspec

from aerostat.kernel.config import ConfigError

from .cluster.policies import LEGACY_NAME, Policies, Policy
from .daemons.settings import DaemonConfig
from .node.waits import Waits

ALONE = "local"
"""What a machine is called that no other one asks."""

Settings = TypeVar("Settings", bound=msgspec.Struct)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What clients may send; told by `/info` under upstream's names. Lengths are of UTF-8."""

    max_file_size: int = 5_368_709_122
    max_meta_name_length: int = 128
    max_meta_value_length: int = 256
    max_meta_count: int = 90
    max_meta_overall_size: int = 4096
    max_header_size: int = 8192
    max_object_name_length: int = 1024
    max_account_name_length: int = 256
    max_container_name_length: int = 256
    container_listing_limit: int = 10_000
    account_listing_limit: int = 10_000
    extra_header_count: int = 0


class ObjectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    limits: Limits = Limits()
    policies: tuple[Policy, ...] = ()
    """None: one policy for all, as the ring of objects is."""
    part_power: int = 10
    """Of rings that are made at the first start; 2 to that power partitions."""
    replicas: float = 1
    """Of rings that are made at the first start."""
    node: str = ALONE
    """What this machine is called in the rings, `HOST:PORT` of its storage node."""
    node_waits: Waits = Waits()
    public_url: str = ""
    """Base address of the proxies; empty: where the cloud's API is."""
    account_autocreate: bool = True
    allow_account_management: bool = False
    """Let reseller admins PUT and DELETE accounts."""
    allow_open_expired: bool = False
    """With `X-Open-Expired: true` objects whose time has come are read, and given another, until they are deleted."""
    info_ttl_s: float = 5.0
    """How long what is known of an account or container may be used unseen where several machines serve."""
    reclaim_age_s: float = 7 * 86_400.0
    """How long deletions are remembered: a device that was away for longer must come back empty."""
    daemons: DaemonConfig = DaemonConfig()
    slowest_upload_bytes_per_s: int = 500
    """Who sends a body more slowly than that, a minute long, is given up; 0: whoever sends something each minute."""
    cors_allow_origin: tuple[str, ...] = ()
    strict_cors_mode: bool = True
    """Only origins that may are told that scripts may see an answer; else all, and browsers decide."""
    cors_expose_headers: tuple[str, ...] = ()
    middleware: dict[str, dict[str, Any]] = {}
    """Options by the name of a middleware: `[object.middleware.tempurl]`; see `options_of`."""


def policies_of(settings: ObjectConfig) -> Policies:
    """Those of the settings; where there are none, one for all. Raises `PolicyError`."""
    only = Policy(index=0, name=LEGACY_NAME, replicas=settings.replicas)
    return Policies(settings.policies or (only,))


def options_of(
    settings: ObjectConfig, name: str, kind: type[Settings], *, apart: tuple[str, ...] = ()
) -> Settings:
    """What the settings say of a middleware; `enabled` is for the pipeline. `apart`: how names begin that the caller
    reads itself. Raises `ConfigError`.
    """
    options = settings.middleware.get(name, {})
    said = {one: options[one] for one in options if one != "enabled" and not one.startswith(apart)}
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[object.middleware.{name}]: {error}") from None
