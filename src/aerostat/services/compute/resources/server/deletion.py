"""How a deletion begins, by DELETE or by the action that forces it."""

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request

from ... import model
from ...errors import ServerNotFound
from ...flows.delete_server import delete_server
from ...states import SERVER


class _GoneAlready(ServerNotFound):
    """Deleted between our look and our move."""


async def start_deletion(req: Request, server: Row) -> None:
    """Delete wins over whatever is going on. Asking again while it goes on changes nothing."""
    async with req.db.transaction() as tx:
        moved = await SERVER.move(
            tx, model.SERVERS, server.id, "delete", error=_GoneAlready, state_before=server.state
        )
        if moved:
            await delete_server.start(tx, server.id, context=req.context, supersede=True)
