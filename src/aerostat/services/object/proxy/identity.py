"""Who a token stands for, asked of an identity service that is elsewhere: a proxy on a machine of its own.

https://docs.openstack.org/api-ref/identity/v3/#validate-and-show-information-for-token. A token may be used to ask
about itself, so the proxy needs no account there. Answers are remembered for a short while; a token that is revoked
is good here for no longer than that.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from aerostat.kernel.context import AccessRule, Context
from aerostat.kernel.errors import Unauthorized, Unavailable

MOST_KNOWN = 10_000
ASK_LIMIT_S = 10.0
NOT_OURS = "The token is not a good one."


class Identity:
    """`url`: `https://HOST/identity/v3`. See `kernel.house.Authenticator`."""

    def __init__(
        self, url: str, remembered_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = f"{url.rstrip('/')}/auth/tokens"
        self._remembered_s = remembered_s
        self._client = httpx.AsyncClient(timeout=ASK_LIMIT_S, transport=transport)
        self._known: dict[str, tuple[Context | None, float]] = {}

    async def __call__(self, token: str, *, allow_expired: bool = False) -> Context:
        """Raises `Unauthorized`, and `Unavailable` when nobody answers. `allow_expired` is of no use here: a token that
        has expired cannot ask about itself.
        """
        now_s = time.time()
        known = self._known.get(token)
        if known is None or known[1] <= now_s:
            context = await self._ask(token)
            until_s = now_s + self._remembered_s
            if context is not None and context.expires_at is not None:
                until_s = min(until_s, context.expires_at)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[token] = context, until_s
        if known[0] is None:
            raise Unauthorized(NOT_OURS)
        return known[0]

    async def _ask(self, token: str) -> Context | None:
        if not token.isascii() or not token.isprintable():
            return None
        headers = {"x-auth-token": token, "x-subject-token": token}
        try:
            answer = await self._client.get(self._url, headers=headers, params={"nocatalog": ""})
        except httpx.HTTPError as error:
            raise Unavailable("The identity service does not answer.", detail=repr(error)) from None
        if answer.status_code in (401, 403, 404):
            return None
        if answer.status_code != 200:
            raise Unavailable("The identity service cannot answer.", detail=str(answer.status_code))
        return _context(msgspec.json.decode(answer.content)["token"])


def _context(token: Mapping[str, Any]) -> Context:
    user, project = token["user"], token.get("project") or {}
    credential = token.get("application_credential") or {}
    rules = credential.get("access_rules")
    return Context(
        request_id="",
        user_id=user["id"],
        user_name=user["name"],
        user_domain_id=user["domain"]["id"],
        user_domain_name=user["domain"].get("name"),
        project_id=project.get("id"),
        project_name=project.get("name"),
        project_domain_id=project.get("domain", {}).get("id"),
        project_domain_name=project.get("domain", {}).get("name"),
        system_scope="all" if token.get("system") else None,
        roles=tuple(role["name"] for role in token.get("roles", ())),
        expires_at=datetime.fromisoformat(token["expires_at"]).timestamp(),
        application_credential_id=credential.get("id"),
        access_rules=None
        if rules is None
        else tuple(AccessRule(rule["service"], rule["method"], rule["path"]) for rule in rules),
    )
