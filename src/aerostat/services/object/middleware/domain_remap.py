"""Account and container from the name of the host: `CONTAINER.AUTH-account.STORAGE_DOMAIN/OBJECT`.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.domain_remap

Browsers write hosts in lower case, and hosts have no underscores: `auth-account` is `AUTH_account`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..config import ObjectConfig, options_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.domain_remap]`"""

    storage_domain: str | tuple[str, ...] = "example.com"
    """One or more: a list, or with commas."""
    path_root: str = "v1"
    reseller_prefixes: str | tuple[str, ...] = "AUTH"
    default_reseller_prefix: str | None = None
    """Of accounts that are named without one."""
    mangle_client_paths: bool = False
    """Paths that begin with the root again are taken to mean it."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "domain_remap", Settings)
        self._next = next
        self._domains = domains_of(room.settings)
        self._root = settings.path_root.strip("/")
        self._prefixes = {one.lower(): one for one in _several(settings.reseller_prefixes)}
        self._default_prefix = settings.default_reseller_prefix
        self._is_mangling = settings.mangle_client_paths

    async def __call__(self, request: Request) -> Response:
        host = request.host.rpartition(":")[0] if ":" in request.host else request.host
        domain = next((one for one in self._domains if host.lower().endswith(one)), None)
        if domain is None:
            return await self._next(request)
        parts = host[: -len(domain)].strip(".").split(".")
        if len(parts) > 2:
            raise Refusal(400, "Bad domain in host header")
        account = self._account(parts[-1])
        if account is None:
            return await self._next(request)
        asked, path = request.path, request.path[1:]
        if self._is_mangling and f"{path}/".startswith(f"{self._root}/"):
            path = path[len(self._root) + 1 :]
        meant = "/".join(("", self._root, account, *parts[:-1], path))
        try:
            meant.encode()
        except UnicodeEncodeError:
            raise Refusal(412, "Invalid UTF8 or contains NULL") from None
        request.set_path(meant)
        response = await self._next(request)
        if (location := response.headers.get("location")) is not None:
            response.headers["location"] = _as_asked(location, meant, asked)
        return response

    def _account(self, name: str) -> str | None:
        """None for one that is not meant for this store."""
        if not self._prefixes:
            return name
        if "_" not in name:
            name = name.replace("-", "_", 1)
        prefix, _, _ = name.partition("_")
        if (known := self._prefixes.get(prefix.lower())) is not None:
            return known + name[len(known) :]
        return f"{self._default_prefix}_{name}" if self._default_prefix else None

    def info(self) -> Mapping[str, Any]:
        return {"domain_remap": {"default_reseller_prefix": self._default_prefix}}


def domains_of(settings: ObjectConfig) -> tuple[str, ...]:
    """Each with a dot before it, without capitals. None where this is off. Raises `ConfigError`."""
    options = settings.middleware.get("domain_remap", {})
    domains = _several(options_of(settings, "domain_remap", Settings).storage_domain)
    if not options.get("enabled", True):
        return ()
    return tuple("." + one.lower().removeprefix(".") for one in domains)


def _several(value: str | Sequence[str]) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]


def _as_asked(location: str, meant: str, asked: str) -> str:
    """A redirection in the client's terms: it knows nothing of the path that was meant."""
    scheme, slashes, rest = location.partition("://")
    head, target = "", location
    if slashes:
        host, slash, path = rest.partition("/")
        head, target = f"{scheme}://{host}", slash + path
    prefix = quote(meant)
    return f"{head}{quote(asked)}{target[len(prefix) :]}" if target.startswith(prefix) else location
