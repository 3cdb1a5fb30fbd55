"""From a row to a running guest: a host, ports, the image, the guest. Undone in reverse when it cannot be."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from aerostat.kernel import clock
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Flow, Outcome, Work

from .. import imaging, model, networking
from ..guest import guest_of
from ..room import room_of
from ..states import RUNNING, SERVER
from .claiming import claim_a_host, release_claim

MOST_HOSTS_TRIED = 3

create_server = Flow(
    "server.create",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(seconds=1800),
    failed="fail",
)


@create_server.step
async def claim_host(work: Work, server: Row) -> None:
    if (refused := work.data.pop("leave", None)) is not None:
        ports = tuple(one["port_id"] for one in server.interfaces)
        await room_of(work.house).host(refused, work.request_id).remove_guest(server.id, ports)
    await claim_a_host(work, server)


@claim_host.undo
async def release_host(work: Work, server: Row) -> None:
    await release_claim(work, server)


@create_server.step
async def make_ports(work: Work, server: Row) -> None:
    """A port for each network asked for. Those that an earlier run made are found by the server's id."""
    admin = room_of(work.house).network_admin(work.request_id)
    client = work.client("network")
    there = {port["id"]: port for port in (await networking.ports_of(admin, [server.id]))[server.id]}
    groups = await networking.find_security_groups(client, server.security_groups)
    interfaces = list(server.interfaces)
    taken = {one["port_id"] for one in interfaces}
    for place, asked in enumerate(server.networks):
        if place < len(interfaces):
            continue
        spare = next(
            (
                port
                for port in there.values()
                if port["id"] not in taken
                and (port["id"] == asked["port_id"] or not asked["port_id"])
                and port["network_id"] == asked["network_id"]
            ),
            None,
        )
        port = spare or await networking.make_port(client, admin, server, asked, groups)
        taken.add(port["id"])
        known = {"owned": not asked["port_id"], "tag": asked.get("tag")}
        interfaces.append(networking.interface_of(port, {}, (), {}, known))
        server.interfaces = list(interfaces)
        await work.save()
    if interfaces:
        server.interfaces = (await networking.read_interfaces(admin, [server]))[server.id]


@make_ports.undo
async def give_back_ports(work: Work, server: Row) -> None:
    await give_back_all_ports(work, server)


async def give_back_all_ports(work: Work, server: Row) -> None:
    """Every port of the server goes: ours are deleted, those we were given are let go."""
    await give_back_every_port(room_of(work.house).network_admin(work.request_id), server)
    server.interfaces = []


async def give_back_every_port(admin: Any, server: Row) -> None:
    """As the network room knows them and as the row does."""
    given = {one["port_id"] for one in server.networks if one.get("port_id")}
    given |= {one["port_id"] for one in server.interfaces if not one["owned"]}
    known = {one["port_id"] for one in server.interfaces}
    known |= {port["id"] for port in (await networking.ports_of(admin, [server.id]))[server.id]}
    for port_id in sorted(known):
        await networking.give_back_port(admin, server.id, port_id, owned=port_id not in given)


@create_server.step
async def fetch_image(work: Work, server: Row) -> Outcome | None:
    """The image onto the host; one that is there is kept. A host that has no room for it is left for another."""
    client = work.house.client("image", internal_context(work.request_id, "compute"))
    image = await client.get_image(server.image_id)
    host = room_of(work.house).host(server.host, work.request_id)
    try:
        await host.ensure_image(imaging.spec_of(image))
    except DriverError as error:
        return await _try_another(work, server, error)
    return None


@create_server.step
async def boot(work: Work, server: Row) -> Outcome | None:
    """Make the guest and start it. A host that refuses for good is left for another, while there are any."""
    host = room_of(work.house).host(server.host, work.request_id)
    spec = await guest_of(work.house, server, work.request_id, work.data.get("admin_password"))
    try:
        await host.ensure_guest(spec, new=True)
    except DriverError as error:
        return await _try_another(work, server, error)
    work.data.pop("admin_password", None)
    work.move("built", power_state=RUNNING, launched_at=clock.now(), fault=None)
    return None


@boot.undo
async def remove_guest(work: Work, server: Row) -> None:
    if server.host is not None:
        ports = tuple(one["port_id"] for one in server.interfaces)
        await room_of(work.house).host(server.host, work.request_id).remove_guest(server.id, ports)


async def _try_another(work: Work, server: Row, error: DriverError) -> Outcome:
    """Leave the host that refused, and begin again with the others. Raises `error` if there is no use in that.

    What is there is removed by the next step, not here: who was overtaken by another worker learns it when this step's
    result is written, and must not have taken away the guest that the other has made.
    """
    if error.retry or not await _may_try_another(work, server):
        raise error
    work.record("refused", reason=f"{server.host}: {error.message}", data={"detail": error.detail})
    work.data["leave"] = server.host
    work.data["tried"] = [*work.data.get("tried", ()), server.host]
    work.data["last_refusal"] = error.message
    return work.goto(claim_host)


async def _may_try_another(work: Work, server: Row) -> bool:
    tried = {*work.data.get("tried", ()), server.host}
    if len(tried) >= MOST_HOSTS_TRIED or server.requested_host:
        return False
    hosts = await work.db.fetch(select(model.HOSTS.c.name).where(model.HOSTS.c.disabled.is_(False)))
    return any(host.name not in tried for host in hosts)
