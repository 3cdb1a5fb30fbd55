"""The keys that seal tokens. They are rows, sealed themselves, so that all processes have the same.

A new key opens at once and seals a little later, when every process is sure to have it; an old one goes when nothing
that it sealed can be good any longer. So keys may be changed at any time, while the cloud runs, and nobody is signed
out.
"""

from datetime import timedelta
from itertools import pairwise

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store
from aerostat.kernel.errors import Unauthorized

from . import model
from .config import IdentityConfig


class TokenKeys:
    def __init__(self, store: Store, config: IdentityConfig) -> None:
        self._store = store
        self._config = config
        self._rows: list[Row] = []  # the newest first
        self._fernets: list[Fernet] = []
        self._opening: MultiFernet | None = None

    @property
    def settling_s(self) -> float:
        """So long after it was made every process has read a key."""
        return 2 * self._config.refresh_s + 1

    async def load(self) -> None:
        """Read the keys if there are others than were known; on a fresh cloud make the first. Raises `SealBroken`."""
        number = model.TOKEN_KEYS.c.number
        there = [row.number for row in await self._store.fetch(select(number).order_by(number.desc()))]
        if not there:
            await self.rotate(first=True)
        elif there != [row.number for row in self._rows]:
            self._rows = await self._store.all(model.TOKEN_KEYS, order="-number")
            self._fernets = [Fernet(row.fernet_key) for row in self._rows]
            self._opening = MultiFernet(self._fernets)

    async def rotate(self, *, first: bool = False, at_once: bool = False) -> int:
        """Make a new key and drop those that no good token needs; answers how many went.

        `first`: only if there is none yet. `at_once`: drop all others, for keys that somebody else may have got: every
        token ends now.
        """
        gone = 0
        async with self._store.transaction() as tx:
            await tx.lock("identity_token_keys")
            rows = await tx.all(model.TOKEN_KEYS, order="-number")
            if not (first and rows):
                number = rows[0].number + 1 if rows else 1
                fernet_key = Fernet.generate_key().decode()
                await tx.insert(model.TOKEN_KEYS, number=number, fernet_key=fernet_key)
                for old in rows if at_once else self._unneeded(rows):
                    gone += await tx.delete(model.TOKEN_KEYS, number=old.number)
        await self.load()
        return gone

    def seal(self, raw: bytes) -> str:
        """Under the newest key that every process has."""
        settled = now() - timedelta(seconds=self.settling_s)
        # If none has settled it is the oldest: on a fresh cloud the only one.
        index = next((index for index, row in enumerate(self._rows) if row.created_at <= settled), -1)
        return self._fernets[index].encrypt(raw).rstrip(b"=").decode()

    def unseal(self, text: str) -> bytes:
        """Raises `Unauthorized` for what none of the keys sealed."""
        assert self._opening is not None
        try:
            return self._opening.decrypt((text + "=" * (-len(text) % 4)).encode())
        except (InvalidToken, ValueError, TypeError, UnicodeError):
            raise Unauthorized("The token is not one of ours.") from None

    def _unneeded(self, rows: list[Row]) -> list[Row]:
        """Keys whose successor has sealed for longer than any token is good."""
        good_s = self._config.token_lifetime_s + self._config.allow_expired_window_s + self.settling_s
        limit = now() - timedelta(seconds=good_s)
        return [old for newer, old in pairwise(rows) if newer.created_at < limit]
