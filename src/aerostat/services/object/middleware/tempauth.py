"""Users from the settings, and tokens for them: how a store that stands alone knows who asks (v1 auth).

https://docs.openstack.org/swift/latest/middleware.html#tempauth. A token says who and until when, and is signed with a
key of the store's secret and the user's own key: it needs no memory, is good in every process of every proxy and after
a restart, and ends with the user or with a change of the user's key.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from aerostat.kernel.config import ConfigError

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import HTML, Refusal, Response
from ..http.user import User
from ..proxy import access, account_acl, acl

if TYPE_CHECKING:
    from ..room import ObjectStore

ADMIN = ".admin"
RESELLER_ADMIN = ".reseller_admin"
RESELLER_READER = ".reseller_reader"
MOST_KNOWN = 10_000
_MAC_BYTES = 24


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user. `groups`: names for ACLs, and `.admin` (all in the own account), `.reseller_admin`, `.reseller_reader`.

    `storage_url`: of another account than the one the user's name begins with; `$HOST` stands for this store.
    """

    key: str
    groups: tuple[str, ...] = ()
    storage_url: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.tempauth]`"""

    users: dict[str, Person] = {}
    """By `ACCOUNT:USER`."""
    reseller_prefixes: tuple[str, ...] = ("AUTH", "SERVICE")
    require_group: dict[str, str] = msgspec.field(default_factory=lambda: {"SERVICE": "service"})
    """By prefix: a group that must be among those of the user or of the service, for the account to be the user's."""
    auth_prefix: str = "/auth/"
    token_life_s: int = 86_400
    storage_url_scheme: str = ""
    """`https` behind something that ends TLS; empty: as the request came."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        """Raises `ConfigError` for settings that make no sense."""
        self._room = room
        self._next = next
        settings = options_of(room.settings, "tempauth", Settings)
        self._settings = settings
        self._prefixes = access.Prefixes(settings.reseller_prefixes)
        self._required = self._prefixes.by_prefix(settings.require_group)
        self._auth_prefix = f"/{settings.auth_prefix.strip('/')}/"
        self._token_prefix = f"{self._prefixes.first}tk"
        self._key = blake2b(room.places.secret(), digest_size=32, person=b"tempauth").digest()
        self._users = {name: self._user(name, person) for name, person in settings.users.items()}
        self._known: dict[str, tuple[User, float]] = {}

    def info(self) -> Mapping[str, Any]:
        return {"tempauth": {"account_acls": True}}

    async def __call__(self, request: Request) -> Response:
        if request.authorize is not None or request.is_owner:
            return await self._next(request)
        if request.path.startswith(self._auth_prefix):
            return self._sign_in(request)
        token = request.headers.get("x-auth-token") or request.headers.get("x-storage-token")
        if token and token.startswith(self._prefixes.first):
            user = self.user_of(token)
            if user is None:
                raise access.unauthorized(request.account)
            if (service_token := request.headers.get("x-service-token")) is not None:
                service = self.user_of(service_token)
                if service is not None:
                    user = msgspec.structs.replace(user, service_groups=service.groups)
            request.user = user
        request.authorize = self._authorize
        return await self._next(request)

    # Tokens

    def user_of(self, token: str) -> User | None:
        """None for a token that is none of ours, or no longer."""
        known = self._known.get(token)
        if known is None:
            if (known := self._read(token)) is None:
                return None
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[token] = known
        user, until_s = known
        if until_s <= time.time():
            del self._known[token]
            return None
        return user

    def _token(self, name: str, until_s: int) -> str:
        said = msgspec.msgpack.encode((name, until_s))
        return self._token_prefix + base64.urlsafe_b64encode(self._mac(name, said) + said).decode()

    def _read(self, token: str) -> tuple[User, float] | None:
        if not token.startswith(self._token_prefix):
            return None
        try:
            raw = base64.urlsafe_b64decode(token[len(self._token_prefix) :].encode())
            mac, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
            name, until_s = msgspec.msgpack.decode(said, type=tuple[str, int])
        except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError, ValueError):
            return None
        if name not in self._users or not hmac.compare_digest(mac, self._mac(name, said)):
            return None
        return self._users[name], until_s

    def _mac(self, name: str, said: bytes) -> bytes:
        key = self._settings.users[name].key.encode()
        return hmac.digest(self._key, len(key).to_bytes(4, "big") + key + said, "sha256")[:_MAC_BYTES]

    # Signing in

    def _sign_in(self, request: Request) -> Response:
        """`GET /auth/v1.0` with `X-Auth-User: ACCOUNT:USER` and `X-Auth-Key`; or `/auth/v1/ACCOUNT/auth`."""
        if request.method != "GET":
            raise Refusal(405, None, {"allow": "GET"})
        headers = request.headers
        match request.path[len(self._auth_prefix) :].rstrip("/").split("/"):
            case ["v1", account, "auth"] if account:
                name = headers.get("x-storage-user") or headers.get("x-auth-user", "")
                if not headers.get("x-storage-user") and name.partition(":")[0] != account:
                    raise access.unauthorized(account)
                if ":" not in name:
                    name = f"{account}:{name}"
                key = headers.get("x-storage-pass") or headers.get("x-auth-key", "")
            case ["v1" | "v1.0" | "auth"]:
                name = headers.get("x-auth-user") or headers.get("x-storage-user", "")
                key = headers.get("x-auth-key") or headers.get("x-storage-pass", "")
            case _:
                raise Refusal(400)
        person = self._settings.users.get(name)
        if person is None or not key or not _is_equal(person.key, key):
            raise access.unauthorized(name.partition(":")[0])
        now_s = int(time.time())
        token = self._token(name, now_s + self._settings.token_life_s)
        sent = {
            "content-type": HTML,
            "x-auth-token": token,
            "x-storage-token": token,
            "x-auth-token-expires": str(self._settings.token_life_s),
            "x-storage-url": self._storage_url(request, name, person),
        }
        return Response(200, sent)

    def _storage_url(self, request: Request, name: str, person: Person) -> str:
        scheme = self._settings.storage_url_scheme or request.scheme
        account = self._prefixes.first + name.partition(":")[0]
        url = person.storage_url or f"$HOST/v1/{quote(account, errors='surrogateescape')}"
        return url.replace("$HOST", f"{scheme}://{request.host}")

    def _user(self, name: str, person: Person) -> User:
        account, colon, own = name.partition(":")
        if not (account and colon and own and person.key):
            raise ConfigError(f"[object.middleware.tempauth]: a user is ACCOUNT:USER and has a key: {name!r}")
        groups = {account, name, *person.groups}
        own_account = person.storage_url.rstrip("/").rpartition("/")[2] or self._prefixes.first + account
        if is_operator := ADMIN in groups:
            groups.remove(ADMIN)
            groups |= {prefix + account for prefix in self._prefixes.all if prefix} | {own_account}
        return User(
            name=name,
            account=own_account,
            groups=frozenset(groups),
            is_operator=is_operator,
            is_reseller_admin=RESELLER_ADMIN in groups,
        )

    # Rights

    async def _authorize(self, request: Request, kept: str | None) -> None:
        """See `http.request.Authorize`."""
        account = request.account or ""
        prefix = self._prefixes.of(account)
        if prefix is None:
            raise access.denied(request)
        if (header := request.headers.pop(account_acl.HEADER, None)) is not None:
            account_acl.check(header)
            request.headers[account_acl.KEPT] = header
        user = request.user
        groups = user.groups | user.service_groups if user is not None else frozenset()
        if groups and self._prefixes.is_own(account):
            if RESELLER_ADMIN in groups:
                request.is_owner = True
                return
            if RESELLER_READER in groups and request.is_reading:
                return
        if account in groups and (request.container is not None or request.method not in ("PUT", "DELETE")):
            required = self._required.get(prefix)
            if not required or required in groups:
                request.is_owner = True
                return
        if request.method == "OPTIONS" or await access.is_synchronized(self._room, request):
            return
        referrers, named = acl.parse(kept)
        if access.lets_by_referrer(request, referrers, named) or not groups.isdisjoint(named):
            return
        if groups and await self._is_let_by_account(request, account, groups):
            return
        raise access.denied(request)

    async def _is_let_by_account(self, request: Request, account: str, groups: frozenset[str]) -> bool:
        info = await self._room.infos.account(account)
        lets = account_acl.parse(info.headers.get(account_acl.KEPT)) if info is not None else None
        if lets is None:
            return False
        if not groups.isdisjoint(lets.admin):
            request.is_owner = True
            return True
        if not groups.isdisjoint(lets.read_write) and (request.container is not None or request.is_reading):
            return True
        return request.is_reading and not groups.isdisjoint(lets.read_only)


def _is_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogateescape"))
