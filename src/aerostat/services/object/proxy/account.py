"""Accounts. https://docs.openstack.org/api-ref/object-store/#accounts"""

from typing import TYPE_CHECKING

from .. import timestamp
from ..cluster.policies import Policies
from ..http import constraints
from ..http.listing import ContainerRow, Listing, Row, SubdirRow, moment_of
from ..http.request import Request, is_true
from ..http.response import HTML, Refusal, Response
from ..stores.account_db import AccountStatus, ContainerEntry, PolicySum
from ..stores.listing import Asked, Subdir
from . import account_acl
from .infos import AccountInfo
from .said import check_together, words

if TYPE_CHECKING:
    from ..room import ObjectStore

OWNERS = ("x-account-meta-temp-url-key", "x-account-meta-temp-url-key-2")
"""Only owners see these."""
BEHIND_RESERVED = "\0\U0010ffff"
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")


class Accounts:
    """The verbs of `/v1/ACCOUNT`."""

    def __init__(self, room: "ObjectStore") -> None:
        self._room = room
        self._limits = room.settings.limits

    async def __call__(self, request: Request) -> Response:
        assert request.account is not None
        constraints.check_account_name(request.account, self._limits)
        match request.method:
            case "GET" | "HEAD":
                return await self._show(request, request.account)
            case "POST":
                return await self._post(request, request.account)
            case "PUT" if self._room.settings.allow_account_management or request.is_inner:
                return await self._put(request, request.account)
            case "DELETE" if self._room.settings.allow_account_management or request.is_inner:
                return await self._delete(request, request.account)
            case _:
                raise Refusal(405, None, {"allow": ", ".join(METHODS)})

    async def _show(self, request: Request, account: str) -> Response:
        limit = constraints.listing_limit(request, self._limits.account_listing_limit)
        await request.check(None)
        info = await self._room.infos.account(account, fresh=True)
        if info is None:
            if not self._room.settings.account_autocreate:
                raise Refusal(404)
            info = _nothing_yet(account)
        headers = self._headers(request, info)
        response = Response(200 if request.method == "GET" else 204, headers)
        if request.method == "HEAD":
            response.headers["content-type"] = "text/plain; charset=utf-8"
            return response
        query = request.query
        found = await self._room.cluster.accounts.list(account, _asked(query, limit)) if limit else []
        rows = [_row(one, self._room.policies) for one in found or []]
        response.listing = Listing("account", account, rows)
        return response

    def _headers(self, request: Request, info: AccountInfo) -> dict[str, str]:
        status = info.status
        headers = {
            "x-account-container-count": str(status.containers),
            "x-account-object-count": str(status.objects),
            "x-account-bytes-used": str(status.bytes),
            "x-timestamp": timestamp.write(status.created_at),
            "x-put-timestamp": timestamp.write(status.put_at),
            "last-modified": constraints.last_modified(status.changed_at),
            "accept-ranges": "bytes",
        }
        for one in status.policies:
            if one.containers or one.objects or one.bytes:
                prefix = f"x-account-storage-policy-{self._room.policies.get(one.policy).name.lower()}"
                headers[f"{prefix}-container-count"] = str(one.containers)
                headers[f"{prefix}-object-count"] = str(one.objects)
                headers[f"{prefix}-bytes-used"] = str(one.bytes)
        for name, value in info.headers.items():
            if name not in OWNERS or request.is_owner:
                headers[name] = value
        if request.is_owner and (shown := account_acl.shown(info.headers.get(account_acl.KEPT, ""))):
            headers[account_acl.HEADER] = shown
        return headers

    async def _post(self, request: Request, account: str) -> Response:
        await request.check(None)
        info = await self._known(request, account)
        said = words(request, "account", (), self._limits, request.moment())
        check_together(info.headers if info is not None else {}, said, "account", self._limits)
        if info is None:
            if not self._room.settings.account_autocreate:
                raise Refusal(404)
            await self._room.cluster.accounts.make(account, request.moment(), said)
        elif said:
            await self._room.cluster.accounts.say(account, said)
        self._room.infos.forget(account)
        return Response(204, {"content-type": HTML})

    async def _put(self, request: Request, account: str) -> Response:
        await request.check(None)
        await self._known(request, account)
        said = words(request, "account", (), self._limits, request.moment())
        is_new = await self._room.cluster.accounts.make(account, request.moment(), said)
        self._room.infos.forget(account)
        return Response(201 if is_new else 202, {"content-type": HTML})

    async def _delete(self, request: Request, account: str) -> Response:
        """What it holds is taken away afterwards, by the reaper."""
        await request.check(None)
        await self._known(request, account)
        deleted = await self._room.cluster.accounts.delete(account, request.moment())
        self._room.infos.forget(account)
        if deleted is None:
            raise Refusal(404)
        return Response(204, {"content-type": HTML})

    async def _known(self, request: Request, account: str) -> AccountInfo | None:
        """What is there; the request's change comes after it, be it by a clock that was ahead."""
        info: AccountInfo | None = await self._room.infos.account(account, fresh=True)
        if info is not None:
            request.come_after(info.modified_at)
        return info


def _nothing_yet(account: str) -> AccountInfo:
    """An account that nobody has written to is there all the same, and empty."""
    now = timestamp.now()
    status = AccountStatus(
        path=f"/{account}",
        created_at=now,
        put_at=now,
        deleted_at=0,
        changed_at=now,
        policies=(PolicySum(policy=0, containers=0, objects=0, bytes=0),),
    )
    return AccountInfo(status, {})


def _asked(query: dict[str, str], limit: int) -> Asked:
    """Names that begin with NUL are the store's own: they sort first, and no page reaches them."""
    reverse = is_true(query.get("reverse", ""))
    marker, end_marker = query.get("marker", ""), query.get("end_marker", "")
    return Asked(
        limit=limit,
        marker=marker if reverse else max(marker, BEHIND_RESERVED),
        end_marker=max(end_marker, BEHIND_RESERVED) if reverse else end_marker,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        reverse=reverse,
    )


def _row(found: ContainerEntry | Subdir, policies: Policies) -> Row:
    if isinstance(found, Subdir):
        return SubdirRow(found.name)
    return ContainerRow(
        name=found.name,
        count=found.objects,
        bytes=found.bytes,
        last_modified=moment_of(found.put_at),
        storage_policy=policies.get(found.policy).name,
    )
