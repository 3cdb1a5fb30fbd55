"""AWS::EC2::Instance: a server in CloudFormation's words. OS::Heat::ScaledResource is the same by another name.

https://docs.openstack.org/heat/latest/template_guide/cfn.html#AWS::EC2::Instance
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StackValidationFailed
from ...template import select
from ...thing import Thing
from ..nova.server import Server, is_server_gone
from ..outside import id_of, unless_gone, without_none
from ..property import Attribute, Property, boolean, listing, mapping, number, text
from ..resource_type import Replace, ResourceType
from ..user_data import HEAT_CFNTOOLS, encoded_user_data

_PAIR: Mapping[str, Property] = {"Key": text("Key.", required=True), "Value": text("Value.", required=True)}
HINTS = listing("Scheduler hints to pass to Nova (Heat extension).", mapping(inner=_PAIR))
BLOCK_DEVICES = listing(
    "Block device mappings to attach to instance.",
    mapping(
        inner={
            "DeviceName": text(
                "A device name where the volume will be attached in the system at /dev/device_name.",
                required=True,
            ),
            "Ebs": mapping(
                "The ebs volume to attach to the instance.",
                {
                    "DeleteOnTermination": boolean(
                        "Indicate whether the volume should be deleted when the instance is terminated.",
                        default=True,
                    ),
                    "Iops": number("The number of I/O operations per second that the volume supports."),
                    "SnapshotId": text(
                        "The ID of the snapshot to create a volume from.", custom="cinder.snapshot"
                    ),
                    "VolumeSize": text("The size of the volume, in GB."),
                    "VolumeType": text("The volume type."),
                },
            ),
            "NoDevice": mapping("The can be used to unmap a defined device."),
            "VirtualName": text("The name of the virtual device."),
        }
    ),
)
_ADDRESS = ("PrivateDnsName", "PublicDnsName", "PrivateIp", "PublicIp")
_server = Server()


class Instance(ResourceType):
    name = "AWS::EC2::Instance"
    description = "A server in CloudFormation's words."
    room = "compute"
    physical_name_length = 53
    longest_wait_s = Server.longest_wait_s
    properties = {
        "ImageId": text("Glance image ID or name.", required=True, custom="glance.image"),
        "InstanceType": text(
            "Nova instance type (flavor).", required=True, update=True, custom="nova.flavor"
        ),
        "KeyName": text("Optional Nova keypair name.", custom="nova.keypair"),
        "AvailabilityZone": text("Availability zone to launch the instance in."),
        "DisableApiTermination": text("Not Implemented."),
        "KernelId": text("Not Implemented."),
        "Monitoring": boolean("Not Implemented."),
        "PlacementGroupName": text("Not Implemented."),
        "PrivateIpAddress": text("Not Implemented."),
        "RamDiskId": text("Not Implemented."),
        "SecurityGroups": listing("Security group names to assign."),
        "SecurityGroupIds": listing("Security group IDs to assign."),
        "NetworkInterfaces": listing("Network interfaces to associate with instance.", update=True),
        "SourceDestCheck": boolean("Not Implemented."),
        "SubnetId": text("Subnet ID to launch instance in.", update=True),
        "Tags": listing("Tags to attach to instance.", mapping(inner=_PAIR), update=True),
        "NovaSchedulerHints": HINTS,
        "Tenancy": text("Not Implemented.", allowed=("dedicated", "default")),
        "UserData": text("User data to pass to instance."),
        "Volumes": listing(
            "Volumes to attach to instance.",
            mapping(
                inner={
                    "Device": text("The device where the volume is exposed on the instance.", required=True),
                    "VolumeId": text(
                        "The ID of the volume to be attached.", required=True, custom="cinder.volume"
                    ),
                }
            ),
            default=[],
        ),
        "BlockDeviceMappings": BLOCK_DEVICES,
    }
    attributes = {
        "AvailabilityZone": Attribute("The Availability Zone where the specified instance is launched."),
        "PrivateDnsName": Attribute("Private DNS name of the specified instance."),
        "PublicDnsName": Attribute("Public DNS name of the specified instance."),
        "PrivateIp": Attribute("Private IP address of the specified instance."),
        "PublicIp": Attribute("Public IP address of the specified instance."),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        for name in ("Volumes", "BlockDeviceMappings"):
            if properties[name]:
                raise StackValidationFailed(f"{name} is not supported: there is no volume service.")

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        groups = [*(values["SecurityGroups"] or ()), *(values["SecurityGroupIds"] or ())]
        body: dict[str, Any] = {
            "name": thing.physical_name,
            "imageRef": await id_of(thing, "image", values["ImageId"]),
            "flavorRef": await id_of(thing, "flavor", values["InstanceType"]),
            "key_name": values["KeyName"],
            "availability_zone": values["AvailabilityZone"],
            "user_data": await encoded_user_data(thing, values["UserData"], HEAT_CFNTOOLS),
            "networks": await _networks(thing, groups),
            "metadata": _tags(values["Tags"]) or None,
        }
        if groups:
            body["security_groups"] = [{"name": one} for one in groups]
        hints = {one["Key"]: one["Value"] for one in values["NovaSchedulerHints"] or ()}
        made = await thing.client("compute").create_server(hints or None, **without_none(body))
        return str(made["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await _server.find_made(thing)

    async def is_created(self, thing: Thing) -> bool:
        return await _server.is_created(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if set(changed) & {"NetworkInterfaces", "SubnetId"}:
            raise Replace
        compute = thing.client("compute")
        if "Tags" in changed:
            await compute.set_metadata(thing.physical_id, _tags(changed["Tags"]))
        if "InstanceType" in changed:
            flavor = await id_of(thing, "flavor", changed["InstanceType"])
            await compute.act(thing.physical_id, "resize", {"flavorRef": flavor})

    async def is_updated(self, thing: Thing) -> bool:
        return await _server.is_updated(thing)

    async def delete(self, thing: Thing) -> None:
        await _server.delete(thing)

    async def is_deleted(self, thing: Thing) -> bool:
        if not await is_server_gone(thing):
            return False
        if port_id := thing.data.get("port_id"):
            await unless_gone(thing.client("network").delete_port(port_id))
        return True

    async def check_health(self, thing: Thing) -> None:
        await _server.check_health(thing)

    async def suspend(self, thing: Thing) -> None:
        await _server.suspend(thing)

    async def is_suspended(self, thing: Thing) -> bool:
        return await _server.is_suspended(thing)

    async def resume(self, thing: Thing) -> None:
        await _server.resume(thing)

    async def is_resumed(self, thing: Thing) -> bool:
        return await _server.is_resumed(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return await _server.show(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        server = await thing.shown()
        if name == "show":
            return select(server, path)
        if name == "AvailabilityZone":
            return server.get("OS-EXT-AZ:availability_zone")
        if name not in _ADDRESS:
            return None
        return next((one["addr"] for found in server["addresses"].values() for one in found), "0.0.0.0")


async def _networks(thing: Thing, groups: list[str]) -> Any:
    """Interfaces that are there, a port in the subnet, or whatever compute finds."""
    values = thing.properties
    if values["NetworkInterfaces"]:
        found = [
            one if isinstance(one, dict) else {"NetworkInterfaceId": one, "DeviceIndex": place}
            for place, one in enumerate(values["NetworkInterfaces"])
        ]
        return [
            {"port": one["NetworkInterfaceId"]}
            for one in sorted(found, key=lambda one: int(one["DeviceIndex"]))
        ]
    if not values["SubnetId"]:
        return "auto"
    network = thing.client("network")
    subnet = await network.get_subnet(await id_of(thing, "subnet", values["SubnetId"]))
    name = f"{thing.physical_name}-port"
    ports = await network.list_ports(name=name, network_id=subnet["network_id"])
    if not ports:
        body: dict[str, Any] = {
            "network_id": subnet["network_id"],
            "fixed_ips": [{"subnet_id": subnet["id"]}],
        }
        if groups:
            body["security_groups"] = [await id_of(thing, "security_group", one) for one in groups]
        ports = [await network.create_port(name=name, **body)]
    thing.data["port_id"] = ports[0]["id"]
    await thing.keep()
    return [{"port": ports[0]["id"]}]


def _tags(tags: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in tags or ()}
