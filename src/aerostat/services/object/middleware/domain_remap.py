"""Account and container from the name of the host: `CONTAINER.AUTH-account.STORAGE_DOMAIN/OBJECT`.

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.domain_remap

Browsers write hosts in lower case, and hosts have no underscores: `auth-account` is `AUTH_account`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..http.request import Request
from ..http.response import Refusal, Response
from ..pipeline import Handler


class Middleware:
    """Options: `storage_domain` (one or more), `path_root`, `reseller_prefixes`, `default_reseller_prefix` (of
    accounts that have none), `mangle_client_paths` (paths that begin with the root again are taken to mean it).
    """

    def __init__(self, room: Any, next: Handler) -> None:
        options = room.settings.middleware.get("domain_remap", {})
        self._next = next
        domains = _several(options.get("storage_domain", "example.com"))
        self._domains = tuple(one if one.startswith(".") else "." + one for one in domains)
        self._root: str = options.get("path_root", "v1").strip("/")
        self._prefixes = {one.lower(): one for one in _several(options.get("reseller_prefixes", "AUTH"))}
        self._default_prefix: str | None = options.get("default_reseller_prefix")
        self._is_mangling = bool(options.get("mangle_client_paths", False))

    async def __call__(self, request: Request) -> Response:
        host = request.host.rpartition(":")[0] if ":" in request.host else request.host
        domain = next((one for one in self._domains if host.endswith(one)), None)
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
