"""Users of the cloud's identity: a project's account is `AUTH_PROJECT-ID`, and its operators may do all in it.

https://docs.openstack.org/swift/latest/overview_auth.html#keystone-auth. A token that is not good is as none: what is
open to everybody stays so. ACLs name `PROJECT:USER` by their ids, either may be `*`, or a role; names are only looked
at where both projects and the user are of the default domain, because elsewhere names are not unique.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from aerostat.kernel.context import Context
from aerostat.kernel.errors import Unauthorized, Unavailable
from aerostat.kernel.house import Authenticator

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response
from ..http.user import User
from ..proxy import access, acl

if TYPE_CHECKING:
    from ..room import ObjectStore

SERVICE_TYPE = "object-store"
DOMAIN = "x-account-sysmeta-project-domain-id"
SHOWN_DOMAIN = "x-account-project-domain-id"
UNKNOWN_DOMAIN = "_unknown"
"""Of an account that somebody else's request made: it may be in any domain."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.keystone]`"""

    reseller_prefixes: tuple[str, ...] = ("AUTH", "SERVICE")
    operator_roles: tuple[str, ...] = ("admin", "swiftoperator", "member")
    """Who has one in a project may do all in its account."""
    project_reader_roles: tuple[str, ...] = ("reader",)
    """Who has one in a project may read all in its account, where no service is asked for."""
    service_roles: dict[str, tuple[str, ...]] = msgspec.field(
        default_factory=lambda: {"SERVICE": ("service",)}
    )
    """By prefix: one that the service must have through which an operator asks."""
    reseller_admin_role: str = "ResellerAdmin"
    """May do all in all accounts."""
    system_reader_roles: tuple[str, ...] = ()
    """May read all in all accounts."""
    auth_url: str = ""
    """`https://HOST/identity/v3`, where no room of this process checks tokens."""
    remembered_s: float = 60.0
    """How long an answer from there is good."""
    allow_names_in_acls: bool = True
    default_domain_id: str = "default"


class Middleware:
    """See the module. `room.authenticate` checks tokens, or `auth_url` does."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        """Raises `ConfigError` for settings that make no sense."""
        self._room = room
        self._next = next
        settings = options_of(room.settings, "keystone", Settings)
        self._settings = settings
        self._elsewhere = _identity(settings)
        self._prefixes = access.Prefixes(settings.reseller_prefixes)
        self._operators = _lower(settings.operator_roles)
        self._readers = _lower(settings.project_reader_roles)
        self._system_readers = _lower(settings.system_reader_roles)
        self._reseller_admin = settings.reseller_admin_role.lower()
        self._services: dict[str, frozenset[str]] = {
            prefix: _lower(roles)
            for prefix, roles in self._prefixes.by_prefix(settings.service_roles).items()
        }

    def info(self) -> Mapping[str, Any]:
        return {"keystoneauth": {}}

    async def __call__(self, request: Request) -> Response:
        if request.authorize is not None or request.is_owner:
            return await self._next(request)
        token = request.headers.get("x-auth-token") or request.headers.get("x-storage-token")
        context = await self._context(request, token) if token else None
        self.sign_in(request, context)
        response = await self._next(request)
        if domain := response.headers.get(DOMAIN):
            response.headers[SHOWN_DOMAIN] = domain
        return response

    def sign_in(self, request: Request, context: Context | None) -> None:
        """`context` asks, or nobody."""
        request.authorize = partial(self._authorize, context)
        if context is None:
            return
        roles = _lower(context.roles)
        request.user = User(
            name=context.user_name or context.user_id or "",
            account=f"{self._prefixes.first}{context.project_id or ''}",
            groups=roles,
            is_operator=not roles.isdisjoint(self._operators),
            is_reseller_admin=self._reseller_admin in roles,
            service_groups=_lower(context.service_roles),
        )

    async def _context(self, request: Request, token: str) -> Context | None:
        """None for a token that is not good. Raises `Refusal` 503 when nobody can say."""
        authenticate: Authenticator | None = self._elsewhere or self._room.authenticate
        if authenticate is None:
            raise Refusal(503, "Nobody here can check tokens.")
        beside = request.headers.get("x-service-token")
        try:
            service = await authenticate(beside.strip()) if beside else None
            vouched = service is not None and "service" in service.roles
            context = await authenticate(token.strip(), allow_expired=vouched)
        except Unauthorized:
            return None
        except Unavailable:
            raise Refusal(503, None, {"retry-after": "1"}) from None
        if service is not None:
            return msgspec.structs.replace(context, service_roles=service.roles)
        return context if context.may_request(SERVICE_TYPE, request.method, request.path) else None

    # Rights

    async def _authorize(self, context: Context | None, request: Request, kept: str | None) -> None:
        """See `http.request.Authorize`. `context`: of who asked first; `request` may be the store's own on the way."""
        if request.method == "OPTIONS":
            return
        request.is_owner = False
        account, user = request.account or "", request.user
        prefix = self._prefixes.of(account)
        referrers, named = acl.parse(kept)
        if user is None or context is None:
            if prefix is None or not await self._is_open(request, referrers, named):
                raise access.denied(request)
            return
        await self._note_domain(request, account, context)
        if user.is_reseller_admin:
            request.is_owner = True
            return
        if request.is_reading and not user.groups.isdisjoint(self._system_readers):
            return
        if request.container is None and request.method == "DELETE":
            raise access.denied(request)
        is_own = (
            prefix is not None and context.project_id is not None and account == prefix + context.project_id
        )
        required = self._services.get(prefix or "")
        if is_own and user.is_operator and (not required or not user.service_groups.isdisjoint(required)):
            request.is_owner = True  # whatever an ACL lets others do
            return
        if named and await self._is_named(account, context, named):
            return
        if await self._is_open(request, referrers, named):
            return
        if not is_own:
            raise access.denied(request)
        if request.is_reading and not required and not user.groups.isdisjoint(self._readers):
            return
        if not user.groups.isdisjoint(role.lower() for role in named):
            return
        raise access.denied(request)

    async def _is_open(self, request: Request, referrers: list[str], named: list[str]) -> bool:
        """Whether whoever asks may: by where the request comes from."""
        return access.lets_by_referrer(request, referrers, named) or await access.is_synchronized(
            self._room, request
        )

    async def _is_named(self, account: str, context: Context, named: list[str]) -> bool:
        """Whether the ACL has `PROJECT:USER` for who asks."""
        projects, users = [context.project_id, "*"], [context.user_id, "*"]
        lets = set(named)
        if any(f"{project}:{user}" in lets for project in projects if project for user in users):
            return True
        projects, users = [*projects, context.project_name], [*users, context.user_name]
        return any(
            f"{project}:{user}" in lets for project in projects if project for user in users
        ) and await self._may_use_names(account, context)

    async def _may_use_names(self, account: str, context: Context) -> bool:
        default = self._settings.default_domain_id
        if not self._settings.allow_names_in_acls:
            return False
        if context.user_domain_id != default or context.project_domain_id != default:
            return False
        if self._is_account_of(account, context):
            return True
        info = await self._room.infos.account(account)
        return info is not None and info.headers.get(DOMAIN, default) == default

    async def _note_domain(self, request: Request, account: str, context: Context) -> None:
        """With the request that makes an account, keep of which domain its project is, as far as we know."""
        makes_account = request.method in ("PUT", "POST") and request.container is None
        makes_container = request.method == "PUT" and request.container is not None and request.name is None
        if not (makes_account or makes_container) or DOMAIN in request.headers:
            return
        is_own = self._is_account_of(account, context)
        info = await self._room.infos.account(account)
        known = info.headers.get(DOMAIN) if info is not None else None
        if info is None:
            request.headers[DOMAIN] = (context.project_domain_id or "") if is_own else UNKNOWN_DOMAIN
        elif is_own and (known is None or known == UNKNOWN_DOMAIN) and context.project_domain_id:
            request.headers[DOMAIN] = context.project_domain_id

    def _is_account_of(self, account: str, context: Context) -> bool:
        return context.project_id is not None and any(
            account == prefix + context.project_id for prefix in self._prefixes.all
        )


def _identity(settings: Settings) -> Authenticator | None:
    if not settings.auth_url:
        return None
    from ..proxy.identity import Identity  # its HTTP client is large

    return Identity(settings.auth_url, settings.remembered_s)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
