"""Tokens: what is in one, how it is sealed, and who a sealed one stands for now.

A token is a Fernet message (https://github.com/fernet/spec) over a few identifiers, so any process that has the keys
can open it. The keys are in the database, sealed, so that all processes have the same. What its user may do is looked
up, not stored in it: a role taken away is gone at once. Looking up is kept per token until something in identity
changes; another process's changes are seen within `refresh_s`.
"""

import math
import secrets
import time
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from aerostat.kernel.clock import clock, now
from aerostat.kernel.context import Context
from aerostat.kernel.db import Store
from aerostat.kernel.errors import Unauthorized

from . import grants, model
from .catalog import Catalog
from .config import IdentityConfig
from .passwords import ProvenSecrets
from .revocations import Revocations

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
        self._keys_read_at = 0.0
        self._fernet: MultiFernet | None = None
        self._payload = msgspec.msgpack.Decoder(Payload)
        self._contexts: dict[str, tuple[Payload, Context]] = {}
        self.bodies: dict[str, dict[str, Any]] = {}  # audit id → how the token is shown, less its catalog
        self._fresh_until = 0.0
        self._changes = 0
        self._revoked = Revocations()
        self.proven_secrets = ProvenSecrets()

    async def load_keys(self) -> None:
        """Read the keys; on a fresh cloud make the first. Raises `SealBroken`."""
        rows = await self.store.all(model.TOKEN_KEYS, order="-number")
        if not rows:
            await self.rotate(first=True)
            return
        self._fernet = MultiFernet([Fernet(row.fernet_key) for row in rows])
        self._keys_read_at = time.monotonic()

    async def rotate(self, keep: int = 3, *, first: bool = False) -> None:
        """A new key seals from now on; the `keep` newest still open. `first`: only if there is none yet."""
        async with self.store.transaction() as tx:
            await tx.lock("identity_token_keys")
            rows = await tx.all(model.TOKEN_KEYS, order="-number")
            if not (first and rows):
                number = rows[0].number + 1 if rows else 1
                fernet_key = Fernet.generate_key().decode()
                await tx.insert(model.TOKEN_KEYS, number=number, fernet_key=fernet_key)
                for old in rows[keep - 1 :]:
                    await tx.delete(model.TOKEN_KEYS, number=old.number)
        await self.load_keys()

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
        return self.seal(msgspec.msgpack.encode(payload)), payload

    def seal(self, raw: bytes) -> str:
        """Under the newest key."""
        assert self._fernet is not None
        return self._fernet.encrypt(raw).rstrip(b"=").decode()

    def unseal(self, text: str) -> bytes:
        """Raises `Unauthorized` for what none of the keys sealed."""
        assert self._fernet is not None
        try:
            return self._fernet.decrypt((text + "=" * (-len(text) % 4)).encode())
        except (InvalidToken, ValueError, TypeError, UnicodeError):
            raise Unauthorized("The token is not one of ours.") from None

    async def validate(self, token: str, *, allow_expired: bool = False) -> Context:
        """Who the token stands for now. Raises `Unauthorized`."""
        return (await self.open(token, allow_expired=allow_expired))[1]

    async def open(self, token: str, *, allow_expired: bool = False) -> tuple[Payload, Context]:
        """What is in the token, and who it stands for now. Raises `Unauthorized`.

        `allow_expired` takes a token that ended less than `allow_expired_window_s` ago, too.
        """
        if time.monotonic() > self._fresh_until:
            await self.refresh()
        known = self._contexts.get(token)
        payload = known[0] if known is not None else await self._payload_of(token)
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

    async def refresh(self) -> None:
        """See what other processes changed."""
        began_s, changes = time.monotonic(), self._changes
        self._revoked = Revocations(await self.store.all(model.REVOCATIONS))
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
        old = [row.id for row in await self.store.all(model.REVOCATIONS) if row.revoked_at < limit]
        return await self.store.delete(model.REVOCATIONS, id=old) if old else 0

    async def _payload_of(self, token: str) -> Payload:
        """Another process may have made a new key since ours were read."""
        try:
            return self._unseal(token)
        except Unauthorized:
            if time.monotonic() - self._keys_read_at < self.config.refresh_s:
                raise
            await self.load_keys()
            return self._unseal(token)

    def _unseal(self, token: str) -> Payload:
        try:
            return self._payload.decode(self.unseal(token))
        except msgspec.DecodeError:
            raise Unauthorized("The token is not one of ours.") from None
