"""Floating IPs onto a server and off it, as the compute API did it until 2.43.

Wire: https://docs.openstack.org/api-ref/compute/#add-associate-floating-ip-addfloatingip-action-deprecated
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import model
from ...room_errors import refusals_relayed
from ...schemas import IP, closed
from ...terms import MEMBER
from ..record import record_done

_RULE = "os_compute_api:os-floating-ips:"


@action(
    "addFloatingIp",
    policy=_RULE + "add",
    default=MEMBER,
    until="2.43",
    body=closed({"address": IP, "fixed_address": IP}, "address"),
)
async def add_floating_ip(req: Request, server: Row, body: dict[str, str]) -> None:
    """To the named fixed address, or to the first of version 4. One that leads elsewhere comes over."""
    floating_ip = await _find(req, body["address"])
    port_id, address = _fixed(server, body.get("fixed_address"))
    with refusals_relayed(conflict=BadRequest):
        await req.client("network").update_floating_ip(
            floating_ip["id"], port_id=port_id, fixed_ip_address=address
        )
    await _note(req, server, "server.addFloatingIp")


@action(
    "removeFloatingIp",
    policy=_RULE + "remove",
    default=MEMBER,
    until="2.43",
    body=closed({"address": IP}, "address"),
)
async def remove_floating_ip(req: Request, server: Row, body: dict[str, str]) -> None:
    floating_ip = await _find(req, body["address"])
    if floating_ip.get("port_id") not in {one["port_id"] for one in server.interfaces}:
        raise Conflict(f"Floating IP {body['address']} is not associated with instance {server.id}.")
    with refusals_relayed():
        await req.client("network").update_floating_ip(floating_ip["id"], port_id=None)
    await _note(req, server, "server.removeFloatingIp")


async def _find(req: Request, address: str) -> dict[str, Any]:
    found = await req.client("network").list_floating_ips(
        floating_ip_address=address, project_id=req.context.project_id
    )
    if not found:
        raise NotFound("floating IP not found")
    first: dict[str, Any] = found[0]
    return first


def _fixed(server: Row, wanted: str | None) -> tuple[str, str]:
    """Port and address that the floating IP is to lead to."""
    known = [
        (one["port_id"], ip["address"])
        for one in server.interfaces
        for ip in one["ips"]
        if ip["type"] == "fixed" and ip["version"] == 4
    ]
    if not known:
        raise BadRequest("No fixed IPs associated to instance")
    if wanted is None:
        return known[0]
    for port_id, address in known:
        if address == wanted:
            return port_id, address
    raise BadRequest("Specified fixed address not assigned to instance")


async def _note(req: Request, server: Row, name: str) -> None:
    """What is shown of the server is old now, and the record says who did it."""
    async with req.db.transaction() as tx:
        await tx.update(model.SERVERS, {"id": server.id}, interfaces_stale=True)
        await record_done(tx, req, server, name)
