"""Containers with versions: switched on and off, shown with the sum of all, deleted when no version is left."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from ...http.listing import ObjectRow
from ...http.request import Handler, Request, is_true, path_of
from ...http.response import Refusal, Response
from .listing import KeptVersions, check_acceptable
from .names import CONTAINER, ENABLED, container_of_versions

if TYPE_CHECKING:
    from ...room import ObjectStore

ASKED = "x-versions-enabled"
LEGACY = "x-container-sysmeta-versions-location"
SYNC_TO = "x-container-sync-to"
USED = "x-container-bytes-used"


class Containers:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next
        self._versions = KeptVersions(room, next)

    async def __call__(self, request: Request) -> Response:
        match request.method:
            case "PUT" | "POST" if ASKED in request.headers:
                return await self._switch(request)
            case "PUT" | "POST" if request.headers.get(SYNC_TO):
                return await self._follow(request)
            case "DELETE":
                return await self._delete(request)
            case "GET" | "HEAD":
                return await self._show(request)
            case _:
                return await self._next(request)

    async def _show(self, request: Request) -> Response:
        is_of_versions = request.method == "GET" and "versions" in request.query
        if is_of_versions:
            check_acceptable(request)
        response = await self._next(request)
        if not response.is_ok:
            return response
        headers = response.headers
        if (enabled := headers.get(ENABLED)) is not None:
            headers[ASKED] = enabled
        if CONTAINER in headers and request.account is not None and request.container is not None:
            hidden = container_of_versions(request.container)
            info = await self._room.infos.container(request.account, hidden, fresh=True)
            if info is not None and USED in headers:
                headers[USED] = str(int(headers[USED]) + info.status.bytes)
        if response.listing is not None:
            if is_of_versions:
                await self._versions.show(request, response)
            else:
                for row in response.listing.told:
                    if row.version_id is not None:
                        _show_link(request, row)
        return response

    async def _switch(self, request: Request) -> Response:
        """The container says so first; that the other one is there is seen to here, and again with each write."""
        assert request.account is not None
        assert request.container is not None
        is_enabled = is_true(request.headers[ASKED])
        await request.check(None)
        info = await self._room.infos.container(request.account, request.container, fresh=True)
        if info is not None:
            if LEGACY in info.headers:
                raise Refusal(
                    400,
                    "Cannot enable object versioning on a container that is already using the legacy "
                    "versioned writes feature.",
                )
            if SYNC_TO in info.headers:
                raise Refusal(
                    400,
                    "Cannot enable object versioning on a container configured as source of container syncing.",
                )
            if is_enabled and self._room.policies.get(info.policy).is_deprecated:
                raise Refusal(
                    400,
                    "Cannot enable object versioning on a container that uses a deprecated storage policy.",
                )
        request.headers[ENABLED] = str(is_enabled)
        if is_enabled:
            request.headers[CONTAINER] = quote(container_of_versions(request.container))
        response = await self._next(request)
        if response.is_ok and is_enabled:
            await ensure_versions_container(self._room, self._next, request)
        return response

    async def _follow(self, request: Request) -> Response:
        """What has versions here is not sent elsewhere without them."""
        await request.check(None)
        info = await self._room.infos.container(request.account, request.container)
        if info is not None and info.headers.get(CONTAINER):
            raise Refusal(
                400, "Cannot configure container sync on a container with object versioning configured."
            )
        return await self._next(request)

    async def _delete(self, request: Request) -> Response:
        """First the container that is seen: when that cannot go, nothing has happened."""
        assert request.account is not None
        assert request.container is not None
        hidden = container_of_versions(request.container)
        info = await self._room.infos.container(request.account, request.container)
        if info is None or CONTAINER not in info.headers:
            return await self._next(request)
        await request.check(None)
        versions = await self._room.infos.container(request.account, hidden, fresh=True)
        if versions is not None and versions.status.objects > 0:
            raise Refusal(409, "Delete all versions before deleting container.")
        response = await self._next(request)
        if response.is_ok and versions is not None:
            path = path_of(request.account, hidden)
            await self._next(request.sub("DELETE", path, is_allowed=True))
        return response


async def ensure_versions_container(room: "ObjectStore", next: Handler, request: Request) -> None:
    """Raises `Refusal` 500 when it cannot be made."""
    assert request.account is not None
    assert request.container is not None
    hidden = container_of_versions(request.container)
    if await room.infos.container(request.account, hidden) is not None:
        return
    info = await room.infos.container(request.account, request.container)
    headers = {"x-storage-policy": room.policies.get(info.policy).name} if info is not None else {}
    path = path_of(request.account, hidden)
    made = await next(request.sub("PUT", path, headers=headers, is_allowed=True))
    if not made.is_ok:
        raise Refusal(500, "Error enabling object versioning")


def _show_link(request: Request, row: ObjectRow) -> None:
    """A link in a plain listing: it says where its version is."""
    path = quote(path_of(request.account or "", request.container, row.name), errors="surrogateescape")
    row.symlink_path = f"{path}?version-id={row.version_id}"
    row.symlink_etag = row.symlink_bytes = row.version_id = None
    row.version_symlink = True
