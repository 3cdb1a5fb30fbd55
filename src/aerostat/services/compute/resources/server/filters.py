"""Which servers a list shows: the query arguments of GET /servers and /servers/detail."""

import re
from typing import Any

from sqlalchemy import Text, and_, func, not_, or_, select, type_coerce
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Forbidden
from aerostat.kernel.http import Request

from ... import model
from ...states import SHOWN, STATUSES, states_of_status
from ..arguments import PAGING, SORTING, at_least, check_query, read_time

_S = model.SERVERS.c

# Query argument → column: compared as it is, or as a pattern.
_EQUAL = {
    "user_id": "user_id",
    "image": "image_id",
    "image_ref": "image_id",
    "flavor": "flavor_id",
    "host": "host",
    "node": "host",
    "uuid": "id",
    "reservation_id": "reservation_id",
    "launch_index": "launch_index",
    "power_state": "power_state",
    "auto_disk_config": "disk_config",
    "locked_by": "locked_by",
}
_PATTERNS = {
    "name": "name",
    "display_name": "name",
    "hostname": "hostname",
    "key_name": "key_name",
    "availability_zone": "availability_zone",
    "description": "description",
    "display_description": "description",
    "access_ip_v4": "access_ipv4",
    "access_ip_v6": "access_ipv6",
}
_TIMES = {"launched_at": "launched_at", "terminated_at": "terminated_at", "created_at": "created_at"}
_TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
_OTHERS = ("status", "vm_state", "task_state", "ip", "ip6", "config_drive", "progress", "root_device_name",
           "kernel_id", "ramdisk_id", "project_id", "tenant_id", "all_tenants", "deleted", "soft_deleted",
           "changes-since")  # fmt: skip

# What people without the admin role may ask; anything else of theirs is passed over.
_EVERYBODY = {"reservation_id", "name", "display_name", "status", "image", "flavor", "ip", "changes-since",
              "all_tenants"}  # fmt: skip
_EVERYBODY_283 = {"availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at",
                  "power_state", "task_state", "vm_state", "progress", "user_id", "hostname"}  # fmt: skip

SORTABLE = {
    "access_ip_v4": "access_ipv4",
    "access_ip_v6": "access_ipv6",
    "auto_disk_config": "disk_config",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "created_at": "created_at",
    "display_description": "description",
    "display_name": "name",
    "host": "host",
    "hostname": "hostname",
    "image_ref": "image_id",
    "instance_type_id": "flavor_id",
    "key_name": "key_name",
    "launch_index": "launch_index",
    "launched_at": "launched_at",
    "locked": "locked",
    "locked_by": "locked_by",
    "node": "host",
    "power_state": "power_state",
    "project_id": "project_id",
    "task_state": "state",
    "terminated_at": "terminated_at",
    "updated_at": "updated_at",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "state",
}


class Nothing(Exception):
    """The arguments fit no server at all: the list is empty."""


def known_arguments(req: Request) -> set[str]:
    known = {*_EQUAL, *_PATTERNS, *_TIMES, *_OTHERS, *PAGING, *SORTING}
    if at_least(req, 26):
        known |= set(_TAGS)
    if at_least(req, 66):
        known.add("changes-before")
    if at_least(req, 73):
        known.add("locked")
    return known


async def conditions_of(req: Request) -> list[ColumnElement[bool]]:
    """What the rows of this list must fulfil. Raises `BadRequest`, `Forbidden`, `Nothing`."""
    check_query(req, known_arguments(req))
    every_project = req.flag("all_tenants") if "all_tenants" in req.query else False
    asked = _allowed(req)
    conditions: list[ColumnElement[bool]] = []
    if every_project:
        detail = "index" if req.state["brief"] else "detail"
        req.check(f"os_compute_api:servers:{detail}:get_all_tenants")
        project = asked.get("project_id") or asked.get("tenant_id")
        if project:
            conditions.append(_S.project_id == project)
    else:
        conditions.append(_S.project_id == req.context.project_id)
    conditions += _deleted(req, asked)
    conditions += _states(req, asked)
    conditions += _values(req, asked)
    conditions += _tags(req)
    conditions += await _patterns(req, asked, conditions)
    return conditions


def _allowed(req: Request) -> dict[str, str]:
    asked = {name: values[-1] for name, values in req.query.items()}
    if req.context.is_admin:
        return asked
    allowed = set(_EVERYBODY)
    for minor, names in ((5, {"ip6"}), (66, {"changes-before"}), (73, {"locked"}), (83, _EVERYBODY_283)):
        if at_least(req, minor):
            allowed |= names
    return {name: value for name, value in asked.items() if name in allowed}


def _deleted(req: Request, asked: dict[str, str]) -> list[ColumnElement[bool]]:
    """Deleted servers are shown to administrators who ask, and in lists of what changed since a moment."""
    changed = func.coalesce(_S.updated_at, _S.created_at)
    conditions: list[ColumnElement[bool]] = []
    since = before = None
    if "changes-since" in asked:
        since = read_time(asked["changes-since"], "changes-since")
        conditions.append(changed >= since)
    if "changes-before" in asked:
        before = read_time(asked["changes-before"], "changes-before")
        conditions.append(changed <= before)
    if since and before and since > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    if "deleted" in asked:
        wanted = req.flag("deleted")
        conditions.append(_S.state == "deleted" if wanted else _S.state != "deleted")
    elif since is None and before is None:
        conditions.append(_S.state != "deleted")
    return conditions


def _states(req: Request, asked: dict[str, str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if "status" in asked:
        statuses = req.query["status"]
        if any(status.upper() == "DELETED" for status in statuses) and not req.context.is_admin:
            raise Forbidden("Only administrators may list deleted instances")
        states = [state for status in statuses for state in states_of_status(status)]
        if not states:
            if at_least(req, 38) and not any(status.upper() in STATUSES for status in statuses):
                raise BadRequest("Invalid status value")
            raise Nothing
        alike: ColumnElement[bool] = _S.state.in_(states)
        resting = [state for state in states if state in ("active", "stopped", "paused", "suspended")]
        if resting:
            alike = or_(alike, and_(_S.state.in_(("deleting", "snapshotting")), _S.state_before.in_(resting)))
        conditions.append(alike)
    for name, place in (("vm_state", 0), ("task_state", 1)):
        if name in asked:
            wanted = {value.lower() for value in req.query[name]}
            states = [state for state, words in SHOWN.items() if (words[place] or "none") in wanted]
            if not states:
                raise Nothing
            conditions.append(_S.state.in_(states))
    return conditions


def _values(req: Request, asked: dict[str, str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, column in _EQUAL.items():
        if name not in asked:
            continue
        value: Any = asked[name]
        if name in ("launch_index", "power_state"):
            if not value.isdigit():
                raise Nothing
            value = int(value)
        if name in ("image", "image_ref", "flavor", "uuid"):
            conditions.append(_S[column].in_(req.query[name]))
        else:
            conditions.append(_S[column] == value)
    for name, column in _TIMES.items():
        if name in asked:
            conditions.append(_S[column] == read_time(asked[name], name))
    if "locked" in asked:
        conditions.append(_S.locked.is_(req.flag("locked")))
    if "config_drive" in asked:
        conditions.append(_S.config_drive.is_(req.flag("config_drive")))
    for never in ("kernel_id", "ramdisk_id"):
        if asked.get(never):
            raise Nothing
    return conditions


def _tags(req: Request) -> list[ColumnElement[bool]]:
    if not at_least(req, 26):
        return []
    conditions: list[ColumnElement[bool]] = []
    for name in _TAGS:
        text = req.argument(name)
        if text is None:
            continue
        each = [type_coerce(_S.tags, Text).contains(f'"{tag}"', autoescape=True) for tag in text.split(",")]
        found = or_(*each) if name.endswith("any") else and_(*each)
        conditions.append(not_(found) if name.startswith("not") else found)
    return conditions


async def _patterns(
    req: Request, asked: dict[str, str], conditions: list[ColumnElement[bool]]
) -> list[ColumnElement[bool]]:
    """Regular expressions, and addresses: looked at here, since no two databases read them alike."""
    patterns = {name: _compiled(asked[name], name) for name in _PATTERNS if name in asked}
    addresses = {
        version: _compiled(asked[name], name) for name, version in (("ip", 4), ("ip6", 6)) if name in asked
    }
    if not patterns and not addresses:
        return []
    columns = {_S.id, *(_S[_PATTERNS[name]] for name in patterns)}
    if addresses:
        columns.add(_S.interfaces)
    rows = await req.db.fetch(select(*columns).where(and_(*conditions)))
    ids = [row.id for row in rows if _fits(row, patterns, addresses)]
    if not ids:
        raise Nothing
    return [_S.id.in_(ids)]


def _fits(row: Row, patterns: dict[str, re.Pattern[str]], addresses: dict[int, re.Pattern[str]]) -> bool:
    for name, pattern in patterns.items():
        if not pattern.search(row[_PATTERNS[name]] or ""):
            return False
    for version, pattern in addresses.items():
        ips = [ip for one in row.interfaces for ip in one["ips"] if ip["version"] == version]
        if not any(pattern.search(ip["address"]) for ip in ips):
            return False
    return True


def _compiled(text: str, name: str) -> re.Pattern[str]:
    """The pattern; one that is none is taken as the text that it is."""
    if len(text) > 255:
        raise BadRequest(f"The filter {name} is too long.")
    try:
        return re.compile(text)
    except re.error:
        return re.compile(re.escape(text))
