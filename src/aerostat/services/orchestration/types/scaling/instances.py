"""Groups of instances made from a launch configuration: what OS::Heat::InstanceGroup and AWS's group share."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ... import model
from ...errors import ResourceFailure
from ...template import Environment, select
from ...thing import Thing
from ..nested.child import of_member
from ..property import Attribute, listing, mapping, text
from .group import Rolling, ScalingGroup

MEMBER, INSTANCE = "OS::Heat::ScaledResource", "AWS::EC2::Instance"
LAUNCH_CONFIGURATION = "AWS::AutoScaling::LaunchConfiguration"

TAGS = listing(
    "Tags to attach to this group.",
    mapping(inner={"Key": text("Key.", required=True), "Value": text("Value.", required=True)}),
)
INSTANCE_LIST = {
    "InstanceList": Attribute("A comma-delimited list of server ip addresses. (Heat extension).")
}
_DURATION = re.compile(r"P?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_LONGEST_PAUSE_S = 3600


class InstanceScalingGroup(ScalingGroup):
    """Members are OS::Heat::ScaledResource, which stands for whatever the environment has for AWS::EC2::Instance."""

    attributes = INSTANCE_LIST
    policy_name: ClassVar[str] = ""  # the key of update policies that rolls

    def tags(self, thing: Thing) -> list[dict[str, str]]:
        """The group's tags, and one by which instances know their group, unless there is one of that kind."""
        tags = list(thing.properties["Tags"] or ())
        if any(one["Key"].startswith("metering.") for one in tags):
            return tags
        return [*tags, {"Key": "metering.groupname", "Value": thing.physical_name}]

    async def launched(self, thing: Thing) -> tuple[dict[str, Any], dict[str, Any]]:
        """Properties of an instance as the launch configuration has them, and its metadata."""
        wanted = thing.properties["LaunchConfigurationName"]
        rows = await thing.db.all(model.RESOURCES, {"stack_id": thing.stack.id, "physical_id": wanted})
        row = next((one for one in rows if one.kind == LAUNCH_CONFIGURATION), None)
        if row is None:
            raise ResourceFailure(
                f"LaunchConfigurationName ({wanted}) reference can not be found.", "ValueError"
            )
        values = dict(row.properties)
        if server_id := values.pop("InstanceId", None):
            values = {**(await like_server(thing, server_id)), **values}
        return values, row.metadata or {}

    async def member(self, thing: Thing) -> dict[str, Any]:
        values, metadata = await self.launched(thing)
        definition = {"type": MEMBER, "properties": {**values, "Tags": self.tags(thing)}}
        return {**definition, "metadata": metadata} if metadata else definition

    def rolling(self, thing: Thing) -> Rolling | None:
        policy = thing.policy.get(self.policy_name)
        if not policy:
            return None
        return Rolling(
            int(policy.get("MinInstancesInService", 0)),
            max(1, int(policy.get("MaxBatchSize", 1))),
            duration_s(str(policy.get("PauseTime", "PT0S"))),
        )

    def child_environment(self, thing: Thing) -> Environment:
        environment = super().child_environment(thing)
        environment.resource_registry.setdefault(MEMBER, INSTANCE)
        return environment

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name.startswith("resource."):
            return await self.of_place(thing, name, path)
        return select(await self._addresses(thing), path) if name == "InstanceList" else None

    async def _addresses(self, thing: Thing) -> str | None:
        """The members' public addresses with commas between them; None when there are none."""
        child, names = await self.whole_members(thing)
        found = [await of_member(child, one, ["PublicIp"]) for one in names]
        return ",".join(str(one) for one in found if one is not None) or None


async def like_server(thing: Thing, server_id: str) -> dict[str, Any]:
    """Properties of an instance that is made like a server that is there."""
    server: Mapping[str, Any] = await thing.client("compute").get_server(server_id)
    values = {
        "ImageId": (server.get("image") or {}).get("id"),
        "InstanceType": server["flavor"]["original_name"],
        "KeyName": server.get("key_name"),
        "SecurityGroups": sorted({one["name"] for one in server.get("security_groups") or ()}),
    }
    return {name: value for name, value in values.items() if value}


def duration_s(text: str) -> float:
    """`PT1M30S` in seconds. Raises `ResourceFailure`."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ResourceFailure(f"Invalid ISO 8601 duration: {text}", "ValueError")
    hours, minutes, seconds = (int(one or 0) for one in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > _LONGEST_PAUSE_S:
        raise ResourceFailure("Maximum PauseTime is 1 hour.", "ValueError")
    return float(total)
