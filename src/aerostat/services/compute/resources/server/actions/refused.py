"""Actions of upstream's that this cloud does not offer yet. Each says so, instead of «no such action».

Wire: https://docs.openstack.org/api-ref/compute/#servers-run-an-action-servers-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.http import Request
from aerostat.kernel.policy.terms import Term
from aerostat.kernel.resource import Action, action

from ....errors import NotYet
from ...schemas import PASSWORD, closed
from ...terms import ADMIN, MEMBER
from ..lookup import check_state

_ANYTHING: dict[str, Any] = {}


def _not_yet(name: str, rule: str, what: str, default: Term = MEMBER) -> Action:
    @action(name, policy=rule, default=default, body=_ANYTHING)
    async def refuse(req: Request, server: Row, _: Any) -> None:
        raise NotYet(what=what)

    return refuse


@action("restore", policy="os_compute_api:os-deferred-delete:restore", default=MEMBER)
async def restore(req: Request, server: Row, _: Any) -> None:
    raise Conflict(f"Cannot 'restore' instance {server.id} while it is in vm_state {server.state}")


@action(
    "changePassword",
    policy="os_compute_api:os-admin-password",
    default=MEMBER,
    body=closed({"adminPass": PASSWORD}, "adminPass"),
)
async def change_password(req: Request, server: Row, _: Any) -> None:
    """Needs an agent inside the guest, and a host that can talk to it."""
    check_state(server, "changePassword", "active")
    if "hw_qemu_guest_agent" not in server.image_properties:
        raise BadRequest("Unable to set password on instance: its image has no guest agent.")
    raise NotYet(what="passwords changed through the guest's agent")


_SHELVE = "os_compute_api:os-shelve:"
REFUSED = (
    restore,
    change_password,
    _not_yet("shelve", _SHELVE + "shelve", "shelving of servers"),
    _not_yet("shelveOffload", _SHELVE + "shelve_offload", "shelving of servers", ADMIN),
    _not_yet("unshelve", _SHELVE + "unshelve", "shelving of servers"),
    _not_yet("rescue", "os_compute_api:os-rescue", "rescue of servers"),
    _not_yet("unrescue", "os_compute_api:os-unrescue", "rescue of servers"),
    _not_yet("createBackup", "os_compute_api:os-create-backup", "backups of servers"),
    _not_yet("trigger_crash_dump", "os_compute_api:servers:trigger_crash_dump", "crash dumps"),
)
