"""What requests did, kept for the operation record, the log and the metrics.

Rows are written a moment later and many at once: a request does not wait for its own record. A process that is killed
loses the last moment of records of requests, never of flows, which write theirs with their results.
"""

import asyncio
import contextlib
from typing import Any

import structlog
from prometheus_client import Counter

from .. import ids
from ..clock import now
from ..db import Duplicate, Store, StoreUnavailable
from ..errors import ApiError
from ..model import operations
from .request import Request, Response

log = structlog.get_logger(__name__)

FLUSH_AFTER_S = 0.25
LARGEST_BACKLOG = 10_000

REQUESTS = Counter("aerostat_requests_total", "Requests answered.", ["room", "method", "status"])
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Journal:
    """Notes of finished requests, on their way to the operation record."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[dict[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def note(
        self, request: Request, call: str, response: Response, error: ApiError | None, took_ms: float
    ) -> None:
        room = request.service.name
        REQUESTS.labels(room, request.method, response.status).inc()
        changing = request.method in _CHANGING
        if not changing and (error is None or error.status < 500):
            return
        context = request.context
        resource_id = response.resource_id or request.resource_id or _named_in_path(request)
        if error is not None and error.status == 404:
            resource_id = None  # as far as the caller may know there is no such thing
        reason = error.text if error else None
        (log.error if response.status >= 500 else log.info)(
            "request",
            room=room,
            call=call,
            method=request.method,
            path=request.path,
            status=response.status,
            project_id=context.project_id,
            user_id=context.user_id,
            resource_id=resource_id,
            took_ms=round(took_ms, 2),
            reason=reason,
            detail=error.detail if error else None,
        )
        if not changing or len(self._waiting) >= LARGEST_BACKLOG:
            return
        self._waiting.append(
            {
                "id": ids.ascending_id(),
                "request_id": request.request_id,
                "at": now(),
                "actor": context.user_id,
                "project_id": context.project_id,
                "subject_kind": f"{room}.{call.split('.')[0]}",
                "subject_id": resource_id,
                "subject_name": None,
                "action": f"{room}.{call}",
                "step": None,
                "verdict": "refused" if error and error.status < 500 else "failed" if error else "accepted",
                "reason": reason,
                "data": {"status": response.status, "path": request.path, **_detail(error)},
                "took_ms": took_ms,
            }
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self._due)

    async def flush(self) -> None:
        """Write what is waiting. A database that is away keeps it waiting."""
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        try:
            async with self._store.transaction() as tx:
                for row in rows:
                    with contextlib.suppress(Duplicate):  # written before, by a commit whose answer was lost
                        await tx.insert(operations, **row)
        except StoreUnavailable as problem:
            self._waiting = (rows + self._waiting)[:LARGEST_BACKLOG]
            log.warning("journal.waiting", rows=len(rows), reason=str(problem))

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=5)
        await self.flush()

    def _due(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self.flush())


def _detail(error: ApiError | None) -> dict[str, Any]:
    return {"detail": error.detail} if error is not None and error.detail else {}


def _named_in_path(request: Request) -> str | None:
    """The last parameter of the path that looks like a thing: records of a refused change point at it."""
    for name, value in reversed(request.params.items()):
        if name not in ("project_id", "tenant"):
            return value
    return None
