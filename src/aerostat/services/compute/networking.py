"""What compute asks of the network room: which networks a new server gets, its ports, and what is shown of them.

A server row holds three things of this: `networks`, what was asked for ({network_id, port_id, fixed_ip, tag}, in
the guest's order); `interfaces`, the ports it has, as last seen; `interfaces_stale`, set when the network room said
that something changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Conflict, Unavailable

from .host.orders import Card

PORTS_AT_ONCE = 100
TRIES = 5  # to change a port that others are changing too
_UNBOUND = {"device_id": "", "device_owner": "", "binding:host_id": ""}
MIGRATING_TO = "migrating_to"  # the key in a port's binding profile, as upstream has it


class NetworkAmbiguous(Conflict):
    message = "Multiple possible networks found, use a Network ID to be more specific."


async def choose_networks(client: Any, asked: Any, project_id: str) -> list[dict[str, Any]]:
    """What a create's `networks` comes to. `asked` is "none", "auto", a list, or None where it was left out.

    Raises `BadRequest` and `Conflict` in upstream's words, before anything is made.
    """
    if asked == "none":
        return []
    if asked in (None, "auto", []):
        return await _automatic(client, project_id, named_auto=asked == "auto")
    chosen = []
    seen: set[str] = set()
    for one in asked:
        if one.get("port"):
            chosen.append(await _by_port(client, one, seen))
        elif one.get("uuid"):
            chosen.append(await _by_network(client, one))
        else:
            raise BadRequest("Bad network format: missing 'uuid'")
    return chosen


async def _automatic(client: Any, project_id: str, *, named_auto: bool) -> list[dict[str, Any]]:
    networks = await usable_networks(client, project_id)
    if len(networks) > 1:
        raise NetworkAmbiguous
    if not networks:
        if named_auto:
            return [_request(network_id=await _allocated(client, project_id))]
        return []
    if not networks[0].get("subnets"):
        return []
    return [_request(network_id=networks[0]["id"])]


async def _allocated(client: Any, project_id: str) -> str:
    """The network that the network room makes for a project that asks for any."""
    try:
        return str(await client.ensure_auto_topology(project_id))
    except RoomError as error:
        raise BadRequest(
            f"Unable to automatically allocate a network for project {project_id}: {error.text}"
        ) from None


async def usable_networks(client: Any, project_id: str) -> list[dict[str, Any]]:
    """Networks that a project's servers get when none is named: its own and the shared ones, not external."""
    own = await client.list_networks(project_id=project_id)
    shared = await client.list_networks(shared=True)
    found = {network["id"]: network for network in (*own, *shared)}
    return [network for network in found.values() if not network.get("router:external")]


async def _by_port(client: Any, one: Mapping[str, Any], seen: set[str]) -> dict[str, Any]:
    if one.get("fixed_ip"):
        raise BadRequest("Specified fixed IP in conjunction with a port ID is not supported.")
    port_id = one["port"]
    if port_id in seen:
        raise BadRequest("Duplicate ports requested.")
    seen.add(port_id)
    port = await find_free_port(client, port_id)
    try:
        _check_external(await client.get_network(port["network_id"]), one)
    except RoomError as error:
        if error.status != 404:  # whoever made the port may have meant its network for nobody's eyes
            raise
    return _request(network_id=port["network_id"], port_id=port_id, tag=one.get("tag"))


async def find_free_port(client: Any, port_id: str) -> dict[str, Any]:
    """A port that a server may have. Raises `BadRequest` when there is none, `Conflict` when it is taken."""
    try:
        port: dict[str, Any] = await client.get_port(port_id)
    except RoomError as error:
        if error.status == 404:
            raise BadRequest(f"Port id {port_id} could not be found.") from None
        raise
    if port.get("device_id"):
        raise Conflict(f"Port {port_id} is still in use.")
    if not port.get("fixed_ips") and port.get("ip_allocation", "immediate") != "none":
        raise BadRequest(f"Port {port_id} requires a FixedIP in order to be used.")
    return port


async def _by_network(client: Any, one: Mapping[str, Any]) -> dict[str, Any]:
    network_id = one["uuid"]
    # The oldest microversions let a client put `br-` or a port's name before the id.
    if not ids.is_uuid(network_id):
        raise BadRequest(f"Bad networks format: network uuid is not in proper format ({network_id})")
    network = await find_network(client, network_id)
    _check_external(network, one)
    if not network.get("subnets"):
        raise BadRequest(f"Network {network_id} requires a subnet in order to boot instances on.")
    return _request(network_id=network_id, fixed_ip=one.get("fixed_ip"), tag=one.get("tag"))


def _check_external(network: Mapping[str, Any], one: Mapping[str, Any]) -> None:
    """Anybody may have a port on an external network, for a router say; a guest there would pass all routers by."""
    if network.get("router:external") and not network.get("shared") and not one.get("may_use_external"):
        raise BadRequest(f"It is not allowed to create an interface on external network {network['id']}")


async def find_network(client: Any, network_id: str) -> dict[str, Any]:
    try:
        network: dict[str, Any] = await client.get_network(network_id)
        return network
    except RoomError as error:
        if error.status == 404:
            raise BadRequest(f"Network {network_id} could not be found.") from None
        raise


def _request(
    *, network_id: str, port_id: str | None = None, fixed_ip: str | None = None, tag: str | None = None
) -> dict[str, Any]:
    return {"network_id": network_id, "port_id": port_id, "fixed_ip": fixed_ip, "tag": tag}


async def find_security_groups(client: Any, named: Sequence[str]) -> list[str]:
    """Ids of the security groups that names or ids stand for. `default` alone needs no look: ports get it."""
    if not named or list(named) == ["default"]:
        return []
    known = await client.list_security_groups()
    found = []
    for name in dict.fromkeys(named):
        matches = [group["id"] for group in known if group["id"] == name]
        matches = matches or [group["id"] for group in known if group["name"] == name]
        if not matches:
            raise BadRequest(f"Security group {name} not found for project.")
        if len(matches) > 1:
            raise Conflict(
                f"Multiple security groups found matching '{name}'. Use an ID to be more specific."
            )
        found.append(matches[0])
    return found


async def make_port(
    client: Any, admin: Any, server: Row, asked: Mapping[str, Any], security_group_ids: Sequence[str]
) -> dict[str, Any]:
    """Give the server a port as asked: a new one of ours, or the one it named. Answers the port.

    `client` acts for the user, whose quota a new port counts against; `admin` binds it to the host.
    """
    binding = {
        "device_id": server.id,
        "device_owner": f"compute:{server.availability_zone or 'nova'}",
        "binding:host_id": server.host or "",
    }
    if asked["port_id"]:
        return await _take_port(admin, asked["port_id"], server.id, binding)
    wanted: dict[str, Any] = {"network_id": asked["network_id"], "admin_state_up": True, **binding}
    if asked["fixed_ip"]:
        wanted["fixed_ips"] = [{"ip_address": asked["fixed_ip"]}]
    if security_group_ids:
        wanted["security_groups"] = list(security_group_ids)
    made: dict[str, Any] = await admin.create_port(**wanted, project_id=server.project_id)
    return made


async def _take_port(admin: Any, port_id: str, server_id: str, binding: Mapping[str, Any]) -> dict[str, Any]:
    """Bind a port that somebody made, unless another server has it. Raises `Conflict`.

    Two servers may want it at once: it is changed only as it was when it was seen to be free.
    """
    for _ in range(TRIES):
        port = await admin.get_port(port_id)
        if port.get("device_id") not in (None, "", server_id):
            break
        try:
            taken: dict[str, Any] = await admin.update_port(
                port_id, revision=port["revision_number"], **binding
            )
            return taken
        except RoomError as error:
            if error.status != 412:
                raise
    raise Conflict(f"Port {port_id} is still in use.")


async def give_back_port(admin: Any, server_id: str, port_id: str, *, owned: bool) -> None:
    """Delete a port of ours, or unbind one that somebody gave us. Absent, or another server's by now, is success."""
    try:
        for _ in range(TRIES):
            port = await admin.get_port(port_id)
            if port.get("device_id") not in (None, "", server_id):
                return
            if owned:
                await admin.delete_port(port_id)
                return
            try:
                await admin.update_port(port_id, revision=port["revision_number"], **_UNBOUND)
                return
            except RoomError as error:
                if error.status != 412:
                    raise
    except RoomError as error:
        if error.status != 404:
            raise
        return
    raise Unavailable(f"Port {port_id} is being changed all the time.")


async def announce_move(admin: Any, server: Row, host: str) -> None:
    """The server's ports are going to be on `host` too: packets for them come there before the guest does."""
    for port in (await ports_of(admin, [server.id]))[server.id]:
        profile = {**(port.get("binding:profile") or {}), MIGRATING_TO: host}
        if profile != port.get("binding:profile"):
            await admin.update_port(port["id"], **{"binding:profile": profile})


async def bind_ports(admin: Any, server: Row, host: str) -> None:
    """The server's ports are on `host`, and nowhere else."""
    for port in (await ports_of(admin, [server.id]))[server.id]:
        before = port.get("binding:profile") or {}
        profile = {name: value for name, value in before.items() if name != MIGRATING_TO}
        if port.get("binding:host_id") != host or profile != before:
            await admin.update_port(port["id"], **{"binding:host_id": host, "binding:profile": profile})


async def bind_port(admin: Any, port_id: str, host: str) -> None:
    """Say on which host the port's server is, "" for none. One that is gone is left out."""
    try:
        await admin.update_port(port_id, **{"binding:host_id": host})
    except RoomError as error:
        if error.status != 404:
            raise


async def ports_of(admin: Any, server_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The ports of some servers, by server."""
    found: dict[str, list[dict[str, Any]]] = {server_id: [] for server_id in server_ids}
    every = list(found)
    for start in range(0, len(every), PORTS_AT_ONCE):
        for port in await admin.list_ports(device_id=every[start : start + PORTS_AT_ONCE]):
            found[port["device_id"]].append(port)
    return found


async def read_interfaces(admin: Any, servers: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """What is to be kept in `interfaces` of these servers, read anew from the network room."""
    ports = await ports_of(admin, [server.id for server in servers])
    every = [port for of_one in ports.values() for port in of_one]
    if not every:
        return {server.id: [] for server in servers}
    networks = {
        network["id"]: network
        for network in await admin.list_networks(id=sorted({port["network_id"] for port in every}))
    }
    floating: dict[str, list[dict[str, Any]]] = {}
    for one in await admin.list_floating_ips(port_id=[port["id"] for port in every]):
        floating.setdefault(one["port_id"], []).append(one)
    group_ids = sorted({group for port in every for group in port.get("security_groups") or ()})
    groups = {}
    if group_ids:
        groups = {group["id"]: group["name"] for group in await admin.list_security_groups(id=group_ids)}
    return {
        server.id: _in_order(
            server,
            [
                interface_of(
                    port,
                    networks.get(port["network_id"], {}),
                    floating.get(port["id"], ()),
                    groups,
                    _known(server, port["id"]),
                )
                for port in ports[server.id]
            ],
        )
        for server in servers
    }


def interface_of(
    port: Mapping[str, Any],
    network: Mapping[str, Any],
    floating: Iterable[Mapping[str, Any]],
    groups: Mapping[str, str],
    known: Mapping[str, Any],
) -> dict[str, Any]:
    """A port as a server row keeps it. What the network room does not know (`owned`, `tag`) comes from `known`."""
    ips = [
        {
            "address": ip["ip_address"],
            "version": 6 if ":" in ip["ip_address"] else 4,
            "type": "fixed",
            "subnet_id": ip.get("subnet_id"),
        }
        for ip in port.get("fixed_ips") or ()
    ]
    for one in floating:
        address = one["floating_ip_address"]
        ips.append({"address": address, "version": 6 if ":" in address else 4, "type": "floating"})
    return {
        "port_id": port["id"],
        "network_id": port["network_id"],
        "network": network.get("name") or known.get("network") or port["network_id"],
        "mtu": network.get("mtu") or known.get("mtu") or 1500,
        "mac": port["mac_address"],
        "state": port.get("status", "DOWN"),
        "ips": ips,
        "security_groups": [groups.get(group, group) for group in port.get("security_groups") or ()],
        "owned": known.get("owned", False),
        "tag": known.get("tag"),
    }


def cards_of(server: Row) -> tuple[Card, ...]:
    """The server's network cards, for its host."""
    return tuple(Card(port_id=one["port_id"], mac=one["mac"], mtu=one["mtu"]) for one in server.interfaces)


def _known(server: Row, port_id: str) -> Mapping[str, Any]:
    return next((one for one in server.interfaces if one["port_id"] == port_id), {})


def _in_order(server: Row, interfaces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the row has them; ports that are new to it come last."""
    places = {one["port_id"]: place for place, one in enumerate(server.interfaces)}
    return sorted(interfaces, key=lambda one: places.get(one["port_id"], len(places)))
