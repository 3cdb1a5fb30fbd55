"""What all kinds of sign-in share: whose accounts a prefix stands for, and what anybody may do without a word.

An auth middleware sets `request.user`, when somebody asks, and `request.authorize`, which the handlers of accounts,
containers and objects call with the ACL of what is touched.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..http.request import Request
from ..http.response import Refusal
from ..realms import KEY, SENT_AT
from . import acl

if TYPE_CHECKING:
    from ..room import ObjectStore

SYNC_METHODS = ("PUT", "DELETE")


class Prefixes:
    """The beginnings of accounts' names: `AUTH_` of users, `SERVICE_` of what services keep for users."""

    def __init__(self, names: Iterable[str]) -> None:
        """Raises ValueError without one."""
        found = dict.fromkeys(f"{name.strip().rstrip('_')}_" if name.strip() else "" for name in names)
        if not found:
            raise ValueError("At least one reseller prefix is needed.")
        self.first = next(iter(found))
        self.all = tuple(sorted(found, key=len, reverse=True))

    def of(self, account: str | None) -> str | None:
        """None: it is nobody's account that we know of."""
        if account is None:
            return None
        for prefix in self.all:
            if account.startswith(prefix):
                return prefix
        return None

    def by_prefix(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that are given for some prefixes, by the prefix as it stands in names."""
        return {
            f"{name.strip().rstrip('_')}_" if name.strip() else "": value for name, value in values.items()
        }

    def is_own(self, account: str) -> bool:
        """Whether it may be a tenant's: not a bare prefix, nor an account of the store's own (`AUTH_.name`)."""
        prefix = self.of(account)
        return (
            prefix is not None
            and account != prefix.rstrip("_")
            and account[len(prefix) :][:1] not in ("", ".")
        )


async def is_synchronized(room: "ObjectStore", request: Request) -> bool:
    """Whether it comes from the container that this one is kept equal to, as their common key shows: which opens it
    for objects that are written, for nothing else.
    """
    key = request.headers.get(KEY)
    if (
        not key
        or SENT_AT not in request.headers
        or request.name is None
        or request.method not in SYNC_METHODS
    ):
        return False
    info = await room.infos.container(request.account, request.container)
    own = info.headers.get(KEY) if info is not None else None
    return own is not None and hmac.compare_digest(_raw(own), _raw(key))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def lets_by_referrer(request: Request, referrers: list[str], groups: list[str]) -> bool:
    """Whether the page that leads here is let in by the ACL; listings must be let in by their own word."""
    if not referrers or not acl.lets_referrer(request.headers.get("referer"), referrers):
        return False
    return request.name is not None or acl.LISTINGS in groups


def denied(request: Request) -> Refusal:
    """401 when nobody asks, 403 when who asks may not."""
    return Refusal(403) if request.user is not None else unauthorized(request.account)


def unauthorized(realm: str | None) -> Refusal:
    """`realm`: the account that was asked for."""
    named = quote(realm or "unknown", errors="surrogateescape")
    return Refusal(401, None, {"www-authenticate": f'Swift realm="{named}"'})
