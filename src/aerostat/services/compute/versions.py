"""Microversions of the compute API, and the documents in which they are announced.

Wire: https://docs.openstack.org/api-ref/compute/#api-versions and upstream's list of changes,
https://docs.openstack.org/nova/latest/reference/api-microversion-history.html
"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

CHANGES = [
    ("2.2", "key pairs have a type; create answers 201, delete 204"),
    ("2.3", "administrators see host name, root device, user data … of a server"),
    ("2.4", "fixed IPs show whether they are reserved"),
    ("2.5", "servers may be filtered by ip6 by everybody"),
    ("2.6", "one call for every kind of console"),
    ("2.7", "flavor access cannot be given on public flavors"),
    ("2.8", "consoles of type mks"),
    ("2.9", "servers show whether they are locked"),
    ("2.10", "administrators act on key pairs of other users"),
    ("2.11", "services show and take forced_down"),
    ("2.12", "virtual interfaces show the network"),
    ("2.13", "server groups show project and user"),
    ("2.14", "evacuate takes no onSharedStorage"),
    ("2.15", "soft policies of server groups"),
    ("2.16", "servers show the status of their host"),
    ("2.17", "crash dumps can be triggered"),
    ("2.18", "the project in the path is optional"),
    ("2.19", "servers have a description"),
    ("2.20", "volumes of shelved servers"),
    ("2.21", "actions of deleted servers are shown"),
    ("2.22", "live migrations can be forced to complete"),
    ("2.23", "live migrations of a server are listed"),
    ("2.24", "live migrations can be aborted"),
    ("2.25", "block_migration may be auto"),
    ("2.26", "servers have tags"),
    ("2.27", "OpenStack-API-Version is accepted"),
    ("2.28", "cpu_info of hypervisors is an object"),
    ("2.29", "evacuate checks the asked host"),
    ("2.30", "live migration checks the asked host"),
    ("2.31", "console tokens of every kind can be looked up"),
    ("2.32", "network interfaces and disks of a new server may be tagged"),
    ("2.33", "hypervisors are listed in pages"),
    ("2.34", "live migration checks after its answer"),
    ("2.35", "key pairs are listed in pages"),
    ("2.36", "calls that only forwarded to other services are gone"),
    ("2.37", "networks may be auto or none, and must be given"),
    ("2.38", "an unknown status in a filter is refused"),
    ("2.39", "image metadata are gone"),
    ("2.40", "usage is listed in pages"),
    ("2.41", "aggregates have a uuid"),
    ("2.42", "tags of interfaces and disks are back"),
    ("2.43", "os-hosts is gone"),
    ("2.44", "actions on fixed and floating IPs are gone"),
    ("2.45", "createImage answers the image's id in the body"),
    ("2.46", "X-OpenStack-Request-ID"),
    ("2.47", "servers show their flavor as it was"),
    ("2.48", "diagnostics in one form"),
    ("2.49", "attached interfaces and volumes may be tagged"),
    ("2.50", "quota classes show server groups"),
    ("2.51", "owners see the events of an action"),
    ("2.52", "tags may be given to a new server"),
    ("2.53", "services and hypervisors are known by uuid"),
    ("2.54", "rebuild takes a new key pair"),
    ("2.55", "flavors have a description"),
    ("2.56", "migrate takes a host"),
    ("2.57", "personality is gone; rebuild takes user data"),
    ("2.58", "actions are listed in pages"),
    ("2.59", "migrations are listed in pages"),
    ("2.60", "volumes attached to several servers"),
    ("2.61", "flavors show their extra specs"),
    ("2.62", "events of actions show the host"),
    ("2.63", "trusted image certificates"),
    ("2.64", "server groups have one policy with rules"),
    ("2.65", "queued live migrations can be aborted"),
    ("2.66", "changes-before"),
    ("2.67", "volume type in block device mappings"),
    ("2.68", "migrations are no longer forced"),
    ("2.69", "answers for cells that are down"),
    ("2.70", "attached interfaces and volumes show their tag"),
    ("2.71", "servers show their server groups"),
    ("2.72", "ports with bandwidth requests"),
    ("2.73", "locks have a reason"),
    ("2.74", "a new server may ask for a host"),
    ("2.75", "unknown arguments are refused; servers look the same everywhere"),
    ("2.76", "power-update events"),
    ("2.77", "unshelve takes a zone"),
    ("2.78", "NUMA topology of servers"),
    ("2.79", "delete_on_termination of attached volumes"),
    ("2.80", "migrations show user and project"),
    ("2.81", "images can be fetched in advance by an aggregate's hosts"),
    ("2.82", "accelerator events"),
    ("2.83", "everybody may filter servers by more"),
    ("2.84", "events of actions show details"),
    ("2.85", "delete_on_termination of an attachment can be changed"),
    ("2.86", "known extra specs of flavors are checked"),
    ("2.87", "rescue of servers on volumes"),
    ("2.88", "hypervisors show no statistics any more"),
    ("2.89", "attachments of volumes show other ids"),
    ("2.90", "host names can be chosen, and are shown to everybody"),
    ("2.91", "unshelve takes a host"),
    ("2.92", "key pairs are no longer generated; names may hold @ and ."),
    ("2.93", "rebuild of servers on volumes"),
    ("2.94", "host names may be fully qualified"),
    ("2.95", "evacuated servers stay stopped"),
    ("2.96", "servers show the zone they are pinned to"),
]


def _links(req: Request, path: str) -> str:
    return f"{req.base_url}{req.service.prefix}{path}"


def version_document(req: Request, *, media_types: bool) -> dict[str, Any]:
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


def oldest_document(req: Request) -> dict[str, Any]:
    """Version 2.0: the same resources as 2.1 without microversions, for clients that still look for it."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": _links(req, "/v2/")}],
    }


class VersionDocuments(Resource):
    """The roots of the room, for discovery."""

    below_bases = False

    @route("GET", "/", public=True)
    async def all(self, req: Request) -> Response:
        return Response({"versions": [oldest_document(req), version_document(req, media_types=False)]})

    @route("GET", "/v2", public=True)
    async def oldest(self, req: Request) -> Response:
        return Response({"version": oldest_document(req)})

    @route("GET", "/v2.1", public=True)
    async def one(self, req: Request) -> Response:
        return Response({"version": version_document(req, media_types=True)})

    @route("GET", "/v2.1/versions/{id}", public=True)
    async def named(self, req: Request, id: str) -> Response:
        if id != "v2.1":
            raise NotFound
        return Response({"version": version_document(req, media_types=True)})
