"""Names to ids: templates may name things of other rooms by either."""

from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.client import RoomError

# what → (method that gets one, method that lists them)
_METHODS = {
    "flavor": ("get_flavor", "list_flavors"),
    "keypair": ("get_keypair", None),
    "server": ("get_server", "list_servers"),
    "image": ("get_image", "list_images"),
    "network": ("get_network", "list_networks"),
    "subnet": ("get_subnet", "list_subnets"),
    "subnet_pool": ("get_subnet_pool", "list_subnet_pools"),
    "port": ("get_port", "list_ports"),
    "router": ("get_router", "list_routers"),
    "security_group": ("get_security_group", "list_security_groups"),
    "project": ("get_project", "list_projects"),
    "user": ("get_user", "list_users"),
    "role": ("get_role", "list_roles"),
    "group": ("get_group", "list_groups"),
    "domain": ("get_domain", "list_domains"),
    "service": ("get_service", "list_services"),
    "region": ("get_region", None),
}
_BY_ID_ONLY_IF_UUID = frozenset(
    {"server", "image", "network", "subnet", "subnet_pool", "port", "router", "security_group"}
)


class NotThere(Exception):
    """None of that name, or more than one."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def text(self, word: str, value: object) -> str:
        if self.count:
            return f"Multiple physical resources were found with name ({value})."
        return f"The {word} ({value}) could not be found."


async def find_id(client: Any, what: str, name_or_id: str) -> str:
    """The id of a thing. Raises `NotThere`, `RoomError`."""
    get, find = _METHODS[what]
    if what not in _BY_ID_ONLY_IF_UUID or ids.is_uuid(name_or_id):
        try:
            found = await getattr(client, get)(name_or_id)
            return str(found.get("id") or found.get("name")) if what != "keypair" else name_or_id
        except RoomError as error:
            if error.status not in (400, 403, 404):
                raise
    if find is None:
        raise NotThere(0)
    query = {} if what == "flavor" else {"name": name_or_id}  # compute does not look for flavors by name
    named = [one for one in await getattr(client, find)(**query) if one["name"] == name_or_id]
    if len(named) != 1:
        raise NotThere(len(named))
    return str(named[0]["id"])
