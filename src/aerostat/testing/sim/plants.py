"""Classic faults, planted on purpose to see whether the simulator finds them. For tests: nothing else calls this.

Each replaces a few lines of the product by what somebody in a hurry might have written. A plant lives in the child
processes of one run and nowhere else.
"""

import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def result_without_lease() -> None:
    """A worker writes its result without looking whether the lease is still its own."""
    from aerostat.kernel.db import Transaction
    from aerostat.kernel.model import flows

    true_update = Transaction.update

    async def update(self: Transaction, table: Any, where: Any, **values: Any) -> int:
        if table is flows and "lease_worker" not in where:
            where = {key: value for key, value in where.items() if key != "lease_token"}
        return await true_update(self, table, where, **values)

    Transaction.update = update  # type: ignore[method-assign]


def message_handled_twice() -> None:
    """A host does not look whether it did an order before: told twice, it makes two guests."""
    import msgspec

    from aerostat.services.compute.drivers.fake import FakeHypervisor

    true_ensure = FakeHypervisor.ensure_domain

    async def ensure_domain(self: FakeHypervisor, spec: Any, power: Any = "running") -> Any:
        if any(domain.id == spec.id for domain in self.domains()):
            spec = msgspec.structs.replace(spec, id=spec.id[:-4] + "copy", name=spec.name + "-copy")
        return await true_ensure(self, spec, power)

    FakeHypervisor.ensure_domain = ensure_domain  # type: ignore[method-assign]


def undo_forgets() -> None:
    """A server that could not be made keeps its claim on a host, and no round finds that wrong."""
    from aerostat.services.compute.flows.create_server import claim_host

    async def forget(work: Any, server: Any) -> None:
        server.host = None

    claim_host.undo_run = forget
    rounds: Any = importlib.import_module("aerostat.services.compute.reconcilers.orphans")
    rounds._is_right = lambda server, host, amounts: True


def list_without_tenant() -> None:
    """Lists of the network room show everybody's things to everybody."""
    from aerostat.services.network import sight

    sight.sees_all = lambda context: True


def lost_wake_up() -> None:
    """An engine looks at flows when it is told that there are some, and only then."""
    from aerostat.kernel.work import engine
    from aerostat.kernel.work.flows import NUDGE

    true_nudge, true_due = engine.Engine.nudge, engine.Engine._flows_due
    told: set[int] = set()

    def nudge(self: engine.Engine, topic: str = NUDGE) -> None:
        if topic == NUDGE:
            told.add(id(self))
        true_nudge(self, topic)

    async def flows_due(self: engine.Engine, ahead: timedelta) -> Any:
        if id(self) not in told:
            return []
        found = await true_due(self, ahead)
        if not found:
            told.discard(id(self))
        return found

    engine.Engine.nudge = nudge  # type: ignore[method-assign]
    engine.Engine._flows_due = flows_due  # type: ignore[method-assign]


def failure_without_end() -> None:
    """A flow that fails leaves its server where it was: between two states."""
    from aerostat.services.compute.flows import power_server
    from aerostat.services.compute.flows.create_server import create_server

    async def nothing(work: Any, server: Any, fault: Any) -> None:
        """As if somebody had forgotten."""

    flows = (
        create_server,
        power_server.stop_server,
        power_server.start_server,
        power_server.pause_server,
    )
    for flow in flows:
        flow.failed = nothing


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (
        result_without_lease,
        message_handled_twice,
        undo_forgets,
        list_without_tenant,
        lost_wake_up,
        failure_without_end,
    )
}
