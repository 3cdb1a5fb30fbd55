"""Shelving: a server is switched off, its disk kept as an image and its host given free; and back again.

Three flows. `shelve` makes the image and, as a rule, starts `offload`, which takes the guest off its host; where the
settings keep shelved servers on their hosts, an administrator starts it. `unshelve` finds a host anew and boots from
the image. Ports stay the server's all the time, bound to a host only while there is one.
"""

from datetime import timedelta

from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import Fault, Flow, Work

from .. import imaging, model, networking
from ..guest import guest_of
from ..room import room_of
from ..states import NO_STATE, RUNNING, SERVER, SHUTDOWN
from .claiming import claim_a_host, release_claim
from .copying import add_copying, delete_image, drop_copy, give_up_image

LIMIT = timedelta(hours=2)


async def _stay_shelved(work: Work, server: Row, fault: Fault) -> None:
    if server.state in ("offloading", "unshelving"):  # else it runs already, and only the image was left over
        work.move("shelved" if server.host is not None else "offloaded", state_before=None)


shelve_server = Flow("server.shelve", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=give_up_image)
offload_server = Flow(
    "server.shelveOffload", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=_stay_shelved
)
unshelve_server = Flow(
    "server.unshelve", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=_stay_shelved
)


@shelve_server.step
async def stop(work: Work, server: Row) -> None:
    """What is in the guest's memory is lost, so it is asked to shut down first."""
    await room_of(work.house).host(server.host, work.request_id).set_power(server.id, "shutoff")


@stop.undo
async def start_again(work: Work, server: Row) -> None:
    """As it was, as far as that can be had: a saved state is gone, so what was suspended runs."""
    power = {"stopped": "shutoff", "paused": "paused"}.get(server.state_before, "running")
    spec = await guest_of(work.house, server, work.request_id)
    host = room_of(work.house).host(server.host, work.request_id)
    await host.ensure_guest(spec, "shutoff" if power == "shutoff" else "running")
    if power == "paused":
        await host.set_power(server.id, "paused")


add_copying(shelve_server)


@shelve_server.step
async def put_away(work: Work, server: Row) -> None:
    await drop_copy(work, server)
    event = "shelved" if room_of(work.house).config.keep_shelved_on_host else "offload"
    kept = {"shelved_image_id": work.data["image_id"], "snapshot_id": None}
    work.move(event, power_state=SHUTDOWN, state_before=None, **kept)
    if event == "offload":
        work.also(lambda tx: _go_on_to_offload(tx, work))


async def _go_on_to_offload(tx: Transaction, work: Work) -> None:
    """Unless it is being deleted by now."""
    server = await tx.find(model.SERVERS, id=work.subject_id)
    if server is not None and server.state == "shelving":
        await offload_server.start(tx, server.id, context=work.context)


@offload_server.step
async def remove_guest(work: Work, server: Row) -> None:
    """The image holds its disk; the ports are the server's still, but on no host."""
    if server.host is not None:
        ports = tuple(one["port_id"] for one in server.interfaces)
        await room_of(work.house).host(server.host, work.request_id).remove_guest(server.id, ports)


@offload_server.step
async def leave_host(work: Work, server: Row) -> None:
    await _bind_ports(work, server, "")
    await release_claim(work, server)
    server.availability_zone = None
    work.move("offloaded", power_state=NO_STATE, state_before=None)


@unshelve_server.step
async def claim_host(work: Work, server: Row) -> None:
    """One that was never offloaded is on its host, with its claim."""
    if work.data["offloaded"]:
        await claim_a_host(work, server)


@claim_host.undo
async def release_host(work: Work, server: Row) -> None:
    if _is_to_leave(work, server):
        await release_claim(work, server)
        server.availability_zone = None


@unshelve_server.step
async def bind_ports(work: Work, server: Row) -> None:
    await _bind_ports(work, server, server.host)


@bind_ports.undo
async def unbind_ports(work: Work, server: Row) -> None:
    if _is_to_leave(work, server):
        await _bind_ports(work, server, "")


@unshelve_server.step
async def fetch_image(work: Work, server: Row) -> None:
    if work.data["offloaded"]:
        client = work.house.client("image", internal_context(work.request_id, "compute"))
        image = await client.get_image(server.shelved_image_id)
        await room_of(work.house).host(server.host, work.request_id).ensure_image(imaging.spec_of(image))


@unshelve_server.step
async def boot(work: Work, server: Row) -> None:
    spec = await guest_of(work.house, server, work.request_id)
    host = room_of(work.house).host(server.host, work.request_id)
    await host.ensure_guest(spec, new=work.data["offloaded"])
    work.move("running", power_state=RUNNING, state_before=None, fault=None)


@boot.undo
async def remove_guest_again(work: Work, server: Row) -> None:
    if server.host is None or server.state != "unshelving":
        return
    host = room_of(work.house).host(server.host, work.request_id)
    if work.data["offloaded"]:
        await host.remove_guest(server.id, tuple(one["port_id"] for one in server.interfaces))
    else:
        await host.set_power(server.id, "shutoff", 0.0)


@unshelve_server.step
async def drop_image(work: Work, server: Row) -> None:
    """The image held the disk until the server ran; from now on its disk is its own."""
    if server.shelved_image_id is not None:
        await delete_image(work, server.shelved_image_id)
        server.shelved_image_id = None


def _is_to_leave(work: Work, server: Row) -> bool:
    """Whether the host is to be given back: not the one it never left, and not once it runs."""
    return bool(work.data["offloaded"]) and server.state == "unshelving"


async def _bind_ports(work: Work, server: Row, host: str) -> None:
    admin = room_of(work.house).network_admin(work.request_id)
    for one in server.interfaces:
        await networking.bind_port(admin, one["port_id"], host)
