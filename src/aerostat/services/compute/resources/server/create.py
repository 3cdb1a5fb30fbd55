"""Making servers: what POST /servers takes, what is checked before anything is written, and the rows.

Whatever can be known to fail is refused here, in upstream's words; the flow `create_server` does the rest.
"""

import base64
import re
import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Forbidden
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.versions import Version

from ... import imaging, model, networking
from ...errors import FlavorNotFound, QuotaExceeded
from ...flows.create_server import create_server
from ...quotas import QUOTAS
from ...room import room_of
from ..arguments import at_least, links, read_address
from ..flavor import find_flavor
from ..flavor import snapshot as flavor_snapshot
from ..keypair import snapshot as keypair_snapshot
from ..schemas import (
    BASE64,
    BOOLEAN,
    DESCRIPTION,
    DISK_CONFIG,
    FLAVOR_REF,
    HOST,
    IP,
    IPV4,
    IPV6,
    METADATA,
    NAME,
    PASSWORD,
    POSITIVE,
    TAG,
    UUID,
    closed,
    read_boolean,
)

MOST_SERVERS_AT_ONCE = 1000
MOST_TAGS = 50
PASSWORD_LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"

PERSONALITY = {
    "type": "array",
    "items": closed({"path": {"type": "string"}, "contents": {"type": "string"}}, "path", "contents"),
}
_HINTS = {
    "type": "object",
    "properties": {
        "group": UUID,
        "different_host": {"oneOf": [UUID, {"type": "array", "items": UUID}]},
        "same_host": {"type": ["string", "array"], "items": UUID},
        "query": {"type": ["string", "object"]},
        "build_near_host_ip": IP,
    },
}
_DISK = {
    "source_type": {"type": "string", "enum": ["volume", "image", "snapshot", "blank"]},
    "destination_type": {"type": "string", "enum": ["local", "volume"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": UUID,
    "volume_id": UUID,
    "snapshot_id": UUID,
    "volume_size": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1},
    "virtual_name": {"type": "string", "maxLength": 255},
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN,
    "no_device": {},
    "connection_info": {"type": "string"},
    "guest_format": {"type": ["string", "null"], "maxLength": 255},
    "device_type": {"type": ["string", "null"], "maxLength": 255},
    "disk_bus": {"type": ["string", "null"], "maxLength": 255},
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"},
}


def read_create(req: Request, body: Any) -> dict[str, Any]:
    """The checked body of a create."""
    _schema(req.version, req.service.invalid).check(body)
    checked: dict[str, Any] = body
    return checked


@cache
def _schema(version: Version, wording: str) -> BodySchema:
    """The body's schema in one microversion."""

    def since(minor: int) -> bool:
        return version >= (2, minor)

    tagged = since(42) or 32 <= version.minor <= 36
    network: dict[str, Any] = {
        "fixed_ip": IP,
        "port": {"oneOf": [UUID, {"type": "null"}]},
        "uuid": UUID if since(37) else {"type": "string"},
    }
    disk = dict(_DISK)
    if tagged:
        network["tag"] = TAG
    if since(42) or version.minor == 32:
        disk["tag"] = TAG
    if since(67):
        disk["volume_type"] = {"type": ["string", "null"], "minLength": 0, "maxLength": 255}
    networks: dict[str, Any] = {"type": "array", "items": closed(network)}
    if since(37):
        networks = {"oneOf": [networks, {"type": "string", "enum": ["none", "auto"]}]}
    server: dict[str, Any] = {
        "name": NAME,
        "imageRef": {"oneOf": [UUID, {"type": "string", "maxLength": 0}]},
        "flavorRef": FLAVOR_REF,
        "adminPass": PASSWORD,
        "metadata": METADATA,
        "networks": networks,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IPV4,
        "accessIPv6": IPV6,
        "availability_zone": NAME,
        "block_device_mapping": {"type": "array", "items": {"type": "object"}},
        "block_device_mapping_v2": {"type": "array", "items": closed(disk)},
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": POSITIVE,
        "max_count": POSITIVE,
        "return_reservation_id": BOOLEAN,
        "security_groups": {"type": "array", "items": closed({"name": NAME})},
        "user_data": BASE64,
    }
    if not since(57):
        server["personality"] = PERSONALITY
    if since(19):
        server["description"] = DESCRIPTION
    if since(52):
        server["tags"] = {"type": "array", "items": TAG, "maxItems": MOST_TAGS}
    if since(63):
        server["trusted_image_certificates"] = {
            "type": ["array", "null"],
            "minItems": 1,
            "maxItems": 50,
            "uniqueItems": True,
            "items": {"type": "string", "minLength": 1},
        }
    if since(74):
        server["host"] = HOST
        server["hypervisor_hostname"] = HOST
    if since(90):
        longest = 255 if since(94) else 63
        server["hostname"] = {**HOST, "minLength": 2, "maxLength": longest}
    required = ["name", "flavorRef", *(["networks"] if since(37) else [])]
    hints = {"os:scheduler_hints": _HINTS, "OS-SCH-HNT:scheduler_hints": _HINTS}
    return BodySchema(closed({"server": closed(server, *required), **hints}, "server"), wording)


async def create_servers(req: Request, body: Mapping[str, Any]) -> Response:
    """Check everything, write the rows and start their flows. Raises 400, 403, 409 in upstream's words."""
    asked = body["server"]
    if asked.get("trusted_image_certificates"):
        raise BadRequest("Image certificates cannot be verified in this cloud.")
    least, most = _counts(asked)
    flavor = await named_flavor(req, asked["flavorRef"])
    image = await imaging.get_image(req.house, req.context, _image_id(asked))
    imaging.check_fits(image, flavor)
    networks = await _networks(req, asked, most)
    groups = [group["name"] for group in asked.get("security_groups", ()) if group.get("name")]
    await networking.find_security_groups(req.client("network"), groups)
    zone, host = await _place(req, asked)
    hints = body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints") or {}
    config_drive = (
        read_boolean(asked.get("config_drive", False)) or room_of(req.house).config.force_config_drive
    )
    password = asked.get("adminPass") or "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))
    common = {
        "project_id": req.context.project_id,
        "user_id": req.context.user_id,
        "description": asked.get("description") if at_least(req, 19) else asked["name"],
        "state": "building",
        "pinned_zone": zone,
        "availability_zone": zone,
        "requested_host": host,
        "flavor_id": flavor.id,
        "flavor": flavor_snapshot(flavor),
        "image_id": image["id"],
        "image_properties": imaging.properties_of(image),
        "user_data": asked.get("user_data"),
        "personality": asked.get("personality") or None,
        "config_drive": config_drive,
        "metadata": asked.get("metadata", {}),
        "tags": list(dict.fromkeys(asked.get("tags", ()))),
        "access_ipv4": read_address(asked.get("accessIPv4")),
        "access_ipv6": read_address(asked.get("accessIPv6")),
        "disk_config": asked.get("OS-DCF:diskConfig", "MANUAL"),
        "server_group_id": await _group(req, hints),
        "scheduler_hints": hints,
        "networks": networks,
        "security_groups": groups,
        "reservation_id": f"r-{ids.short_id(8)}",
        **await _key(req, asked.get("key_name")),
    }
    flow_data = {"admin_password": password} if config_drive else {}
    rows = await _insert(req, asked, common, least, most, flow_data)
    return _answer(req, asked, rows, password)


async def _insert(
    req: Request,
    asked: Mapping[str, Any],
    common: dict[str, Any],
    least: int,
    most: int,
    flow_data: dict[str, Any],
) -> list[Row]:
    flavor = common["flavor"]
    rows = []
    async with req.db.transaction() as tx:
        count = await _affordable(tx, common["project_id"], flavor, least, most)
        await _check_limits(tx, asked, common["project_id"])
        for index in range(count):
            server_id = ids.new_id()
            name = asked["name"] if most == 1 else f"{asked['name']}-{index + 1}"
            hostname = asked.get("hostname")
            if hostname and most > 1:
                hostname = f"{hostname}-{index + 1}"
            row = await tx.insert(
                model.SERVERS,
                **common,
                id=server_id,
                name=name,
                hostname=hostname or hostname_of(name, server_id),
                launch_index=index,
            )
            await create_server.start(tx, server_id, context=req.context, data=dict(flow_data))
            rows.append(row)
    return rows


def _answer(req: Request, asked: Mapping[str, Any], rows: list[Row], password: str) -> Response:
    first = rows[0]
    req.resource_id = first.id
    if read_boolean(asked.get("return_reservation_id", False)):
        return Response({"reservation_id": first.reservation_id}, 202)
    groups = [{"name": name} for name in dict.fromkeys(first.security_groups or ["default"])]
    view = {
        "id": first.id,
        "links": links(req, "servers", first.id),
        "OS-DCF:diskConfig": first.disk_config,
        "security_groups": groups,
        "adminPass": password,
    }
    return Response({"server": view}, 202, headers={"Location": view["links"][0]["href"]})


def hostname_of(name: str, server_id: str) -> str:
    """A host name that resembles the server's name: letters, digits and dashes, at most 63."""
    cleaned = re.sub(r"[^a-z0-9-]", "", re.sub(r"[ _.]", "-", name.lower())).strip("-")[:63].strip("-")
    return cleaned or f"server-{server_id}"[:63]


def _counts(asked: Mapping[str, Any]) -> tuple[int, int]:
    least = int(asked.get("min_count", 1))
    most = int(asked.get("max_count", least))
    if least < 1 or most < 1:
        raise BadRequest("min_count and max_count must be positive integers.")
    if least > most:
        raise BadRequest("min_count must be <= max_count")
    if most > MOST_SERVERS_AT_ONCE:
        raise BadRequest(f"At most {MOST_SERVERS_AT_ONCE} servers are created at once.")
    return least, most


async def named_flavor(req: Request, reference: Any) -> Row:
    """The flavor that an id, or a link that ends with one, means."""
    flavor_id = str(reference).rstrip("/").rsplit("/", 1)[-1]
    try:
        flavor = await find_flavor(req, flavor_id)
    except FlavorNotFound as error:
        raise BadRequest(error.text) from None
    if flavor.disabled:
        raise BadRequest(f"Flavor {flavor_id} could not be found.")
    return flavor


def _image_id(asked: Mapping[str, Any]) -> str:
    """The image to boot from: `imageRef`, or the one local disk of a block device mapping."""
    if asked.get("block_device_mapping"):
        raise BadRequest("Volumes are not available in this cloud yet: boot from an image.")
    image_id = asked.get("imageRef") or ""
    for disk in asked.get("block_device_mapping_v2", ()):
        source, destination = disk.get("source_type"), disk.get("destination_type", "local")
        if source != "image" or destination != "local":
            raise BadRequest("Block Device Mapping is Invalid: volumes are not available in this cloud yet.")
        if str(disk.get("boot_index")) != "0":
            raise BadRequest("Mapping image to local is not supported.")
        if image_id and image_id != disk.get("uuid"):
            raise BadRequest("Block Device Mapping is Invalid: the image differs from imageRef.")
        image_id = disk.get("uuid") or ""
    if not image_id:
        raise BadRequest("Invalid imageRef provided.")
    return str(image_id)


async def _networks(req: Request, asked: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    wanted = asked.get("networks")
    if isinstance(wanted, list):
        wanted = [{**one, "may_use_external": req.context.is_admin} for one in wanted]
        if most > 1 and any(one.get("port") for one in wanted):
            raise BadRequest(
                "Unable to launch multiple instances with a single configured port ID. "
                "Please launch your instance one by one with different ports."
            )
        if most > 1 and any(one.get("fixed_ip") for one in wanted):
            raise BadRequest("max_count cannot be greater than 1 if an fixed_ip is specified.")
        if not at_least(req, 37):
            wanted = [{**one, "uuid": _old_network_id(one.get("uuid"))} for one in wanted]
    chosen = await networking.choose_networks(req.client("network"), wanted, req.context.project_id or "")
    if chosen:
        req.check("os_compute_api:servers:create:attach_network")
    return chosen


def _old_network_id(value: str | None) -> str | None:
    """Before 2.37 a network's id could come with `br-` in front of it."""
    return value.removeprefix("br-") if value else value


async def _place(req: Request, asked: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Zone and host asked for: by `availability_zone`, which may carry a host, or by name since 2.74."""
    zone, host = asked.get("availability_zone"), None
    if zone is not None and ":" in zone:
        parts = zone.split(":")
        if len(parts) > 3:
            raise BadRequest("The requested availability zone is not available")
        req.check("os_compute_api:servers:create:forced_host")
        zone, host = parts[0] or None, next((part for part in parts[1:] if part), None)
    if asked.get("host") or asked.get("hypervisor_hostname"):
        if host is not None:
            raise BadRequest("Unable to specify the host together with availability_zone:host.")
        req.check("os_compute_api:compute:servers:create:requested_destination")
        host = asked.get("host") or asked.get("hypervisor_hostname")
        if asked.get("host") and asked.get("hypervisor_hostname", host) != host:
            raise BadRequest(f"Compute host {asked['hypervisor_hostname']} could not be found.")
    if zone is not None or host is not None:
        zones = await room_of(req.house).zones()
        if zone is not None and zone not in zones.values():
            raise BadRequest("The requested availability zone is not available")
        if host is not None and host not in zones:
            raise BadRequest(f"Compute host {host} could not be found.")
    return zone, host


async def _group(req: Request, hints: Mapping[str, Any]) -> str | None:
    group_id = hints.get("group")
    if group_id is None:
        return None
    group = await req.db.find(model.SERVER_GROUPS, id=group_id)
    if group is None or (group.project_id != req.context.project_id and not req.context.is_admin):
        raise BadRequest(f"Instance group {group_id} could not be found.")
    return str(group.id)


async def _key(req: Request, name: str | None) -> dict[str, Any]:
    if name is None:
        return {"key_name": None, "key": None}
    keypair = await req.db.find(model.KEYPAIRS, user_id=req.context.user_id, name=name)
    if keypair is None:
        raise BadRequest("Invalid key_name provided.")
    return {"key_name": name, "key": keypair_snapshot(keypair)}


async def _affordable(tx: Any, project_id: str, flavor: Mapping[str, Any], least: int, most: int) -> int:
    """How many servers the quota allows, between `least` and `most`. Raises `QuotaExceeded` below that."""
    count = most
    while True:
        try:
            await QUOTAS.check(
                tx,
                project_id,
                {"instances": count, "cores": count * flavor["vcpus"], "ram": count * flavor["memory_mib"]},
            )
        except QuotaExceeded:
            if count <= least:
                raise
            count -= 1
        else:
            return count


async def _check_limits(tx: Any, asked: Mapping[str, Any], project_id: str) -> None:
    """Limits on what one server may bring with it."""
    files = asked.get("personality") or ()
    if not asked.get("metadata") and not files:
        return
    limits = await QUOTAS.limits(tx, project_id)
    check_metadata_limit(limits, len(asked.get("metadata", {})))
    if 0 <= limits["injected_files"] < len(files):
        raise Forbidden("Personality file limit exceeded")
    for file in files:
        check_encoded(file)
        if 0 <= limits["injected_file_path_bytes"] < len(file["path"].encode()):
            raise Forbidden("Personality file path exceeds maximum length")
        if 0 <= limits["injected_file_content_bytes"] < len(file["contents"]) * 3 // 4:
            raise Forbidden("Personality file content exceeds maximum size")


def check_encoded(file: Mapping[str, Any]) -> None:
    """A file that is sent along comes in base64."""
    try:
        base64.b64decode(file["contents"], validate=True)
    except ValueError:
        raise BadRequest(f"Personality content for {file['path']} cannot be decoded") from None


def check_metadata_limit(limits: Mapping[str, int], count: int) -> None:
    limit = limits["metadata_items"]
    if 0 <= limit < count:
        raise Forbidden(f"Maximum number of metadata items exceeds {limit}")
