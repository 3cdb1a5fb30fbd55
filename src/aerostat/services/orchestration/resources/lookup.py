"""Parts of stacks named by the stack's name or id alone: sent to the full path, as the stack itself is."""

from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .scope import redirect


def _sent_on(method: str, part: str) -> Any:
    @route(method, f"/v1/{{project_id}}/stacks/{{identity}}/{part}", policy="stacks:lookup")
    async def find(self: "Lookup", req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, part)

    return find


class Lookup(Resource):
    below_bases = False

    find_template = _sent_on("GET", "template")
    find_environment = _sent_on("GET", "environment")
    find_files = _sent_on("GET", "files")
    find_outputs = _sent_on("GET", "outputs")
    find_resources = _sent_on("GET", "resources")
    find_events = _sent_on("GET", "events")
    find_actions = _sent_on("POST", "actions")
