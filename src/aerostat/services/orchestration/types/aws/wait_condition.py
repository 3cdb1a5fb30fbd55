"""AWS::CloudFormation::WaitCondition and its handle: the same as OS::Heat's, in CloudFormation's words.

https://docs.openstack.org/heat/latest/template_guide/cfn.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import BadBody
from ...signals import add_signal, new_token, shortened, signal_url
from ...template import select
from ...thing import Thing
from ..heat.wait_condition import enough_signals, signal_data
from ..property import Attribute, integer, text
from ..resource_type import ResourceType

_KEYS = {"Data": "data", "Reason": "reason", "Status": "status", "UniqueId": "id"}


class CfnWaitConditionHandle(ResourceType):
    name = "AWS::CloudFormation::WaitConditionHandle"
    description = "The address at which a guest says that it is ready."
    outside = False

    async def create(self, thing: Thing) -> str | None:
        token = new_token(thing.row)
        thing.data["url"] = f"{signal_url(thing.house, thing.stack, thing.name)}?token={token}"
        return thing.physical_name

    def reference(self, thing: Thing) -> Any:
        return thing.data.get("url")

    async def signal(self, thing: Thing, details: Any) -> str:
        if not isinstance(details, dict) or set(details) != set(_KEYS):
            raise BadBody("A signal is an object of Data, Reason, Status and UniqueId.")
        status = str(details["Status"])
        if status not in ("SUCCESS", "FAILURE"):
            raise BadBody("The Status of a signal is SUCCESS or FAILURE.")
        reason = str(details["Reason"])
        async with thing.db.transaction() as tx:
            await add_signal(
                thing.house,
                tx,
                thing.row,
                key=str(details["UniqueId"])[:255],
                status=status,
                reason=reason,
                data=details["Data"],
            )
        return f"status:{status} reason:{shortened(reason)}"


class CfnWaitCondition(ResourceType):
    name = "AWS::CloudFormation::WaitCondition"
    description = "Ready when enough signals came to its handle."
    outside = False
    longest_wait_s = 5.0
    properties = {
        "Handle": text(
            "A reference to the wait condition handle used to signal this wait condition.", required=True
        ),
        "Timeout": integer(
            "The number of seconds to wait for the correct number of signals to arrive.",
            required=True,
            between=(1, 43200),
        ),
        "Count": integer(
            "The number of success signals that must be received.", default=1, between=(1, None), update=True
        ),
    }
    attributes = {"Data": Attribute("JSON string containing data associated with wait condition signals.")}

    async def is_created(self, thing: Thing) -> bool:
        return await enough_signals(thing, thing.properties["Count"], thing.properties["Timeout"])

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """Another count: it is waited for anew."""

    async def is_updated(self, thing: Thing) -> bool:
        return await self.is_created(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(await signal_data(thing), path) if name == "Data" else None
