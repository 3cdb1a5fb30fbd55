"""Containers. https://docs.openstack.org/api-ref/object-store/#containers"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import timestamp
from ..http import constraints
from ..http.listing import Listing, ObjectRow, Row, SubdirRow, moment_of, tell_etag
from ..http.request import Request, is_true
from ..http.response import HTML, Refusal, Response
from ..stores.container_db import Entry
from ..stores.listing import Asked, Subdir
from ..timestamp import Timestamp
from . import acl
from .infos import ContainerInfo
from .said import check_together, words

if TYPE_CHECKING:
    from ..room import ObjectStore

OWNERS = (
    "x-container-read", "x-container-write", "x-container-sync-key", "x-container-sync-to",
    "x-container-meta-temp-url-key", "x-container-meta-temp-url-key-2",
)  # fmt: skip
"""Only owners see these, and change them."""
KEPT = ("x-container-read", "x-container-write", "x-container-sync-key", "x-container-sync-to")
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")
POLICY = "x-storage-policy"
ETAG_DIGITS = 32


class Containers:
    """The verbs of `/v1/ACCOUNT/CONTAINER`."""

    def __init__(self, room: "ObjectStore") -> None:
        self._room = room
        self._limits = room.settings.limits

    async def __call__(self, request: Request) -> Response:
        assert request.account is not None
        assert request.container is not None
        where = request.account, request.container
        match request.method:
            case "GET" | "HEAD":
                return await self._show(request, *where)
            case "PUT":
                return await self._put(request, *where)
            case "POST":
                return await self._post(request, *where)
            case "DELETE":
                return await self._delete(request, *where)
            case _:
                raise Refusal(405, None, {"allow": ", ".join(METHODS)})

    async def _show(self, request: Request, account: str, container: str) -> Response:
        limit = constraints.listing_limit(request, self._limits.container_listing_limit)
        info = await self._room.infos.container(account, container, fresh=True)
        await request.check(info.read_acl if info is not None else None)
        if info is None:
            raise Refusal(404)
        response = Response(200 if request.method == "GET" else 204, self._headers(request, info))
        if request.method == "HEAD":
            response.headers["content-type"] = "text/plain; charset=utf-8"
            return response
        found = (
            await self._room.cluster.containers.list(account, container, _asked(request.query, limit))
            if limit
            else []
        )
        if found is None:
            raise Refusal(404)
        response.listing = _listing(account, container, found)
        return response

    def _headers(self, request: Request, info: ContainerInfo) -> dict[str, str]:
        status = info.status
        headers = {
            "x-container-object-count": str(status.objects),
            "x-container-bytes-used": str(status.bytes),
            "x-timestamp": timestamp.write(status.created_at),
            "x-put-timestamp": timestamp.write(status.put_at),
            "last-modified": constraints.last_modified(info.modified_at),
            "accept-ranges": "bytes",
            POLICY: self._room.policies.get(status.policy).name,
        }
        for name, value in info.headers.items():
            if name not in OWNERS or request.is_owner:
                headers[name] = value
        return headers

    async def _put(self, request: Request, account: str, container: str) -> Response:
        _clean_acls(request)
        policy = self._policy(request)
        constraints.check_container_name(container, self._limits)
        constraints.check_account_name(account, self._limits)
        info = await self._room.infos.container(account, container, fresh=True)
        await self._check_change(request, info)
        if info is None:
            request.come_after(await self._room.cluster.containers.gone_at(account, container))
        at = request.moment()
        said = self._words(request, info, at)
        if info is not None and policy is not None and info.policy != policy:
            name = self._room.policies.get(info.policy).name
            raise Refusal(409, f"The container has storage policy {name}; it cannot have another.")
        if policy is None:
            policy = info.policy if info is not None else self._room.policies.default.index
        if await self._room.infos.account(account) is None:
            if not self._room.settings.account_autocreate:
                raise Refusal(404)
            kept = {
                name: (value, at)
                for name, value in request.headers.items()
                if name.startswith("x-account-sysmeta-")
            }
            await self._room.cluster.accounts.make(account, at, kept)
            self._room.infos.forget(account)
        making = self._room.cluster.containers.make(account, container, at, policy, said)
        is_new = await self._room.finishing(making)
        self._room.infos.forget(account, container)
        return Response(201 if is_new else 202, {"content-type": HTML})

    async def _post(self, request: Request, account: str, container: str) -> Response:
        _clean_acls(request)
        info = await self._room.infos.container(account, container, fresh=True)
        await self._check_change(request, info)
        if info is None:
            raise Refusal(404)
        said = self._words(request, info, request.moment())
        if said and not await self._room.cluster.containers.say(account, container, said):
            raise Refusal(404)
        self._room.infos.forget(account, container)
        return Response(204, {"content-type": HTML})

    async def _delete(self, request: Request, account: str, container: str) -> Response:
        info = await self._room.infos.container(account, container, fresh=True)
        await self._check_change(request, info)
        deleting = self._room.cluster.containers.delete(account, container, request.moment())
        deleted = await self._room.finishing(deleting)
        self._room.infos.forget(account, container)
        if deleted is None:
            raise Refusal(404)
        if not deleted:
            raise Refusal(409)
        return Response(204, {"content-type": HTML})

    async def _check_change(self, request: Request, info: ContainerInfo | None) -> None:
        """Containers are changed by those who may do so with the account: the ACLs are about objects. A change comes
        after what is known already, be it by a clock that was ahead.
        """
        await request.check(None)
        if info is not None:
            request.come_after(info.modified_at)

    def _words(
        self, request: Request, info: ContainerInfo | None, at: Timestamp
    ) -> dict[str, tuple[str, Timestamp]]:
        if not (request.is_owner or request.authorize is None):
            for name in OWNERS:
                request.headers.pop(name, None)
                request.headers.pop(name.replace("x-", "x-remove-", 1), None)
        said = words(request, "container", KEPT, self._limits, at)
        check_together(info.headers if info is not None else {}, said, "container", self._limits)
        return said

    def _policy(self, request: Request) -> int | None:
        name = request.headers.get(POLICY)
        if not name:
            return None
        policy = self._room.policies.find(name)
        if policy is None:
            raise Refusal(400, f"Invalid X-Storage-Policy '{name[:100]}'")
        if policy.is_deprecated:
            raise Refusal(400, f"Storage Policy '{policy.name}' is deprecated")
        return int(policy.index)


def _clean_acls(request: Request) -> None:
    for name in ("x-container-read", "x-container-write"):
        if value := request.headers.get(name):
            request.headers[name] = acl.clean(name, value)


def _asked(query: dict[str, str], limit: int) -> Asked:
    return Asked(
        limit=limit,
        marker=query.get("marker", ""),
        end_marker=query.get("end_marker", ""),
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        path=query.get("path"),
        reverse=is_true(query.get("reverse", "")),
    )


def _listing(account: str, container: str, found: Sequence[Entry | Subdir]) -> Listing:
    rows: list[Row] = []
    told: list[ObjectRow] = []
    for one in found:
        if isinstance(one, Subdir):
            rows.append(SubdirRow(one.name))
            continue
        row = ObjectRow(one.size, one.etag, one.name, one.content_type, moment_of(one.timestamp))
        rows.append(row)
        if len(one.etag) != ETAG_DIGITS:
            told.append(row)
            if ";" in one.etag:
                tell_etag(row, one.etag, account)
    return Listing("container", container, rows, told)
