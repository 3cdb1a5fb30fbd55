"""Who is asking: the user, the scope, the roles, and the request that started it."""

import re
from functools import lru_cache

import msgspec

SERVICE_ROLE = "service"
"""The role of the cloud's own services. A token with it may stand beside a user's, and vouch for it."""


class AccessRule(msgspec.Struct, frozen=True):
    """One kind of request that a restricted token may make: a service type, a method, a path.

    In the path `*` and `{name}` stand for one segment or a part of it, `**` for anything.
    """

    service: str
    method: str
    path: str

    def allows(self, service: str, method: str, path: str) -> bool:
        known = self.service == service and self.method.upper() == method.upper()
        return known and _path_pattern(self.path).fullmatch(path) is not None


_WILD = re.compile(r"(\{[^}]*\})|(\*\*)|(\*)")


@lru_cache(maxsize=1024)
def _path_pattern(path: str) -> re.Pattern[str]:
    parts, at = [], 0
    for match in _WILD.finditer(path):
        parts.append(re.escape(path[at : match.start()]))
        parts.append("[^/]+" if match[1] else ".*" if match[2] else "[^/]*")
        at = match.end()
    return re.compile("".join([*parts, re.escape(path[at:])]), re.DOTALL)


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The identity behind a request or a piece of work. Stored with flows, carried between rooms.

    A flow keeps who asked, not the token: tokens end, long work does not. `service_roles` are those of the service
    through which the user asks, empty when the user asks directly. Policy rules read every attribute by its name.
    """

    request_id: str
    user_id: str | None = None
    user_name: str | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None
    roles: tuple[str, ...] = ()
    service_roles: tuple[str, ...] = ()
    trust_id: str | None = None
    application_credential_id: str | None = None
    delegated_by: str | None = None  # what gave the token a part of somebody's rights: `trust`, `oauth1` …
    token_id: str | None = None  # the audit id of the token, never the token itself
    expires_at: float | None = None
    access_rules: tuple[AccessRule, ...] | None = None  # None: whatever the roles allow

    def may_request(self, service: str, method: str, path: str) -> bool:
        """Whether the token's own access rules let this request in, whatever the roles say."""
        if self.access_rules is None:
            return True
        return any(rule.allows(service, method, path) for rule in self.access_rules)

    @property
    def is_admin(self) -> bool:
        """Whether the `admin` role is held: the field's old shortcut for "may do everything"."""
        return "admin" in self.roles

    @property
    def tenant_id(self) -> str | None:
        """The project by its older name, as rules of the network room say it: `tenant_id:%(network:tenant_id)s`."""
        return self.project_id

    @property
    def is_signed_in(self) -> bool:
        return self.user_id is not None


def internal_context(request_id: str, reason: str = "aerostat") -> Context:
    """The cloud itself acting on behalf of nobody: start-up, sweepers, reconcilers."""
    return Context(request_id=request_id, user_id=reason, user_name=reason, roles=("admin", SERVICE_ROLE))
