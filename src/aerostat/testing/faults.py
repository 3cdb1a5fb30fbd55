"""Things going wrong on purpose: hosts that refuse, calls that fail or hang, quotas that are full."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import Cloud


class Faults:
    """`cloud.faults.fail("compute", "ensure_domain")`: the next such call of the room's fake driver fails.

    Rooms with a fake driver: `compute` (verbs of `compute/host/protocol.py`) and `network` (verbs of
    `network/host/protocol.py`).
    """

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud

    def fail(self, room: str, verb: str, *, times: int = 1, error: Exception | None = None) -> None:
        """Let the next `times` calls of `verb` raise `error` (a `DriverError` unless given)."""
        self._in_cloud(lambda: self._driver(room).fail(verb, times=times, error=error))

    def delay(self, room: str, verb: str, seconds: float) -> None:
        """Let every call of `verb` take this much longer."""
        self._in_cloud(lambda: self._driver(room).delay(verb, seconds))

    def heal(self, room: str) -> None:
        """Take back every fault that was planted in the room."""
        self._in_cloud(lambda: self._driver(room).heal())

    def set_quota(self, room: str, project_id: str, **limits: int) -> None:
        """Set quota limits of a project: `set_quota("compute", project.id, instances=0)`."""
        quotas = self._cloud.house.services[room].quotas[0]

        async def change() -> None:
            async with self._cloud.house.store.transaction() as tx:
                await quotas.set_limits(tx, project_id, limits)

        self._cloud.call(change())

    def _driver(self, room: str) -> Any:
        """What takes the faults: rooms put it into their state as `faults`."""
        state = self._cloud.house.state.get(room)
        faults = state.get("faults") if isinstance(state, dict) else getattr(state, "faults", None)
        if faults is None:
            raise LookupError(f"the {room} room of this cloud has no fake driver to plant faults in")
        return faults

    def _in_cloud(self, act: Any) -> None:
        async def run() -> None:
            act()

        self._cloud.call(run())
