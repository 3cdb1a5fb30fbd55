"""Parts of stacks named by the stack's name or id alone: sent to the full path, as the stack itself is."""

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .scope import redirect

_BASE = "/v1/{project_id}/stacks/{identity}"


class Lookup(Resource):
    below_bases = False

    @route("GET", _BASE + "/template", policy="stacks:lookup")
    async def find_template(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "template")

    @route("GET", _BASE + "/environment", policy="stacks:lookup")
    async def find_environment(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "environment")

    @route("GET", _BASE + "/files", policy="stacks:lookup")
    async def find_files(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "files")

    @route("GET", _BASE + "/outputs", policy="stacks:lookup")
    async def find_outputs(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "outputs")

    @route("GET", _BASE + "/resources", policy="stacks:lookup")
    async def find_resources(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "resources")

    @route("GET", _BASE + "/events", policy="stacks:lookup")
    async def find_events(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "events")

    @route("POST", _BASE + "/actions", policy="stacks:lookup")
    async def find_actions(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity, "actions")
