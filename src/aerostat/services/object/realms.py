"""Realms: clusters that let each other's containers follow, and the key they share for it.

    [object.middleware.container_sync]
    current = "//US/SELF"
    [object.middleware.container_sync.realms.US]
    key = "…"
    key2 = "…"                       # an older one, or the next: good for what comes in
    clusters = { SELF = "https://one.example.com/v1/", OTHER = "https://two.example.com/v1/" }

https://docs.openstack.org/swift/latest/overview_container_sync.html#configuring-container-sync. Names of realms and
clusters are the same in upper and lower case.
"""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

TO, KEY = "x-container-sync-to", "x-container-sync-key"
"""Which container follows, and the key that the owners of both have in common."""
SENT_AT = "x-backend-inbound-x-timestamp"
"""What a client said as `X-Timestamp`: nobody else listens to it."""


class Realm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`clusters`: where each answers, up to and with `/v1/`."""

    key: str
    key2: str = ""
    clusters: dict[str, str] = {}

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, self.key2) if self.key2 else (self.key,)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.container_sync]`"""

    realms: dict[str, Realm] = {}
    current: str = ""
    """`//REALM/CLUSTER`: this one."""
    allow_full_urls: bool = True
    """Let containers follow others at any URL, too."""


class Target(msgspec.Struct, frozen=True):
    """Where a container's objects are to be sent. `realm`: the name, and its key."""

    url: str
    realm: str
    key: str


class Realms:
    """All of them."""

    def __init__(self, realms: Mapping[str, Realm], current: str = "") -> None:
        self._realms = {
            name.upper(): msgspec.structs.replace(
                realm, clusters={cluster.upper(): url for cluster, url in realm.clusters.items()}
            )
            for name, realm in realms.items()
        }
        self._current = tuple(current.strip("/").upper().split("/"))

    @classmethod
    def of(cls, settings: Settings) -> "Realms":
        return cls(settings.realms, settings.current)

    def find(self, name: str) -> Realm | None:
        return self._realms.get(name.upper())

    def refused(self, to: str) -> str | None:
        """What is wrong with an `X-Container-Sync-To`; None: nothing."""
        if to.startswith("//"):
            parts = to[2:].split("/", 3)
            if len(parts) != 4 or not all(parts):
                return f"Invalid X-Container-Sync-To format {to!r}"
            realm = self.find(parts[0])
            if realm is None:
                return f"No realm key for {parts[0]!r}"
            if parts[1].upper() not in realm.clusters:
                return f"No cluster endpoint for {parts[0]!r} {parts[1]!r}"
            return None
        split = urlsplit(to)
        if split.scheme not in ("http", "https"):
            return (
                f'Invalid scheme {split.scheme!r} in X-Container-Sync-To, must be "//", "http", or "https".'
            )
        if not split.path or split.path == "/":
            return "Path required in X-Container-Sync-To"
        if split.query or split.fragment:
            return "Params, queries, and fragments not allowed in X-Container-Sync-To"
        return f"Invalid host {split.hostname!r} in X-Container-Sync-To"

    def target(self, to: str) -> Target | None:
        """Where it leads; None where nobody here can send to."""
        if not to.startswith("//") or self.refused(to) is not None:
            return None
        name, cluster, account, container = to[2:].split("/", 3)
        realm = self._realms[name.upper()]
        base = realm.clusters[cluster.upper()].rstrip("/")
        return Target(f"{base}/{quote(account)}/{quote(container.rstrip('/'))}", name.upper(), realm.key)

    def told(self) -> Mapping[str, Any]:
        """For `/info`."""
        found: dict[str, Any] = {}
        for name, realm in self._realms.items():
            clusters: dict[str, Any] = {cluster: {} for cluster in realm.clusters}
            if self._current[:1] == (name,) and self._current[-1] in clusters:
                clusters[self._current[-1]]["current"] = True
            if clusters:
                found[name] = {"clusters": clusters}
        return found


def signature(method: str, path: str, at: str, nonce: str, realm_key: str, key: str) -> str:
    """`path`: of the object, quoted. `at`: the `X-Timestamp` that is sent."""
    text = "\n".join((method, path, at, nonce, key)).encode("utf-8", "surrogateescape")
    return hmac.new(realm_key.encode(), text, "sha1").hexdigest()
