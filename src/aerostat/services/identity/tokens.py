"""Tokens: what is in one, how it is sealed, and who a sealed one stands for now.

A token is a Fernet message (https://github.com/fernet/spec) over a few identifiers, so any process that has the keys
can open it (`token_keys.py`). What its user may do is looked up, not stored in it: a role taken away is gone at once.
Looking up is kept per token until something in identity changes; another process's changes are seen within `refresh_s`.
"""

import asyncio
import math
import secrets
import time
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import delete

from aerostat.kernel.clock import clock, now
from aerostat.kernel.context import Context
from aerostat.kernel.db import Store
from aerostat.kernel.errors import Unauthorized
from aerostat.kernel.turns import Turns

from . import grants, model
from .catalog import Catalog
from .config import IdentityConfig
from .passwords import ProvenSecrets
from .revocations import Revocations
from .token_keys import TokenKeys

MOST_KEPT = 20_000


class Payload(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a token carries."""

    user_id: str
    methods: tuple[str, ...]
    issued_at: float
    expires_at: float
    audit_ids: tuple[str, ...]
    project_id: str | None = None
    domain_id: str | None = None
    system: bool = False
    application_credential_id: str | None = None
    trust_id: str | None = None
    access_token_id: str | None = None  # of OAuth

    @property
    def is_scoped(self) -> bool:
        return bool(self.project_id or self.domain_id or self.system)


class Tokens:
    """Seals and opens the tokens of this cloud."""

    def __init__(self, store: Store, config: IdentityConfig) -> None:
        self.store = store
        self.config = config
        self.catalog = Catalog(store)
        self.keys = TokenKeys(store, config)
        self._payload = msgspec.msgpack.Decoder(Payload)
        self._contexts: dict[str, tuple[Payload, Context]] = {}
        self.bodies: dict[str, dict[str, Any]] = {}  # audit id → how the token is shown, less its catalog
        self._fresh_until = 0.0
        self._changes = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshing_at = 0
        self._revoked = Revocations(store)
        self.proven_secrets = ProvenSecrets()
        self.turns = Turns()  # of accounts, where wrong passwords are counted

    def issue(self, user_id: str, methods: tuple[str, ...], **scope: Any) -> tuple[str, Payload]:
        """A sealed token and what is in it.

        `scope`: project_id, domain_id, system …, `parent` (a `Payload`), `expires_at` (seconds since the epoch).
        A token made with another one lives no longer than that one.
        """
        parent: Payload | None = scope.pop("parent", None)
        at = clock.timestamp()
        expires_at = min(scope.pop("ends_at", None) or math.inf, at + self.config.token_lifetime_s)
        audit_id = secrets.token_urlsafe(16)
        payload = Payload(
            user_id=user_id,
            methods=methods,
            issued_at=at,
            expires_at=min(expires_at, parent.expires_at) if parent else expires_at,
            audit_ids=(audit_id, parent.audit_ids[-1]) if parent else (audit_id,),
            **scope,
        )
        return self.keys.seal(msgspec.msgpack.encode(payload)), payload

    async def validate(self, token: str, *, allow_expired: bool = False) -> Context:
        """Who the token stands for now. Raises `Unauthorized`."""
        return (await self.open(token, allow_expired=allow_expired))[1]

    async def open(self, token: str, *, allow_expired: bool = False) -> tuple[Payload, Context]:
        """What is in the token, and who it stands for now. Raises `Unauthorized`.

        `allow_expired` takes a token that ended less than `allow_expired_window_s` ago, too.
        """
        await self.look()
        known = self._contexts.get(token)
        payload = known[0] if known is not None else self._payload_of(token)
        window_s = self.config.allow_expired_window_s if allow_expired else 0
        if payload.expires_at + window_s <= clock.timestamp():
            raise Unauthorized("The token has expired.")
        if known is not None:
            return known
        contexts = self._contexts  # what is found now belongs into this one, even if it is dropped meanwhile
        context = await grants.context_of(self.store, payload)
        if self._revoked.include(payload, context.user_domain_id, context.project_domain_id):
            raise Unauthorized("The token has been revoked.")
        if len(contexts) > MOST_KEPT:
            contexts.clear()
        contexts[token] = (payload, context)
        return payload, context

    def changed(self) -> None:
        """Something in identity changed in this process: look everything up anew."""
        self._changes += 1
        self._fresh_until = 0.0
        self._forget()

    async def look(self) -> None:
        """See what other processes changed, if the last look is a while ago."""
        if time.monotonic() > self._fresh_until:
            await self.refresh()

    async def refresh(self) -> None:
        """See what other processes changed. Who asks meanwhile waits for the same answer, if it is not too old."""
        if self._refreshing is None or self._refreshing.done() or self._refreshing_at != self._changes:
            self._refreshing, self._refreshing_at = asyncio.ensure_future(self._refresh()), self._changes
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        began_s, changes = time.monotonic(), self._changes
        await self.keys.load()
        await self._revoked.look()
        self._forget()
        if changes == self._changes:  # else what was read may lack the change: the next one reads again
            self._fresh_until = began_s + self.config.refresh_s

    def _forget(self) -> None:
        self._contexts = {}
        self.bodies = {}
        self.catalog.forget()

    async def revoke(
        self,
        *,
        audit_id: str | None = None,
        user_id: str | None = None,
        project_id: str | None = None,
        domain_id: str | None = None,
    ) -> None:
        """No token issued until now is good any longer: this one, or those of a user, a project, a domain."""
        await self.store.insert(
            model.REVOCATIONS,
            audit_id=audit_id,
            user_id=user_id,
            project_id=project_id,
            domain_id=domain_id,
            issued_before=now(),
            revoked_at=now(),
        )
        self.changed()

    async def forget_old_revocations(self) -> int:
        """Drop revocations of tokens that nobody can use any longer; answers how many."""
        usable_s = self.config.token_lifetime_s + self.config.allow_expired_window_s
        limit = now() - timedelta(seconds=usable_s + 60)
        async with self.store.transaction() as tx:
            return await tx.execute(delete(model.REVOCATIONS).where(model.REVOCATIONS.c.revoked_at < limit))

    def _payload_of(self, token: str) -> Payload:
        try:
            return self._payload.decode(self.keys.unseal(token))
        except msgspec.DecodeError:  # sealed by us, and something else: a receipt
            raise Unauthorized("The token is not one of ours.") from None
