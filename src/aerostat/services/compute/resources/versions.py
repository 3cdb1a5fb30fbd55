"""Where the versions of the compute API are announced. https://docs.openstack.org/api-ref/compute/#api-versions"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route


class VersionDocuments(Resource):
    """The roots of the room, for discovery."""

    below_bases = False

    @route("GET", "/", public=True)
    async def all(self, req: Request) -> Response:
        return Response({"versions": [_oldest(req), _newest(req, media_types=False)]})

    @route("GET", "/v2", public=True)
    async def oldest(self, req: Request) -> Response:
        return Response({"version": _oldest(req)})

    @route("GET", "/v2.1", public=True)
    async def one(self, req: Request) -> Response:
        return Response({"version": _newest(req, media_types=True)})

    @route("GET", "/v2.1/versions/{id}", public=True)
    async def named(self, req: Request, id: str) -> Response:
        if id != "v2.1":
            raise NotFound
        return Response({"version": _newest(req, media_types=True)})


def _newest(req: Request, *, media_types: bool) -> dict[str, Any]:
    versions = req.service.versions
    document: dict[str, Any] = {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(versions.maximum),
        "min_version": str(versions.minimum),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": _links(req, "/v2.1/")}],
    }
    if media_types:
        document["links"].append(
            {
                "rel": "describedby",
                "type": "text/html",
                "href": "http://docs.openstack.org/",
            }
        )
        document["media-types"] = [
            {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
        ]
    return document


def _oldest(req: Request) -> dict[str, Any]:
    """Version 2.0: the same resources as 2.1 without microversions, for clients that still look for it."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": _links(req, "/v2/")}],
    }


def _links(req: Request, path: str) -> str:
    return f"{req.base_url}{req.service.prefix}{path}"
