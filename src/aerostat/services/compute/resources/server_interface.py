"""Network cards of a server, as ports of the network room.

Wire: /servers/{id}/os-interface, https://docs.openstack.org/api-ref/compute/#port-interfaces-servers-os-interface
"""

from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import networking
from ..flows.interfaces import add_interface, attach_interface, detach_interface
from ..room import room_of
from .arguments import at_least
from .schemas import IP, TAG, UUID, closed
from .server.lookup import check_state, check_unlocked, find_for
from .terms import MEMBER, READER, rules

_RULE = "os_compute_api:os-attach-interfaces:"
_STATES = ("active", "paused", "stopped")
_FIXED_IPS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": closed({"ip_address": IP}, "ip_address"),
}


def _schema(tagged: bool) -> BodySchema:
    properties: dict[str, Any] = {"net_id": UUID, "port_id": UUID, "fixed_ips": _FIXED_IPS}
    if tagged:
        properties["tag"] = TAG
    return BodySchema(
        closed({"interfaceAttachment": closed(properties)}),
        "Invalid input for field/attribute %(path)s. Value: %(value)s. %(reason)s",
    )


_PLAIN, _TAGGED = _schema(False), _schema(True)


class ServerInterface(Resource):
    extra_rules = rules(
        (_RULE + "list", READER),
        (_RULE + "show", READER),
        (_RULE + "create", MEMBER),
        (_RULE + "delete", MEMBER),
    )

    @route("GET", "/servers/{server_id}/os-interface")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "list")
        ports = await self._ports(req, server.id)
        return {"interfaceAttachments": [_view(req, server, port) for port in ports]}

    @route("GET", "/servers/{server_id}/os-interface/{port_id}")
    async def show_one(self, req: Request, server_id: str, port_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "show")
        for port in await self._ports(req, server.id):
            if port["id"] == port_id:
                return {"interfaceAttachment": _view(req, server, port)}
        raise NotFound(f"Instance {server_id} does not have a port with id {port_id}")

    @route("POST", "/servers/{server_id}/os-interface")
    async def attach(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "create")
        body = req.body if req.body is not None else {"interfaceAttachment": {}}
        (_TAGGED if at_least(req, 49) else _PLAIN).check(body)
        asked = body.get("interfaceAttachment", {})
        check_unlocked(req, server)
        check_state(server, "attach_interface", *_STATES)
        admin = room_of(req.house).network_admin(req.request_id)
        client = req.client("network")
        chosen = await networking.choose_networks(client, _wanted(req, asked), server.project_id)
        if not chosen:
            raise BadRequest("No network with a subnet is there for this server.")
        (wanted,) = chosen
        try:
            port = await networking.make_port(client, admin, server, wanted, ())
        except RoomError as error:
            if error.status in (404, 409, 400):
                raise BadRequest(error.text) from None
            raise
        network = await admin.get_network(port["network_id"])
        known = {"owned": not wanted["port_id"], "tag": asked.get("tag")}
        interface = networking.interface_of(port, network, (), {}, known)
        try:
            async with req.db.transaction() as tx:
                await add_interface(tx, server.id, interface)
                await attach_interface.start(tx, server.id, context=req.context, data={"port_id": port["id"]})
        except BaseException:
            await networking.give_back_port(admin, server.id, port["id"], owned=known["owned"])
            raise
        server["interfaces"] = [*server.interfaces, interface]
        return {"interfaceAttachment": _view(req, server, port)}

    @route("DELETE", "/servers/{server_id}/os-interface/{port_id}")
    async def detach(self, req: Request, server_id: str, port_id: str) -> Response:
        server = await find_for(req, server_id, _RULE + "delete")
        check_unlocked(req, server)
        if all(one["port_id"] != port_id for one in server.interfaces):
            raise NotFound(f"Port {port_id} is not attached")
        check_state(server, "detach_interface", *_STATES)
        async with req.db.transaction() as tx:
            await detach_interface.start(tx, server.id, context=req.context, data={"port_id": port_id})
        return Response(None, 202)

    async def _ports(self, req: Request, server_id: str) -> list[dict[str, Any]]:
        """Asked of the network room each time: clients wait here for a port to become active."""
        admin = room_of(req.house).network_admin(req.request_id)
        return (await networking.ports_of(admin, [server_id]))[server_id]


def _wanted(req: Request, asked: dict[str, Any]) -> Any:
    """The body as a create's `networks`. Raises `BadRequest`."""
    fixed = asked.get("fixed_ips")
    if asked.get("net_id") and asked.get("port_id"):
        raise BadRequest("Must not input both network_id and port_id")
    if fixed and not asked.get("net_id"):
        raise BadRequest("Must input network_id when request IP address")
    may = {"may_use_external": req.context.is_admin}
    if asked.get("port_id"):
        return [{"port": asked["port_id"], **may}]
    if asked.get("net_id"):
        return [{"uuid": asked["net_id"], "fixed_ip": fixed[0]["ip_address"] if fixed else None, **may}]
    return "auto"


def _view(req: Request, server: Any, port: dict[str, Any]) -> dict[str, Any]:
    view = {
        "port_state": port.get("status", "DOWN"),
        "fixed_ips": [
            {"subnet_id": ip["subnet_id"], "ip_address": ip["ip_address"]} for ip in port["fixed_ips"]
        ],
        "mac_addr": port["mac_address"],
        "net_id": port["network_id"],
        "port_id": port["id"],
    }
    if at_least(req, 70):
        view["tag"] = next((one["tag"] for one in server.interfaces if one["port_id"] == port["id"]), None)
    return view
