"""Actions of upstream's that this cloud does not offer yet. Each says so, instead of «no such action».

Wire: https://docs.openstack.org/api-ref/compute/#servers-run-an-action-servers-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import Conflict
from aerostat.kernel.http import Request
from aerostat.kernel.policy.terms import Term
from aerostat.kernel.resource import Action, action

from ....errors import NotYet
from ...terms import ADMIN, MEMBER

_ANYTHING: dict[str, Any] = {}


def _not_yet(name: str, rule: str, what: str, default: Term = MEMBER) -> Action:
    @action(name, policy=rule, default=default, body=_ANYTHING)
    async def refuse(req: Request, server: Row, _: Any) -> None:
        raise NotYet(what=what)

    return refuse


@action("restore", policy="os_compute_api:os-deferred-delete:restore", default=MEMBER)
async def restore(req: Request, server: Row, _: Any) -> None:
    raise Conflict(f"Cannot 'restore' instance {server.id} while it is in vm_state {server.state}")


REFUSED = (
    restore,
    _not_yet("migrate", "os_compute_api:os-migrate-server:migrate", "migration of servers", ADMIN),
    _not_yet("os-migrateLive", "os_compute_api:os-migrate-server:migrate_live", "live migration", ADMIN),
    _not_yet("evacuate", "os_compute_api:os-evacuate", "evacuation of servers", ADMIN),
)
