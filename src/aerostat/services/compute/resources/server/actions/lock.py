"""Locking: a locked server is left alone by everybody but administrators.

Wire: https://docs.openstack.org/api-ref/compute/#lock-server-lock-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import model
from ...arguments import at_least
from ...terms import MEMBER
from ..record import record_done

_ANYTHING: dict[str, Any] = {}


@action("lock", policy="os_compute_api:os-lock-server:lock", default=MEMBER, body=_ANYTHING)
async def lock(req: Request, server: Row, body: Any) -> None:
    reason = _reason(req, body)
    by = "owner" if req.context.project_id == server.project_id else "admin"
    await _set(req, server, "server.lock", locked=True, locked_by=by, locked_reason=reason)


@action("unlock", policy="os_compute_api:os-lock-server:unlock", default=MEMBER, body=_ANYTHING)
async def unlock(req: Request, server: Row, _: Any) -> None:
    """What an administrator locked, only one may unlock."""
    if server.locked_by == "admin":
        req.check("os_compute_api:os-lock-server:unlock:unlock_override", server)
    await _set(req, server, "server.unlock", locked=False, locked_by=None, locked_reason=None)


def _reason(req: Request, body: Any) -> str | None:
    """From 2.73 on a lock may say why."""
    if body in (None, {}) or not at_least(req, 73):
        return None
    fields = body if isinstance(body, dict) else {}
    reason = fields.get("locked_reason")
    if set(fields) != {"locked_reason"} or not isinstance(reason, str) or not 1 <= len(reason) <= 255:
        raise BadRequest(
            "Invalid input for field/attribute lock. locked_reason must be a text of 1 to 255 characters."
        )
    return reason


async def _set(req: Request, server: Row, name: str, **columns: Any) -> None:
    async with req.db.transaction() as tx:
        await tx.update(model.SERVERS, {"id": server.id}, **columns)
        await record_done(tx, req, server, name)
