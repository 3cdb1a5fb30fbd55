"""What administrators do with a server's state, and deleting without delay.

Wire: https://docs.openstack.org/api-ref/compute/#reset-server-state-os-resetstate-action
"""

from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import Conflict
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import model
from ....states import SERVER
from ...schemas import closed
from ...terms import ADMIN, MEMBER
from ..deletion import start_deletion
from ..lookup import check_unlocked
from ..record import record_done


@action(
    "os-resetState",
    policy="os_compute_api:os-admin-actions:reset_state",
    default=ADMIN,
    body=closed({"state": {"enum": ["active", "error"]}}, "state"),
)
async def reset_state(req: Request, server: Row, body: dict[str, str]) -> None:
    """Say what the state is, whatever the guest does: the reconciler of power states looks after that."""
    event = "reset" if body["state"] == "active" else "fail"
    fault: dict[str, Any] | None = None
    if event == "fail":
        fault = {
            "message": "An administrator set the state to error.",
            "code": "StateReset",
            "at": clock.now().isoformat(),
        }
    async with req.db.transaction() as tx:
        await SERVER.move(tx, model.SERVERS, server.id, event, state_before=None, fault=fault)
        await record_done(tx, req, server, "server.os-resetState")


@action("injectNetworkInfo", policy="os_compute_api:os-admin-actions:inject_network_info", default=ADMIN)
async def inject_network_info(req: Request, server: Row, _: Any) -> None:
    """What is known of the server's network is old: read it anew. Guests ask the metadata service for theirs."""
    async with req.db.transaction() as tx:
        await tx.update(model.SERVERS, {"id": server.id}, interfaces_stale=True)
        await record_done(tx, req, server, "server.injectNetworkInfo")


@action("forceDelete", policy="os_compute_api:os-deferred-delete:force", default=MEMBER)
async def force_delete(req: Request, server: Row, _: Any) -> None:
    """Servers are never kept for a while after deletion here, so this is deletion."""
    check_unlocked(req, server)
    await start_deletion(req, server)


@action("restore", policy="os_compute_api:os-deferred-delete:restore", default=MEMBER)
async def restore(req: Request, server: Row, _: Any) -> None:
    """There is never anything to be restored."""
    raise Conflict(f"Cannot 'restore' instance {server.id} while it is in vm_state {server.state}")
