"""Which tokens are no longer good although they have not ended: revoked by themselves, by user, project or domain.

Rows are the truth; what was read from them is kept in a form that answers for one token without looking at all.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aerostat.kernel.db import Row

if TYPE_CHECKING:
    from .tokens import Payload

_KINDS = ("user_id", "project_id", "domain_id")


class Revocations:
    """Made anew from the rows whenever they may have changed."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._audit_ids: set[str] = set()
        self._before: dict[tuple[str, str], datetime] = {}
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
