"""OS::Heat::UpdateWaitConditionHandle: a handle that is another one after each update of the stack.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::UpdateWaitConditionHandle
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..aws.wait_condition import CfnWaitConditionHandle
from ..resource_type import Replace


class UpdateWaitConditionHandle(CfnWaitConditionHandle):
    name = "OS::Heat::UpdateWaitConditionHandle"
    description = "WaitConditionHandle that clears signals and changes handle on update."
    always_updates = True

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """Whoever waits for it waits anew."""
        raise Replace
