"""Rebuild and resize: a fresh disk, or another flavor.

Wire: https://docs.openstack.org/api-ref/compute/#rebuild-server-rebuild-action and #resize-server-resize-action
"""

import secrets
from functools import cache
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.versions import Version
from aerostat.kernel.resource import action

from .... import imaging, model
from ....flows.rebuild_server import rebuild_server
from ....flows.resize_server import confirm_resize, resize_server, revert_resize
from ....quotas import QUOTAS
from ...arguments import at_least, read_address
from ...flavor import snapshot as flavor_snapshot
from ...keypair import snapshot as keypair_snapshot
from ...schemas import (
    BASE64,
    BOOLEAN,
    DESCRIPTION,
    DISK_CONFIG,
    FLAVOR_REF,
    IPV4,
    IPV6,
    METADATA,
    NAME,
    NAME_OR_NONE,
    PASSWORD,
    UUID,
    closed,
)
from ...terms import MEMBER
from ..create import (
    PASSWORD_LETTERS,
    PERSONALITY,
    check_encoded,
    check_metadata_limit,
    hostname_of,
    named_flavor,
)
from ..lookup import begin, check_has_host, find_server

_ANYTHING: dict[str, Any] = {}


@cache
def _schema(version: Version, wording: str) -> BodySchema:
    body: dict[str, Any] = {
        "name": NAME,
        "imageRef": UUID,
        "adminPass": PASSWORD,
        "metadata": METADATA,
        "preserve_ephemeral": BOOLEAN,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IPV4,
        "accessIPv6": IPV6,
    }
    if version < (2, 57):
        body["personality"] = PERSONALITY
    else:
        body["user_data"] = {"oneOf": [BASE64, {"type": "null"}]}
    if version >= (2, 19):
        body["description"] = DESCRIPTION
    if version >= (2, 54):
        body["key_name"] = NAME_OR_NONE
    if version >= (2, 63):
        body["trusted_image_certificates"] = {"type": ["array", "null"]}
    if version >= (2, 90):
        body["hostname"] = {
            "type": "string",
            "minLength": 2,
            "maxLength": 63,
            "pattern": r"^[a-zA-Z0-9-._]*$",
        }
    return BodySchema(closed(body, "imageRef"), wording)


@action("rebuild", policy="os_compute_api:servers:rebuild", default=MEMBER, body=_ANYTHING)
async def rebuild(req: Request, server: Row, body: Any) -> Response:
    _schema(req.version, req.service.invalid).check(body)
    check_has_host(server)
    if body.get("trusted_image_certificates"):
        raise BadRequest("Image certificates cannot be verified in this cloud.")
    image = await imaging.get_image(req.house, req.context, body["imageRef"])
    imaging.check_fits(image, _sizes(server.flavor))
    changes: dict[str, Any] = {
        "image_id": image["id"],
        "image_properties": imaging.properties_of(image),
    }
    for wire, column in (("name", "name"), ("description", "description"), ("metadata", "metadata"),
                         ("accessIPv4", "access_ipv4"), ("accessIPv6", "access_ipv6"),
                         ("OS-DCF:diskConfig", "disk_config"), ("user_data", "user_data"),
                         ("hostname", "hostname"), ("personality", "personality")):  # fmt: skip
        if wire in body:
            changes[column] = body[wire]
    for file in body.get("personality", ()):
        check_encoded(file)
    for column in ("access_ipv4", "access_ipv6"):
        if column in changes:
            changes[column] = read_address(changes[column])
    if "name" in body and "hostname" not in body:
        changes["hostname"] = hostname_of(body["name"], server.id)
    if "metadata" in body:
        check_metadata_limit(await QUOTAS.limits(req.db, server.project_id), len(body["metadata"]))
    if "key_name" in body:
        changes |= await _new_key(req, server, body["key_name"])
    password = body.get("adminPass") or "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))
    data = {"admin_password": password} if server.config_drive else {}
    await begin(req, server, "rebuild", rebuild_server, what="rebuild", data=data, **changes)
    return await _rebuilt(req, server, password)


async def _rebuilt(req: Request, server: Row, password: str) -> Response:
    """The whole server, with the password, and from 2.57 on with the user data."""
    req.state["after_change"] = True
    row = await find_server(req, server.id)
    shown = await req.service.resources["Server"].render(req, row)
    shown["server"]["adminPass"] = password
    if at_least(req, 57):
        shown["server"]["user_data"] = row.user_data
        shown["server"].pop("OS-EXT-SRV-ATTR:user_data", None)
    if at_least(req, 54) and not at_least(req, 75):
        shown["server"]["key_name"] = row.key_name
    location = f"{req.base_url}{req.service.prefix}/v2.1/servers/{server.id}"
    return Response(shown, 202, headers={"Location": location})


async def _new_key(req: Request, server: Row, name: str | None) -> dict[str, Any]:
    if name is None:
        return {"key_name": None, "key": None}
    keypair = await req.db.find(model.KEYPAIRS, user_id=server.user_id, name=name)
    if keypair is None:
        raise BadRequest("Invalid key_name provided.")
    return {"key_name": name, "key": keypair_snapshot(keypair)}


@action(
    "resize",
    policy="os_compute_api:servers:resize",
    default=MEMBER,
    body=closed({"flavorRef": FLAVOR_REF, "OS-DCF:diskConfig": DISK_CONFIG}, "flavorRef"),
)
async def resize(req: Request, server: Row, body: dict[str, Any]) -> None:
    check_has_host(server)
    flavor = flavor_snapshot(await named_flavor(req, body["flavorRef"]))
    if flavor["id"] == server.flavor_id:
        raise BadRequest("When resizing, instances must change flavor!")
    if flavor["disk_gib"] < server.flavor["disk_gib"]:
        raise BadRequest("Resize error: Unable to resize disk down.")
    asked = {
        "cores": max(0, flavor["vcpus"] - server.flavor["vcpus"]),
        "ram": max(0, flavor["memory_mib"] - server.flavor["memory_mib"]),
    }
    async with req.db.transaction() as tx:
        await QUOTAS.check(tx, server.project_id, asked)
    await begin(
        req,
        server,
        "resize",
        resize_server,
        what="resize",
        data={"flavor": flavor},
        disk_config=body.get("OS-DCF:diskConfig", server.disk_config),
    )


@action("confirmResize", policy="os_compute_api:servers:confirm_resize", default=MEMBER, status=204)
async def confirm(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "confirm", confirm_resize, what="confirmResize")


@action("revertResize", policy="os_compute_api:servers:revert_resize", default=MEMBER)
async def revert(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "revert", revert_resize, what="revertResize")


def _sizes(flavor: dict[str, Any]) -> dict[str, Any]:
    return {"memory_mib": flavor["memory_mib"], "disk_gib": flavor["disk_gib"]}
