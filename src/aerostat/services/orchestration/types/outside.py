"""What types that are made by other rooms do alike."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from aerostat.kernel.client import RoomError

from ..errors import ResourceFailure
from ..lookup import NotThere, find_id
from ..thing import Thing
from .resource_type import is_gone

_ROOMS = {
    "flavor": ("compute", "Flavor"),
    "keypair": ("compute", "Key"),
    "server": ("compute", "Server"),
    "image": ("image", "Image"),
    "network": ("network", "Network"),
    "subnet": ("network", "Subnet"),
    "subnet_pool": ("network", "Subnetpool"),
    "port": ("network", "Port"),
    "router": ("network", "Router"),
    "security_group": ("network", "SecurityGroup"),
    "project": ("identity", "KeystoneProject"),
    "user": ("identity", "KeystoneUser"),
    "role": ("identity", "KeystoneRole"),
    "group": ("identity", "KeystoneGroup"),
    "domain": ("identity", "KeystoneDomain"),
    "service": ("identity", "KeystoneService"),
    "region": ("identity", "KeystoneRegion"),
}


async def id_of(thing: Thing, what: str, value: str | None) -> str | None:
    """The id of something that a property names by name or id; None stays None."""
    if not value:
        return None
    room, word = _ROOMS[what]
    try:
        return await find_id(thing.client(room), what, value)
    except NotThere as error:
        raise ResourceFailure(error.text(word, value), "EntityNotFound") from None


async def unless_gone(call: Awaitable[Any]) -> None:
    """Deleting what is not there is success."""
    try:
        await call
    except RoomError as error:
        if not is_gone(error):
            raise


async def is_absent(call: Awaitable[Any]) -> bool:
    """Whether asking for it answers that it is not there."""
    try:
        await call
    except RoomError as error:
        if is_gone(error):
            return True
        raise
    return False


def given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named values that are set, with what `value_specs` adds."""
    body = {name: values[name] for name in names if values.get(name) is not None}
    return {**body, **(values.get("value_specs") or {})}


def without_none(value: Any) -> Any:
    """Maps without keys that have no value, all the way down."""
    if isinstance(value, dict):
        return {key: without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_none(one) for one in value]
    return value


def subnets_of(plan: Any, networks: Iterable[str]) -> list[str]:
    """Subnets of the template that are made on these of its networks."""
    wanted = set(networks)
    return [
        one.name
        for one in plan.resources_of("OS::Neutron::Subnet")
        if plan.needed_by(one, "network", "network_id") & wanted
    ]
