"""The operation record of what is done to a server at once, without a flow that would keep it."""

from aerostat.kernel import operation
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.http import Request

from ... import model


async def record_done(tx: Transaction, req: Request, server: Row, name: str) -> None:
    """`name` is the action's, as in `server.lock`."""
    await operation.record(
        tx,
        req.context,
        name,
        "done",
        subject_kind=model.SERVERS.name,
        subject_id=server.id,
        subject_name=server.name,
    )
