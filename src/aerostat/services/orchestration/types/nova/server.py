"""OS::Nova::Server. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::Server"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from aerostat.kernel.client import RoomError

from ...errors import ResourceFailure, StackValidationFailed
from ...plans import Plan
from ...template import ResourceDefinition
from ...template import select as follow
from ...thing import Thing
from ..collecting import (
    POLL_CFN,
    TRANSPORTS,
    check_transport,
    collected,
    collecting,
    ensure_collecting,
    forget_collecting,
)
from ..outside import id_of, subnets_of, unless_gone, without_none
from ..property import LIST, MAP, Attribute, boolean, integer, listing, mapping, text
from ..resource_type import Replace, ResourceType, is_gone
from ..server_networks import (
    are_ports_gone,
    change_networks,
    delete_ports,
    give_back_ports,
    networks_body,
    shown_addresses,
    take_over_ports,
)
from ..user_data import HEAT_CFNTOOLS, RAW, SOFTWARE_CONFIG, encoded_user_data

_WORKING = (
    "BUILD",
    "REBUILD",
    "RESIZE",
    "REBOOT",
    "HARD_REBOOT",
    "PASSWORD",
    "MIGRATING",
    "REVERT_RESIZE",
    "UNKNOWN",
)
_CONSOLES = {
    "novnc": ("vnc", "novnc"),
    "serial": ("serial", "serial"),
    "spice-html5": ("spice", "spice-html5"),
}
_POLICY = ("REBUILD", "REPLACE", "REBUILD_PRESERVE_EPHEMERAL")


class Server(ResourceType):
    name = "OS::Nova::Server"
    description = "A resource for managing Nova instances."
    room = "compute"
    properties = {
        "name": text("Server name.", update=True),
        "image": text("The ID or name of the image to boot with.", custom="glance.image", update=True),
        "block_device_mapping": listing("Block device mappings for this server.", mapping()),
        "block_device_mapping_v2": listing(
            "Block device mappings v2 for this server.",
            mapping(
                inner={
                    "device_name": text(
                        "A device name where the volume will be attached in the system at /dev/device_name."
                    ),
                    "volume_id": text("The volume_id can be boot or non-boot device to the server."),
                    "image": text(
                        "The ID or name of the image to create a volume from.", custom="glance.image"
                    ),
                    "image_id": text("Deprecated: use image."),
                    "snapshot_id": text("The ID of the snapshot to create a volume from."),
                    "swap_size": integer("The size of the swap, in MB."),
                    "ephemeral_size": integer("The size of the local ephemeral block device, in GB."),
                    "ephemeral_format": text("The format of the local ephemeral block device."),
                    "device_type": text("Device type.", allowed=("cdrom", "disk")),
                    "disk_bus": text("Bus of the device."),
                    "boot_index": integer("Integer used for ordering the boot disks."),
                    "volume_size": integer("Size of the block device in GB."),
                    "delete_on_termination": boolean(
                        "Indicate whether the volume should be deleted when the server is terminated."
                    ),
                }
            ),
            update=True,
        ),
        "flavor": text(
            "The ID or name of the flavor to boot onto.", required=True, custom="nova.flavor", update=True
        ),
        "flavor_update_policy": text(
            "Policy on how to apply a flavor update.",
            default="RESIZE",
            allowed=("RESIZE", "REPLACE"),
            update=True,
        ),
        "image_update_policy": text(
            "Policy on how to apply an image-id update.", default="REBUILD", allowed=_POLICY, update=True
        ),
        "key_name": text("Name of keypair to inject into the server.", custom="nova.keypair"),
        "admin_user": text("Name of the administrative user to use on the server."),
        "availability_zone": text("Name of the availability zone for server placement."),
        "security_groups": listing("List of security group names or IDs.", text(), default=[]),
        "networks": listing(
            "An ordered list of nics to be added to this server, with connected networks, fixed ips, port etc.",
            mapping(
                inner={
                    "network": text("Name or ID of network to create a port on.", custom="neutron.network"),
                    "uuid": text("Deprecated: use network.", custom="neutron.network"),
                    "allocate_network": text(
                        "The special string values of network.", allowed=("none", "auto"), update=True
                    ),
                    "fixed_ip": text(
                        "Fixed IP address to specify for the port created on the requested network.",
                        custom="ip_addr",
                    ),
                    "port": text(
                        "ID of an existing port to associate with this server.", custom="neutron.port"
                    ),
                    "port_extra_properties": mapping("Dict, which has expand properties for port."),
                    "subnet": text("Subnet in which to allocate the IP address for port."),
                    "floating_ip": text("ID of the floating IP to associate."),
                    "tag": text("Port tag."),
                }
            ),
            update=True,
        ),
        "scheduler_hints": mapping(
            "Arbitrary key-value pairs specified by the client to help boot a server."
        ),
        "metadata": mapping("Arbitrary key/value metadata to store for this server.", update=True),
        "user_data_format": text(
            "How the user_data should be formatted for the server.",
            default=HEAT_CFNTOOLS,
            allowed=(HEAT_CFNTOOLS, RAW, SOFTWARE_CONFIG),
        ),
        "user_data_update_policy": text(
            "Policy on how to apply a user_data update.",
            default="REPLACE",
            allowed=("REPLACE", "IGNORE"),
            update=True,
        ),
        "software_config_transport": text(
            "How the server should receive the metadata required for software configuration.",
            default=POLL_CFN,
            allowed=TRANSPORTS,
            update=True,
        ),
        "config_drive": boolean("If True, enable config drive on the server."),
        "disk_config": text(
            "Control how the disk is partitioned when the server is created.", allowed=("AUTO", "MANUAL")
        ),
        "reservation_id": text("A UUID for the set of servers being requested."),
        "personality": mapping("A map of files to create/overwrite on the server upon boot.", default={}),
        "admin_pass": text("The administrator password for the server.", update=True, hidden=True),
        "user_data": text("User data script to be executed by cloud-init.", default="", update=True),
        "tags": listing("Server tags.", text(), update=True),
        "deployment_swift_data": mapping(
            "Swift container and object to use for storing deployment data.", update=True
        ),
    }
    attributes = {
        "name": Attribute("Name of the server."),
        "addresses": Attribute(
            "A dict of all network addresses with corresponding port_id and subnets.", MAP
        ),
        "networks": Attribute(
            'A dict of assigned network addresses of the form: {"public": [ip1, ip2...]}.', MAP
        ),
        "first_address": Attribute("Convenience attribute to fetch the first assigned network address."),
        "instance_name": Attribute("AWS compatible instance name."),
        "accessIPv4": Attribute("The manually assigned alternative public IPv4 address of the server."),
        "accessIPv6": Attribute("The manually assigned alternative public IPv6 address of the server."),
        "console_urls": Attribute("URLs of server's consoles.", MAP),
        "tags": Attribute("Tags from the server.", LIST),
        "os_collect_config": Attribute(
            "The os-collect-config configuration for the server's local agent.", MAP
        ),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return subnets_of(plan, plan.needed_by(definition, "networks"))

    async def check(self, properties: Mapping[str, Any]) -> None:
        if (
            not properties["image"]
            and not properties["block_device_mapping"]
            and not properties["block_device_mapping_v2"]
        ):
            raise StackValidationFailed("Neither image nor bootable volume is specified for instance")
        if properties["user_data_format"] == SOFTWARE_CONFIG:
            check_transport(properties["software_config_transport"])
        for one in properties["networks"] or ():
            if not any(one[name] for name in ("network", "uuid", "port", "subnet", "allocate_network")):
                raise StackValidationFailed(
                    'One of the properties "network", "port", "allocate_network" or "subnet" should be set'
                    " for the specified network of server."
                )

    # Making

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        if values["user_data_format"] == SOFTWARE_CONFIG:
            await ensure_collecting(thing, ("ec2",))
        body: dict[str, Any] = {
            "name": thing.named,
            "imageRef": await id_of(thing, "image", values["image"]) or "",
            "flavorRef": await id_of(thing, "flavor", values["flavor"]),
            "key_name": values["key_name"],
            "availability_zone": values["availability_zone"],
            "config_drive": values["config_drive"],
            "adminPass": values["admin_pass"],
            "user_data": await encoded_user_data(
                thing, values["user_data"], values["user_data_format"], collecting(thing)
            ),
            "networks": await networks_body(thing),
            "tags": values["tags"],
            "OS-DCF:diskConfig": values["disk_config"],
        }
        if values["metadata"]:
            body["metadata"] = _texts(values["metadata"])
        if values["security_groups"]:
            body["security_groups"] = [{"name": one} for one in values["security_groups"]]
        if values["block_device_mapping_v2"]:
            body["block_device_mapping_v2"] = await _devices(thing, values["block_device_mapping_v2"])
        hints = {key: value for key, value in (values["scheduler_hints"] or {}).items() if value is not None}
        made = await thing.client("compute").create_server(hints or None, **without_none(body))
        return str(made["id"])

    async def take_over(self, thing: Thing, replaced_id: str) -> None:
        await take_over_ports(thing, replaced_id)

    async def give_back(self, thing: Thing, takers: Collection[str]) -> bool:
        return await give_back_ports(thing, takers)

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("compute").list_servers(name=f"^{_escaped(thing.named)}$")
        return await thing.find_unclaimed([one for one in found if one["name"] == thing.named])

    async def is_created(self, thing: Thing) -> bool:
        return _is_active(await thing.client("compute").get_server(thing.physical_id))

    # Changing

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        values, compute = thing.properties, thing.client("compute")
        if "user_data" in changed and values["user_data_update_policy"] == "REPLACE":
            raise Replace
        if "flavor" in changed and values["flavor_update_policy"] == "REPLACE":
            raise Replace
        if "image" in changed and values["image_update_policy"] == "REPLACE":
            raise Replace
        if "block_device_mapping_v2" in changed:
            raise Replace
        if "name" in changed:
            await compute.update_server(thing.physical_id, name=thing.named)
        if "software_config_transport" in changed and values["user_data_format"] == SOFTWARE_CONFIG:
            await ensure_collecting(thing, ("ec2",))
        if "metadata" in changed:
            await compute.set_metadata(thing.physical_id, _texts(values["metadata"] or {}))
        if "tags" in changed:
            await compute.set_tags(thing.physical_id, values["tags"] or [])
        if "networks" in changed:
            await change_networks(thing)
        if "flavor" in changed:
            flavor = await id_of(thing, "flavor", values["flavor"])
            await _act_or_replace(thing, "resize", {"flavorRef": flavor})
        if "image" in changed:
            image = await id_of(thing, "image", values["image"])
            await _act_or_replace(thing, "rebuild", {"imageRef": image})
        if changed.get("admin_pass"):
            await compute.act(thing.physical_id, "changePassword", {"adminPass": changed["admin_pass"]})

    async def is_updated(self, thing: Thing) -> bool:
        compute = thing.client("compute")
        server = await compute.get_server(thing.physical_id)
        if server["status"] == "VERIFY_RESIZE":
            await compute.act(thing.physical_id, "confirmResize")
            return False
        ready = server["status"] in ("SHUTOFF", "PAUSED", "SUSPENDED") or _is_active(server)
        return ready and await are_ports_gone(thing)

    # Deleting

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("compute").delete_server(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        if not await is_server_gone(thing):
            return False
        await delete_ports(thing)
        await forget_collecting(thing)
        return True

    # Looking

    async def check_health(self, thing: Thing) -> None:
        server = await thing.client("compute").get_server(thing.physical_id)
        if server["status"] not in ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"):
            _is_active(server)
            raise ResourceFailure(f"The server is {server['status']}.", "ResourceUnknownStatus")

    async def suspend(self, thing: Thing) -> None:
        await thing.client("compute").act(thing.physical_id, "suspend")

    async def is_suspended(self, thing: Thing) -> bool:
        server = await thing.client("compute").get_server(thing.physical_id)
        return server["status"] == "SUSPENDED" or (server["status"] == "ERROR" and _is_active(server))

    async def resume(self, thing: Thing) -> None:
        await thing.client("compute").act(thing.physical_id, "resume")

    async def is_resumed(self, thing: Thing) -> bool:
        return _is_active(await thing.client("compute").get_server(thing.physical_id))

    async def metadata(self, thing: Thing) -> dict[str, Any]:
        return await collected(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("compute").get_server(thing.physical_id))

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name == "os_collect_config":
            return follow(collecting(thing), path)
        server = await thing.shown()
        if name in ("show", "name", "accessIPv4", "accessIPv6", "tags"):
            return follow(server if name == "show" else server.get(name), path)
        if name == "instance_name":
            return server.get("OS-EXT-SRV-ATTR:instance_name")
        if name == "first_address":
            return next((one["addr"] for found in server["addresses"].values() for one in found), "")
        if name == "networks":
            shown = await shown_addresses(thing, server)
            plain = {key: [one["addr"] for one in found] for key, found in shown.items()}
            return follow(plain, path)
        if name == "addresses":
            return follow(await shown_addresses(thing, server), path)
        if name == "console_urls":
            return await _console_urls(thing, path)
        return None


async def is_server_gone(thing: Thing) -> bool:
    """Whether a server that is being deleted is; one that failed to be is asked to go again."""
    compute = thing.client("compute")
    try:
        server = await compute.get_server(thing.physical_id)
    except RoomError as error:
        if not is_gone(error):
            raise
        return True
    if server["status"] in ("DELETED", "SOFT_DELETED"):
        return True
    if server["status"] == "ERROR" and server.get("OS-EXT-STS:task_state") is None:
        await unless_gone(compute.delete_server(thing.physical_id))
    return False


def _is_active(server: Mapping[str, Any]) -> bool:
    """Raises `ResourceFailure` when it never will be, with the fault that compute tells."""
    status = server["status"]
    if status == "ACTIVE":
        return True
    if status == "ERROR":
        fault = server.get("fault") or {}
        reason = f"Message: {fault.get('message', 'Unknown')}, Code: {fault.get('code', 'Unknown')}"
        raise ResourceFailure(f'Went to status ERROR due to "{reason}"', "ResourceInError")
    if status in _WORKING:
        return False
    raise ResourceFailure(f"Server is not active - Unknown status {status}", "ResourceUnknownStatus")


async def _act_or_replace(thing: Thing, action: str, argument: Mapping[str, Any]) -> None:
    """A compute room that cannot do it in place has the server made anew."""
    try:
        await thing.client("compute").act(thing.physical_id, action, argument)
    except RoomError as error:
        if error.status in (400, 404, 501):
            raise Replace from None
        raise


async def _devices(thing: Thing, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Block devices as compute takes them."""
    devices = []
    for one in wanted:
        image = await id_of(thing, "image", one["image"] or one["image_id"])
        source, uuid, target = "blank", None, "local"
        for kind, value in (("volume", one["volume_id"]), ("snapshot", one["snapshot_id"]), ("image", image)):
            if value:
                source, uuid, target = kind, value, "volume"
        size = one["volume_size"] or one["ephemeral_size"] or one["swap_size"]
        device = {
            "source_type": source,
            "destination_type": target,
            "uuid": uuid,
            "boot_index": one["boot_index"]
            if one["boot_index"] is not None
            else (0 if source != "blank" else -1),
            "volume_size": size,
            "device_name": one["device_name"],
            "device_type": one["device_type"],
            "disk_bus": one["disk_bus"],
            "guest_format": "swap" if one["swap_size"] else one["ephemeral_format"],
            "delete_on_termination": one["delete_on_termination"],
        }
        devices.append(without_none(device))
    return devices


async def _console_urls(thing: Thing, path: Sequence[str | int]) -> Any:
    """`{"novnc": url, …}`; a console that the hypervisor has not is left out."""
    asked = [str(path[0])] if path else list(_CONSOLES)
    urls = {}
    for one in asked:
        if one in _CONSOLES:
            protocol, kind = _CONSOLES[one]
            try:
                urls[one] = (await thing.client("compute").get_console(thing.physical_id, protocol, kind))[
                    "url"
                ]
            except RoomError as error:
                if error.status >= 500:
                    raise
    return follow(urls, path)


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as compute takes it: strings."""
    return {key: value if isinstance(value, str) else _text(value) for key, value in metadata.items()}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


def _escaped(name: str) -> str:
    return re.escape(name)
