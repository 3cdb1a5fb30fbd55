"""Adding a security group to all ports of a server, and taking it off them.

Wire: https://docs.openstack.org/api-ref/compute/#add-security-group-to-a-server-addsecuritygroup-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from .... import model, networking
from ....room import room_of
from ...schemas import NAME, closed
from ...terms import MEMBER
from ..record import record_done

_BODY = closed({"name": NAME}, "name")


@action("addSecurityGroup", policy="os_compute_api:os-security-groups:add", default=MEMBER, body=_BODY)
async def add_security_group(req: Request, server: Row, body: dict[str, str]) -> None:
    group_id = await _group(req, body["name"])
    for port in await _ports(req, server):
        if group_id not in port["security_groups"]:
            await _set_groups(req, port, [*port["security_groups"], group_id])
    await _note(req, server, "server.addSecurityGroup")


@action("removeSecurityGroup", policy="os_compute_api:os-security-groups:remove", default=MEMBER, body=_BODY)
async def remove_security_group(req: Request, server: Row, body: dict[str, str]) -> None:
    group_id = await _group(req, body["name"])
    ports = [port for port in await _ports(req, server) if group_id in port["security_groups"]]
    if not ports:
        raise NotFound(f"Security group {body['name']} not associated with the instance {server.id}")
    for port in ports:
        await _set_groups(req, port, [one for one in port["security_groups"] if one != group_id])
    await _note(req, server, "server.removeSecurityGroup")


async def _group(req: Request, name: str) -> str:
    client = req.client("network")
    known = await client.list_security_groups(project_id=req.context.project_id)
    named = [group for group in known if group["id"] == name] or [
        group for group in known if group["name"] == name
    ]
    if not named:
        raise NotFound(f"Security group {name} not found for project {req.context.project_id}.")
    if len(named) > 1:
        raise BadRequest(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
    return str(named[0]["id"])


async def _ports(req: Request, server: Row) -> list[dict[str, Any]]:
    admin = room_of(req.house).network_admin(req.request_id)
    return (await networking.ports_of(admin, [server.id]))[server.id]


async def _set_groups(req: Request, port: dict[str, Any], groups: list[str]) -> None:
    await req.client("network").update_port(port["id"], security_groups=groups)


async def _note(req: Request, server: Row, name: str) -> None:
    """What is shown of the server is old now, and the record says who did it."""
    async with req.db.transaction() as tx:
        await tx.update(model.SERVERS, {"id": server.id}, interfaces_stale=True)
        await record_done(tx, req, server, name)
