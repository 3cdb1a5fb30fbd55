"""Versions, builds and engines. https://docs.openstack.org/api-ref/orchestration/v1/#api-versions"""

from typing import Any

import aerostat
from aerostat.kernel import clock
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import admin
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .scope import READER, own_project


class About(Resource):
    below_bases = False

    @route("GET", "/", public=True)
    async def versions(self, req: Request) -> Response:
        return Response({"versions": [_version(req)]}, 300)

    @route("GET", "/v1", public=True)
    async def version(self, req: Request) -> Response:
        return Response({"versions": [_version(req)]}, 300)

    @route("GET", "/v1/{project_id}/build_info", policy="build_info:build_info", default=READER)
    async def build_info(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        revision = {"revision": aerostat.__version__}
        return {"api": revision, "engine": revision}

    @route("GET", "/v1/{project_id}/services", policy="service:index", default=admin)
    async def services(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        now = iso_micro(clock.now())
        engine = {
            "id": "00000000-0000-4000-8000-000000000001",
            "engine_id": "00000000-0000-4000-8000-000000000002",
            "binary": "heat-engine",
            "hostname": req.house.config.kernel.host_name or "localhost",
            "host": "engine",
            "topic": "engine",
            "report_interval": 60,
            "status": "up",
            "created_at": now,
            "updated_at": now,
            "deleted_at": None,
        }
        return {"services": [engine]}


def _version(req: Request) -> dict[str, Any]:
    href = f"{req.base_url}{req.service.prefix}/v1/"
    return {"id": "v1.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}
