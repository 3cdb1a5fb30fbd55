"""Changes of a guest's power: start, stop, reboot, pause, unpause, suspend, resume. One step each.

When the host cannot do it, the server goes back to the state that its guest is found in, with the fault kept.
"""

from datetime import timedelta

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Fault, Flow, Work

from .. import model
from ..guest import guest_of
from ..host.protocol import Power
from ..room import room_of
from ..states import PAUSED, POWER_STATES, REST_EVENTS, RUNNING, SERVER, SHUTDOWN, SUSPENDED

LIMIT = timedelta(minutes=10)

# What the hypervisor found → the event that says so.
FOUND_EVENTS = {
    "running": "running",
    "shutoff": "halted",
    "crashed": "halted",
    "paused": "paused",
    "suspended": "suspended",
}


async def back_to_rest(work: Work, server: Row, fault: Fault) -> None:
    """After a failure: the server is what its guest is, or what it was before if nobody can tell."""
    event = REST_EVENTS.get(server.state_before, "fail")
    power = server.power_state
    if server.host is not None:
        try:
            found = await room_of(work.house).host(server.host, work.request_id).find_guest(server.id)
        except DriverError:
            found = None
        if found is not None:
            event, power = FOUND_EVENTS[found.state], POWER_STATES[found.state]
    work.move(event, power_state=power, state_before=None)


def _flow(name: str) -> Flow:
    return Flow(f"server.{name}", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=back_to_rest)


start_server = _flow("start")
stop_server = _flow("stop")
reboot_server = _flow("reboot")
reboot_hard_server = _flow("reboot_hard")
pause_server = _flow("pause")
unpause_server = _flow("unpause")
suspend_server = _flow("suspend")
resume_server = _flow("resume")


@start_server.step
async def start(work: Work, server: Row) -> None:
    """The guest is made whole first (cards, drives): the host may have been restarted since it stopped."""
    spec = await guest_of(work.house, server, work.request_id)
    await room_of(work.house).host(server.host, work.request_id).ensure_guest(spec, "running")
    work.move("running", power_state=RUNNING, state_before=None, fault=None)


@stop_server.step
async def stop(work: Work, server: Row) -> None:
    await _set_power(work, server, "shutoff")
    work.move("halted", power_state=SHUTDOWN, state_before=None, fault=None)


@reboot_server.step
async def reboot(work: Work, server: Row) -> None:
    await room_of(work.house).host(server.host, work.request_id).reboot(server.id, hard=False)
    work.move("running", power_state=RUNNING, state_before=None, fault=None, launched_at=_launched(server))


@reboot_hard_server.step
async def reboot_hard(work: Work, server: Row) -> None:
    """A hard reboot also mends the guest: cards and drives are made anew from the row.

    It may be asked for while a soft one waits for the guest, and takes over from it.
    """
    host = room_of(work.house).host(server.host, work.request_id)
    await host.set_power(server.id, "shutoff", 0.0)
    await host.ensure_guest(await guest_of(work.house, server, work.request_id), "running")
    work.move("running", power_state=RUNNING, state_before=None, fault=None, launched_at=_launched(server))


@pause_server.step
async def pause(work: Work, server: Row) -> None:
    await _set_power(work, server, "paused")
    work.move("paused", power_state=PAUSED, state_before=None)


@unpause_server.step
async def unpause(work: Work, server: Row) -> None:
    await _set_power(work, server, "running")
    work.move("running", power_state=RUNNING, state_before=None)


@suspend_server.step
async def suspend(work: Work, server: Row) -> None:
    await _set_power(work, server, "suspended")
    work.move("suspended", power_state=SUSPENDED, state_before=None)


@resume_server.step
async def resume(work: Work, server: Row) -> None:
    spec = await guest_of(work.house, server, work.request_id)
    await room_of(work.house).host(server.host, work.request_id).ensure_guest(spec, "running")
    work.move("running", power_state=RUNNING, state_before=None)


async def _set_power(work: Work, server: Row, power: Power) -> None:
    await room_of(work.house).host(server.host, work.request_id).set_power(server.id, power)


def _launched(server: Row) -> object:
    """A server that never came up has been launched now."""
    return server.launched_at or clock.now()
