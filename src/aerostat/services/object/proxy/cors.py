"""Pages of other sites that use the store from a browser: preflight requests, and what scripts may see of answers.

https://docs.openstack.org/swift/latest/cors.html, https://fetch.spec.whatwg.org/#http-cors-protocol. Who may is said
by the container (`X-Container-Meta-Access-Control-Allow-Origin`) or, for all, by the settings.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..http.request import Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

META = "x-container-meta-access-control-"
SIMPLE = ("cache-control", "content-language", "content-type", "expires", "last-modified", "pragma")
ALWAYS = ("etag", "x-timestamp", "x-trans-id", "x-openstack-request-id")


class Origins:
    """See the module."""

    def __init__(self, room: "ObjectStore") -> None:
        self._room = room

    async def preflight(self, request: Request, methods: tuple[str, ...]) -> Response:
        """The answer to OPTIONS. Raises `Refusal` 401 where the origin may not; an account has no say in it."""
        origin = request.headers.get("origin")
        allow = ", ".join(methods)
        if origin is None or request.container is None:
            return Response(200, {"allow": allow})
        container = await self._of_container(request)
        method = request.headers.get("access-control-request-method")
        if method is None or method not in methods or not self._is_allowed(container, origin):
            raise Refusal(401)
        allowed = "*" if _first(container, "allow-origin").strip() == "*" else origin
        headers = {
            "allow": allow,
            "access-control-allow-origin": allowed,
            "access-control-allow-methods": allow,
            "vary": "Origin",
        }
        if age := container.get(META + "max-age"):
            headers["access-control-max-age"] = age
        if asked := request.headers.get("access-control-request-headers"):
            headers["access-control-allow-headers"] = asked
            headers["vary"] = "Origin, Access-Control-Request-Headers"
        return Response(200, headers)

    async def mark(self, request: Request, response: Response) -> None:
        """Say in the answer whether a script of the request's origin may see it."""
        origin = request.headers["origin"]
        container = await self._of_container(request)
        if self._room.settings.strict_cors_mode and not self._is_allowed(container, origin):
            return
        exposed = dict.fromkeys((*SIMPLE, *ALWAYS))
        exposed |= dict.fromkeys(
            name
            for name in response.headers
            if name.startswith(("x-object-meta", "x-container-meta", "x-account-meta"))
        )
        exposed |= dict.fromkeys(name.lower() for name in self._room.settings.cors_expose_headers)
        exposed |= dict.fromkeys(name.lower() for name in container.get(META + "expose-headers", "").split())
        headers = response.headers
        headers.setdefault("access-control-expose-headers", ", ".join(exposed))
        is_any = _first(container, "allow-origin").strip() == "*"
        headers.setdefault("access-control-allow-origin", "*" if is_any else origin)
        if not is_any:
            headers["vary"] = f"{headers['vary']}, Origin" if "vary" in headers else "Origin"

    async def _of_container(self, request: Request) -> Mapping[str, str]:
        if request.account is None or request.container is None:
            return {}
        info = await self._room.infos.container(request.account, request.container)
        return info.headers if info is not None else {}

    def _is_allowed(self, container: Mapping[str, str], origin: str) -> bool:
        own = container.get(META + "allow-origin", "").split()
        allowed = {one.strip() for one in (*own, *self._room.settings.cors_allow_origin)}
        return "*" in allowed or origin in allowed


def _first(container: Mapping[str, str], name: str) -> str:
    return container.get(META + name, "")
