"""Finding the server that a path names, and the checks that every action on it makes."""

from collections.abc import Awaitable, Callable
from typing import Any

from aerostat.kernel.db import Row, RowNotFound, Transaction
from aerostat.kernel.errors import Conflict
from aerostat.kernel.http import Request
from aerostat.kernel.ids import is_uuid
from aerostat.kernel.work import Flow

from ... import model
from ...errors import ServerInState, ServerLocked, ServerNotFound, ServerNotReady
from ...states import RESTING, SERVER, shown


async def find_server(req: Request, id: str, *, deleted: bool = False) -> Row:
    """The server, as far as the caller may know of it. Raises `ServerNotFound`."""
    row = await req.db.find(model.SERVERS, id=id) if is_uuid(id) else None
    if row is None or not can_see(req, row) or (row.state == "deleted" and not deleted):
        raise ServerNotFound(id=id)
    req.resource_id = row.id
    return row


def can_see(req: Request, row: Row) -> bool:
    return bool(row.project_id == req.context.project_id or req.context.is_admin)


async def find_for(req: Request, id: str, rule: str, *, deleted: bool = False) -> Row:
    """The server, if policy rule `rule` lets the caller at it."""
    server = await find_server(req, id, deleted=deleted)
    req.check(rule, server)
    return server


def check_unlocked(req: Request, server: Row) -> None:
    """A locked server is left alone by everybody but administrators."""
    if server.locked and not req.context.is_admin:
        raise ServerLocked(id=server.id)


def check_state(server: Row, what: str, *states: str) -> None:
    """Raises what upstream says when a server in this state cannot be asked for `what`."""
    if server.state not in states:
        raise refusal(server, what)


def check_has_host(server: Row) -> str:
    if server.host is None:
        raise ServerNotReady(id=server.id)
    return str(server.host)


def refusal(server: Row, what: str) -> Conflict:
    words = shown(server.state, server.state_before)
    if words.task_state is not None:
        return Conflict(f"Cannot '{what}' instance {server.id} while it is in task_state {words.task_state}")
    return ServerInState(id=server.id, event=what, state=words.vm_state)


async def begin(
    req: Request,
    server: Row,
    event: str,
    flow: Flow,
    *,
    what: str,
    data: dict[str, Any] | None = None,
    supersede: bool = False,
    also: Callable[[Transaction, str], Awaitable[None]] | None = None,
    **columns: Any,
) -> None:
    """Move the server by `event` and start `flow`, both or neither. Raises a 409 when its state forbids it.

    `supersede`: what is at work on the server ends after its present step, and moves it no more. `also` is awaited in
    the same transaction, with the flow's id.
    """
    check_unlocked(req, server)
    try:
        async with req.db.transaction() as tx:
            await move(tx, server, event, what, **columns)
            flow_id = await flow.start(tx, server.id, context=req.context, data=data, supersede=supersede)
            if also is not None:
                await also(tx, flow_id)
    except RowNotFound:
        raise refusal(await find_server(req, server.id), what) from None


async def move(tx: Transaction, server: Row, event: str, what: str, **columns: Any) -> None:
    """Move the server from the state in which it was read, and from no other."""
    if SERVER.target(server.state, event) is None:
        raise refusal(server, what)
    before = server.state if server.state in RESTING and server.state != "error" else None
    await SERVER.move(
        tx,
        model.SERVERS,
        server.id,
        event,
        where={"state": server.state},
        state_before=before,
        **columns,
    )
