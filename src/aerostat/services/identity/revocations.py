"""Which tokens are no longer good although they have not ended: revoked by themselves, by user, project or domain.

Rows are the truth; what was read from them is kept in a form that answers for one token without looking at all. Every
second the rows written lately are read, however many there are in all: dashboards revoke a token for each log-out.
"""

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store

from . import model

if TYPE_CHECKING:
    from .tokens import Payload

OVERLAP = timedelta(minutes=5)
"""So far may the clocks of processes differ before a revocation is seen late."""
WHOLE_S = 600.0
"""After this long everything is read again, for what was missed and for what is no longer needed."""
_KINDS = ("user_id", "project_id", "domain_id")


class Revocations:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._audit_ids: set[str] = set()
        self._before: dict[tuple[str, str], datetime] = {}
        self._looks = 0
        self._looked_at = datetime.min
        self._whole_until = -math.inf

    async def look(self) -> None:
        """Take in what was revoked since the last look, by whomever."""
        at, column = now(), model.REVOCATIONS.c.revoked_at
        self._looks += 1
        look = self._looks
        if time.monotonic() > self._whole_until:
            rows = await self._store.fetch(select(model.REVOCATIONS))
            if look == self._looks:  # else another look may know of more than was there when this one read
                self._audit_ids, self._before = set(), {}
                self._whole_until = time.monotonic() + WHOLE_S
        else:
            since = min(self._looked_at, at) - OVERLAP  # a clock that was put back is no way out
            rows = await self._store.fetch(select(model.REVOCATIONS).where(column >= since))
        self._add(rows)
        self._looked_at = at

    def _add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.audit_id is not None:
                self._audit_ids.add(row.audit_id)
            for kind in _KINDS:
                id = row[kind]
                if id is not None and self._before.get((kind, id), datetime.min) < row.issued_before:
                    self._before[kind, id] = row.issued_before

    def include(self, payload: "Payload", *domain_ids: str | None) -> bool:
        """Whether the token was revoked. `domain_ids`: of its user, and of the project that it is for."""
        if payload.audit_ids[0] in self._audit_ids:
            return True
        if not self._before:
            return False
        issued_at = datetime.fromtimestamp(payload.issued_at, UTC).replace(tzinfo=None)
        for kind, id in (
            ("user_id", payload.user_id),
            ("project_id", payload.project_id),
            ("domain_id", payload.domain_id),
            *(("domain_id", id) for id in domain_ids),
        ):
            before = self._before.get((kind, id)) if id is not None else None
            if before is not None and issued_at <= before:
                return True
        return False
