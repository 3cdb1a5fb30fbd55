"""The networks of a server: as compute takes them, and as templates read them.

Where a template asks for what compute cannot choose (a subnet, properties of the port), we make the port ourselves,
under a name of our own, and delete it with the server.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import Unavailable

from ..thing import Thing
from .outside import id_of, unless_gone, without_none
from .resource_type import is_gone

_DETACHABLE = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED")
_DETACH_TAKES = timedelta(seconds=3)
_BACK = "back"  # in the thing's data: ports that are given back, and since when
_PORTS = "ports"  # in the thing's data: ports that we made
_LEAVING = "leaving"  # of these, what was detached and is still to be deleted


async def networks_body(thing: Thing) -> Any:
    """The `networks` of a server to be made; None when the template says nothing."""
    wanted = thing.properties["networks"]
    if wanted is None:
        return None
    body = []
    for place, one in enumerate(wanted):
        if one["allocate_network"]:
            return one["allocate_network"]
        body.append(await _entry(thing, one, place))
    return body


async def _entry(thing: Thing, one: Mapping[str, Any], place: int) -> dict[str, Any]:
    if one["port"]:
        entry = {"port": await id_of(thing, "port", one["port"])}
    elif _needs_own_port(one):
        entry = {"port": await _own_port(thing, one, place)}
    else:
        network_id = await id_of(thing, "network", one["network"] or one["uuid"])
        entry = {"uuid": network_id, "fixed_ip": one["fixed_ip"]}
    return without_none({**entry, "tag": one["tag"]})  # type: ignore[no-any-return]


async def _own_port(thing: Thing, one: Mapping[str, Any], place: int) -> str:
    """A port that is made for this entry; one of its name that an earlier run made is taken."""
    network = thing.client("network")
    name = _port_name(thing, one, place)
    found = await network.list_ports(name=name)
    if not found:
        subnet_id = await id_of(thing, "subnet", one["subnet"])
        network_id = await id_of(thing, "network", one["network"] or one["uuid"])
        if network_id is None:
            network_id = (await network.get_subnet(subnet_id))["network_id"]
        body = dict(one["port_extra_properties"] or {})
        body.pop("value_specs", None)
        if subnet_id or one["fixed_ip"]:
            body["fixed_ips"] = [without_none({"subnet_id": subnet_id, "ip_address": one["fixed_ip"]})]
        if thing.properties["security_groups"]:
            groups = [
                await id_of(thing, "security_group", group) for group in thing.properties["security_groups"]
            ]
            body["security_groups"] = groups
        found = [await network.create_port(name=name, network_id=network_id, **without_none(body))]
    port_id = str(found[0]["id"])
    if port_id not in thing.data.setdefault(_PORTS, []):
        thing.data[_PORTS].append(port_id)
        await thing.keep()
    return port_id


def _port_name(thing: Thing, one: Mapping[str, Any], place: int) -> str:
    """Told from the port of an earlier entry at this place: an update may need both for a while."""
    entry = json.dumps(one, sort_keys=True).encode()
    return f"{thing.physical_name}-port-{place}-{hashlib.sha256(entry).hexdigest()[:8]}"


def _needs_own_port(one: Mapping[str, Any]) -> bool:
    return not one["port"] and bool(one["subnet"] or one["port_extra_properties"])


async def delete_ports(thing: Thing) -> None:
    """Delete the ports that were made for the server."""
    if not thing.house.services.get("network"):
        return
    network = thing.client("network")
    for place, one in enumerate(thing.properties["networks"] or ()):
        if _needs_own_port(one):  # one whose run died before it could tell
            for port in await network.list_ports(name=_port_name(thing, one, place)):
                await unless_gone(network.delete_port(port["id"]))
    for port_id in (*thing.data.get(_PORTS, []), *thing.data.get(_LEAVING, [])):
        await unless_gone(network.delete_port(port_id))


async def change_networks(thing: Thing) -> None:
    """Cards as the template has them now: one that fits a new entry stays, what is left over goes, what is missing
    comes. May run twice.
    """
    compute = thing.client("compute")
    before, now = thing.previous.get("networks") or [], thing.properties["networks"] or []
    cards: list[dict[str, Any]] = await compute.list_interfaces(thing.physical_id)
    fitting = {}
    for place, one in sorted(enumerate(now), key=lambda pair: _vagueness(pair[1], pair[1] in before)):
        fitting[place] = await _claim(thing, one, place, cards)
    for place, one in enumerate(before):
        card = None if one in now else await _claim(thing, one, place, cards)
        if card is not None:
            await unless_gone(compute.detach_interface(thing.physical_id, card["port_id"]))
            await _leave(thing, card["port_id"])
    for place, one in enumerate(now):
        if fitting[place] is not None or one["allocate_network"]:
            continue
        entry = await _entry(thing, one, place)
        if "port" in entry:
            await compute.attach_interface(thing.physical_id, port_id=entry["port"])
        else:
            fixed = [{"ip_address": entry["fixed_ip"]}] if "fixed_ip" in entry else None
            await compute.attach_interface(
                thing.physical_id, **without_none({"net_id": entry["uuid"], "fixed_ips": fixed})
            )


def _vagueness(one: Mapping[str, Any], is_kept: bool) -> tuple[bool, bool, bool, bool]:
    """Who chooses a card first: entries that did not change, then those that say the most of it."""
    return not is_kept, not one["port"], not one["fixed_ip"], not one["subnet"]


async def _claim(
    thing: Thing, one: Mapping[str, Any], place: int, cards: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """A card that is what the entry says, taken from `cards`."""
    network = thing.client("network")
    port_id = network_id = subnet_id = None
    if one["port"]:
        port_id = await id_of(thing, "port", one["port"])
    elif one["port_extra_properties"]:
        made = await network.list_ports(name=_port_name(thing, one, place))
        port_id = made[0]["id"] if made else ""
    else:
        subnet_id = await id_of(thing, "subnet", one["subnet"])
        network_id = await id_of(thing, "network", one["network"] or one["uuid"])
        if network_id is None and subnet_id is not None:
            network_id = (await network.get_subnet(subnet_id))["network_id"]
    for card in cards:
        ips = card["fixed_ips"]
        fits = card["port_id"] == port_id if port_id is not None else card["net_id"] == network_id
        fits = fits and (not one["fixed_ip"] or any(ip["ip_address"] == one["fixed_ip"] for ip in ips))
        if fits and (subnet_id is None or any(ip["subnet_id"] == subnet_id for ip in ips)):
            cards.remove(card)
            return card
    return None


async def _leave(thing: Thing, port_id: str) -> None:
    """A port of our own that the server needs no more is deleted once it is free."""
    if port_id in thing.data.get(_PORTS, []):
        thing.data[_PORTS].remove(port_id)
        thing.data.setdefault(_LEAVING, []).append(port_id)
        await thing.keep()


async def are_ports_gone(thing: Thing) -> bool:
    """Whether our own ports that were detached are deleted."""
    network = thing.client("network")
    for port_id in list(thing.data.get(_LEAVING, [])):
        try:
            if (await network.get_port(port_id))["device_id"]:
                return False
            await network.delete_port(port_id)
        except RoomError as error:
            if not is_gone(error):
                raise
        thing.data[_LEAVING].remove(port_id)
    return True


async def take_over_ports(thing: Thing, replaced_id: str) -> None:
    """Detach the template's own ports from the server that is replaced: a port is on one server at a time.

    Raises `Unavailable` until they are free.
    """
    held = [port["id"] for port in await _named_ports(thing) if port["device_id"] == replaced_id]
    if not held:
        return
    compute = thing.client("compute")
    attached = {one["port_id"] for one in await compute.list_interfaces(replaced_id)}
    for port_id in attached.intersection(held):
        await unless_gone(compute.detach_interface(replaced_id, port_id))
    raise Unavailable(f"Port {held[0]} is still with the server that is replaced.")


async def give_back_ports(thing: Thing, takers: Collection[str]) -> bool:
    """The way back: the template's own ports leave the servers in its place and come to this one again.

    A port that is still here may be about to go: it counts as ours only when no detach can be under way any more.
    """
    compute = thing.client("compute")
    back = thing.data.setdefault(_BACK, {"since": clock.now().isoformat(), "ports": []})
    waited = clock.now() - datetime.fromisoformat(back["since"]) >= _DETACH_TAKES
    whole = True
    for port in await _named_ports(thing):
        holder = port["device_id"]
        if holder == thing.physical_id:
            whole = whole and (waited or port["id"] in back["ports"])
        elif holder in takers:
            await _release(compute, holder, port["id"])
            whole = False
        else:  # nobody's; or somebody else's, and then compute says so
            await compute.attach_interface(thing.physical_id, port_id=port["id"])
            back["ports"].append(port["id"])
    if whole:
        del thing.data[_BACK]
    await thing.keep()
    return whole


async def _release(compute: Any, server_id: str, port_id: str) -> None:
    """Have a server that will be deleted let go of a port. One that never came up cannot: it is deleted now."""
    try:
        status = (await compute.get_server(server_id))["status"]
        if status == "ERROR":
            await compute.delete_server(server_id)
        elif status in _DETACHABLE:
            await compute.detach_interface(server_id, port_id)
    except RoomError as error:
        if not is_gone(error):
            raise


async def _named_ports(thing: Thing) -> list[dict[str, Any]]:
    """The ports that the template names, as the network room shows them."""
    network = thing.client("network")
    return [
        await network.get_port(await id_of(thing, "port", one["port"]))
        for one in thing.properties["networks"] or ()
        if one["port"]
    ]


async def shown_addresses(thing: Thing, server: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Addresses by the network's name and by its id, each with its port and subnets."""
    network = thing.client("network")
    ports = {port["mac_address"]: port for port in await network.list_ports(device_id=server["id"])}
    shown: dict[str, list[dict[str, Any]]] = {}
    for name, addresses in server["addresses"].items():
        found = []
        for one in addresses:
            port = ports.get(one.get("OS-EXT-IPS-MAC:mac_addr"))
            entry = {**one, "port": port["id"] if port else None}
            if port is not None:
                entry["subnets"] = [ip["subnet_id"] for ip in port["fixed_ips"]]
                shown.setdefault(port["network_id"], []).append(entry)
            found.append(entry)
        shown[name] = found
    return shown
