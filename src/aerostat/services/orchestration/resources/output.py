"""Outputs of stacks. https://docs.openstack.org/api-ref/orchestration/v1/#stack-outputs"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..errors import OutputNotFound
from ..plans import load_plan
from ..reading import open_stack
from .scope import READER, find_stack
from .views import output_view

_ONE = "/v1/{project_id}/stacks/{stack_name}/{stack_id}/outputs"


class Output(Resource):
    below_bases = False

    @route("GET", _ONE, policy="stacks:list_outputs", default=READER)
    async def list(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> dict[str, Any]:
        row = await find_stack(req, project_id, stack_name, stack_id)
        plan = await load_plan(req.house, row)
        return {
            "outputs": [
                {"output_key": name, "description": one.description}
                for name, one in plan.template.outputs.items()
            ]
        }

    @route("GET", _ONE + "/{output_key}", policy="stacks:show_output", default=READER)
    async def show(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, output_key: str
    ) -> dict[str, Any]:
        row = await find_stack(req, project_id, stack_name, stack_id)
        opened = await open_stack(req.house, req.context, row)
        if output_key not in opened.plan.template.outputs:
            raise OutputNotFound(key=output_key)
        return {"output": await output_view(opened, output_key)}
