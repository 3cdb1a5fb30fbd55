"""What is done inside a guest that runs: its password is changed, its kernel made to crash.

Wire: https://docs.openstack.org/api-ref/compute/#change-administrative-password-changepassword-action and
#trigger-crash-dump-in-server-trigger-crash-dump-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import Conflict, DriverError
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import model
from ....errors import NotYet
from ....room import room_of
from ...schemas import PASSWORD, closed
from ...terms import MEMBER
from ..lookup import check_has_host, check_state, check_unlocked
from ..record import record_done

ADMINISTRATOR = "root"


@action(
    "changePassword",
    policy="os_compute_api:os-admin-password",
    default=MEMBER,
    body=closed({"adminPass": PASSWORD}, "adminPass"),
)
async def change_password(req: Request, server: Row, body: dict[str, str]) -> None:
    """Done by an agent inside the guest: without one it is a conflict, which says so."""
    check_unlocked(req, server)
    check_state(server, "changePassword", "active")
    host = await _host(req, server, "set_password", "changing passwords inside guests")
    user = server.image_properties.get("os_admin_user", ADMINISTRATOR)
    try:
        await host.set_password(server.id, user, body["adminPass"])
    except DriverError as error:
        raise Conflict(f"Unable to set password on instance {server.id}: {error.message}") from None
    await _note(req, server, "server.changePassword")


@action(
    "trigger_crash_dump",
    policy="os_compute_api:servers:trigger_crash_dump",
    default=MEMBER,
    since="2.17",
)
async def trigger_crash_dump(req: Request, server: Row, _: Any) -> None:
    """An interrupt that cannot be masked; what the guest's kernel does about it is the guest's business."""
    check_unlocked(req, server)
    check_state(server, "trigger_crash_dump", "active", "paused", "rescued", "resized")
    host = await _host(req, server, "interrupt", "crash dumps on this host")
    try:
        await host.interrupt(server.id)
    except DriverError as error:
        raise Conflict(f"Cannot 'trigger_crash_dump' instance {server.id}: {error.message}") from None
    await _note(req, server, "server.trigger_crash_dump")


async def _host(req: Request, server: Row, ability: str, what: str) -> Any:
    name = check_has_host(server)
    host = await req.db.get(model.HOSTS, name=name)
    if ability not in host.facts.get("abilities", ()):
        raise NotYet(what=what)
    return room_of(req.house).host(name, req.request_id)


async def _note(req: Request, server: Row, name: str) -> None:
    async with req.db.transaction() as tx:
        await record_done(tx, req, server, name)
