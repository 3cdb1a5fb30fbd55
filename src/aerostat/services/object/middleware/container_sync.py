"""Containers that follow others, here or in another cluster: writes that come signed by the one they follow.

https://docs.openstack.org/swift/latest/overview_container_sync.html. Clusters that trust each other share the key of a
realm, the owners of two containers a key of their own; who knows both may write objects, and at the times at which they
were written there. `daemons/container_sync.py` sends.
"""

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from .. import timestamp
from ..config import options_of
from ..http.request import Body, Handler, Request
from ..http.response import Refusal, Response
from ..large import manifest
from ..large.tree import ETAG, SIZE, SLO
from ..proxy.upload import md5_of
from ..realms import KEY, SENT_AT, TO, Realms, Settings, signature
from ..stores.told import OVERRIDE

if TYPE_CHECKING:
    from ..room import ObjectStore

AUTH = "x-container-sync-auth"
WRITES = ("PUT", "POST")
SIGNED = ("HEAD", "PUT", "DELETE")
"""What a container is told by the one that it follows."""
ELSEWHERE = ("x-copy-from", "x-copy-from-account")
"""Says of which other object the bytes are: a signature is for one object only."""
WRONG = "X-Container-Sync-Auth header not valid; contact cluster operator for support."

log = structlog.get_logger(__name__)


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "container_sync", Settings)
        self._room = room
        self._next = next
        self._realms = Realms.of(settings)
        self._allows_urls = settings.allow_full_urls

    async def __call__(self, request: Request) -> Response:
        headers = request.headers
        if TO in headers and request.container is not None:
            await self._check_target(request, headers[TO])
        if AUTH in headers and request.name is not None:
            await self._check_signature(request)
        return await self._next(request)

    async def _check_target(self, request: Request, target: str) -> None:
        if not target:
            return
        if not self._allows_urls and not target.startswith("//"):
            raise Refusal(
                400,
                "Full URLs are not allowed for X-Container-Sync-To values. Only realm values of the format "
                "//realm/cluster/account/container are allowed.\n",
            )
        is_set = request.method in WRITES and request.name is None
        if is_set and (reason := self._realms.refused(target)) is not None:
            raise Refusal(400, reason)

    async def _check_signature(self, request: Request) -> None:
        """Let it in, at the time it tells. Raises `Refusal` 400, 401."""
        said = request.headers.pop(AUTH)
        for name in ELSEWHERE:
            if name in request.headers:
                raise Refusal(400, f"The header '{name.title()}' is not allowed with {AUTH.title()}")
        if (reason := await self._fault(request, said)) is not None:
            log.info("container sync is refused", reason=reason, path=request.path, trans_id=request.trans_id)
            realm = f'SwiftContainerSync realm="{request.account}"'
            raise Refusal(401, WRONG, {"www-authenticate": realm})
        if (sent := request.headers.pop(SENT_AT, None)) is not None:
            try:
                request.at = timestamp.parse(sent)
            except ValueError:
                raise Refusal(400, "Invalid X-Timestamp header") from None
            if request.at > timestamp.LATEST:
                raise Refusal(400, "Invalid X-Timestamp header")
        request.is_owner = True
        if SLO in request.headers and request.method == "PUT":
            await _take_manifest(request)

    async def _fault(self, request: Request, said: str) -> str | None:
        if request.method not in SIGNED:
            return f"{request.method} cannot be signed"
        parts = said.split()
        if len(parts) != 3:
            return "it has not three parts"
        name, nonce, given = parts
        realm = self._realms.find(name)
        if realm is None:
            return "no such realm"
        info = await self._room.infos.container(request.account, request.container)
        key = info.headers.get(KEY) if info is not None else None
        if not key:
            return "the container has no key"
        at, path = request.headers.get(SENT_AT, "0"), quote(request.path)
        for realm_key in realm.keys:
            expected = signature(request.method, path, at, nonce, realm_key, key)
            if hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
                return None
        return "the signature is another"

    def info(self) -> Mapping[str, Any]:
        return {"container_sync": {"realms": self._realms.told()}}


async def _take_manifest(request: Request) -> None:
    """As it is: its segments may come later. What is kept of it beside is not sent. Raises `Refusal` 400, 413."""
    kept = await request.body.read(manifest.MOST_BYTES)
    try:
        found = manifest.read(kept)
    except ValueError:
        raise Refusal(400, "Invalid SLO manifest") from None
    etag = manifest.etag_of(found.segments)
    request.is_inner = True
    request.body = Body(kept)
    request.headers |= {
        ETAG: etag,
        SIZE: str(found.size),
        f"{OVERRIDE}etag": f"{md5_of(kept)}; slo_etag={etag}; slo_bytes={found.size}",
    }
