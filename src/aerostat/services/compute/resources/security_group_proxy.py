"""Security groups as the compute API showed them until 2.35, asked of the network room in the caller's name.

Wire: /os-security-groups and /os-security-group-rules,
https://docs.openstack.org/api-ref/compute/#security-groups-os-security-groups-deprecated
Deprecated, but what older clients and the suites of others still use.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.paging import COMPUTE, read_limit
from aerostat.kernel.resource import Resource, route

from .room_errors import check_id, refusals_relayed
from .schemas import closed
from .terms import MEMBER, READER, rules

_RULE = "os_compute_api:os-security-groups:"
_RULES_RULE = "os_compute_api:os-security-groups:rule:"
_TEXT = {"type": "string", "maxLength": 255}
_GROUP_NAME = {**_TEXT, "minLength": 1, "pattern": r"\S"}
_GROUP = closed(
    {
        "security_group": closed(
            {"name": _GROUP_NAME, "description": {**_TEXT, "type": ["string", "null"]}}, "name"
        )
    },
    "security_group",
)
_PORT = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
_NEW_RULE = closed(
    {
        "security_group_rule": closed(
            {
                "parent_group_id": {"type": "string"},
                "ip_protocol": {"type": ["string", "null"]},
                "from_port": _PORT,
                "to_port": _PORT,
                "cidr": {"type": ["string", "null"]},
                "group_id": {"type": ["string", "null"]},
            },
            "parent_group_id",
        )
    },
    "security_group_rule",
)
_ANYWHERE = "0.0.0.0/0"


class SecurityGroupProxy(Resource):
    extra_rules = rules(
        (_RULE + "get", READER),
        (_RULE + "show", READER),
        (_RULE + "create", MEMBER),
        (_RULE + "update", MEMBER),
        (_RULE + "delete", MEMBER),
        (_RULES_RULE + "create", MEMBER),
        (_RULES_RULE + "delete", MEMBER),
    )

    @route("GET", "/os-security-groups", policy=_RULE + "get", until="2.35")
    async def index(self, req: Request) -> dict[str, Any]:
        everywhere = req.context.is_admin and req.argument("all_tenants") not in (None, "0", "False", "false")
        whose = {} if everywhere else {"project_id": req.context.project_id}
        groups = await req.client("network").list_security_groups(**whose)
        limit = read_limit(req, COMPUTE)
        offset = _natural(req, "offset") or 0
        names = await _names(req, groups)
        return {"security_groups": [group_view(one, names) for one in groups[offset:][:limit]]}

    @route("GET", "/os-security-groups/{group_id}", policy=_RULE + "show", until="2.35")
    async def show_one(self, req: Request, group_id: str) -> dict[str, Any]:
        return await _shown(req, await _find(req, group_id))

    @route("POST", "/os-security-groups", policy=_RULE + "create", until="2.35", body=_GROUP)
    async def make(self, req: Request) -> dict[str, Any]:
        asked = req.body["security_group"]
        with refusals_relayed():
            made = await req.client("network").create_security_group(
                name=asked["name"], description=asked.get("description") or ""
            )
        return await _shown(req, made)

    @route("PUT", "/os-security-groups/{group_id}", policy=_RULE + "update", until="2.35", body=_GROUP)
    async def change(self, req: Request, group_id: str) -> dict[str, Any]:
        await _find(req, group_id)
        asked = req.body["security_group"]
        with refusals_relayed(conflict=BadRequest):
            changed = await req.client("network").update_security_group(
                group_id, name=asked["name"], description=asked.get("description") or ""
            )
        return await _shown(req, changed)

    @route("DELETE", "/os-security-groups/{group_id}", policy=_RULE + "delete", until="2.35")
    async def remove(self, req: Request, group_id: str) -> Response:
        await _find(req, group_id)
        with refusals_relayed(conflict=BadRequest):
            await req.client("network").delete_security_group(group_id)
        return Response(None, 202)

    @route("DELETE", "/os-security-groups", policy=_RULE + "delete", until="2.35")
    async def remove_none(self, req: Request) -> Response:
        """What deletes a group without naming any (`/os-security-groups/`) finds none."""
        raise NotFound("The resource could not be found.")

    @route("POST", "/os-security-group-rules", policy=_RULES_RULE + "create", until="2.35", body=_NEW_RULE)
    async def add_rule(self, req: Request) -> dict[str, Any]:
        asked = req.body["security_group_rule"]
        group = await _find(req, asked["parent_group_id"])
        with refusals_relayed(conflict=BadRequest):
            made = await req.client("network").create_security_group_rule(**_rule_of(asked))
        shown = rule_view(group["id"], made, await _names(req, [{"security_group_rules": [made]}]))
        if not asked.get("group_id"):
            shown["ip_range"] = {"cidr": asked.get("cidr") or _ANYWHERE}
        return {"security_group_rule": shown}

    @route("DELETE", "/os-security-group-rules/{rule_id}", policy=_RULES_RULE + "delete", until="2.35")
    async def remove_rule(self, req: Request, rule_id: str) -> Response:
        check_id("Security group rule", rule_id)
        with refusals_relayed():
            await req.client("network").delete_security_group_rule(rule_id)
        return Response(None, 202)


def group_view(group: Mapping[str, Any], names: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    """A group of the network room in the compute API's older words; it knows no rules but for what comes in."""
    return {
        "id": group["id"],
        "name": group["name"],
        "description": group.get("description") or "",
        "tenant_id": group["project_id"],
        "rules": [
            rule_view(group["id"], rule, names)
            for rule in group.get("security_group_rules") or ()
            if rule.get("direction") == "ingress"
        ],
    }


def rule_view(group_id: str, rule: Mapping[str, Any], names: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    """`names` has name and project of the groups that rules speak of, by id."""
    remote = rule.get("remote_group_id")
    prefix = rule.get("remote_ip_prefix")
    if prefix is None and remote is None:
        prefix = "::/0" if rule.get("ethertype") == "IPv6" else _ANYWHERE
    ports = (rule.get("port_range_min"), rule.get("port_range_max"))
    if (rule.get("protocol") or "").startswith("icmp") or rule.get("protocol") is None:
        ports = (-1 if ports[0] is None else ports[0], -1 if ports[1] is None else ports[1])
    return {
        "id": rule["id"],
        "parent_group_id": group_id,
        "ip_protocol": rule.get("protocol"),
        "from_port": ports[0] if rule.get("protocol") else None,
        "to_port": ports[1] if rule.get("protocol") else None,
        "group": names.get(remote, {}) if remote else {},
        "ip_range": {"cidr": prefix} if prefix is not None else {},
    }


def _rule_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The network room's rule. -1 was any port, and any ICMP type."""
    remote = asked.get("group_id")
    cidr = None if remote else asked.get("cidr") or _ANYWHERE
    wanted: dict[str, Any] = {
        "security_group_id": asked["parent_group_id"],
        "direction": "ingress",
        "ethertype": "IPv6" if cidr and ":" in cidr else "IPv4",
        "protocol": asked.get("ip_protocol") or None,
        "remote_group_id": remote,
        "remote_ip_prefix": cidr,
    }
    if remote:
        check_id("Security group", remote)
    ports = {"port_range_min": asked.get("from_port"), "port_range_max": asked.get("to_port")}
    wanted |= {name: int(port) for name, port in ports.items() if port is not None and int(port) != -1}
    if wanted["protocol"] in ("tcp", "udp") and not {*ports} <= wanted.keys():
        raise BadRequest("Not enough parameters to build a valid rule")
    return wanted


async def _find(req: Request, group_id: str) -> dict[str, Any]:
    check_id("Security group", group_id)
    with refusals_relayed():
        found: dict[str, Any] = await req.client("network").get_security_group(group_id)
    return found


async def _shown(req: Request, group: Mapping[str, Any]) -> dict[str, Any]:
    return {"security_group": group_view(group, await _names(req, [group]))}


async def _names(req: Request, groups: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Name and project of the groups that the rules of these groups speak of."""
    remote = {
        rule["remote_group_id"]
        for group in groups
        for rule in group.get("security_group_rules") or ()
        if rule.get("remote_group_id")
    }
    if not remote:
        return {}
    found = await req.client("network").list_security_groups(id=sorted(remote))
    return {one["id"]: {"name": one["name"], "tenant_id": one["project_id"]} for one in found}


def _natural(req: Request, name: str) -> int | None:
    text = req.argument(name)
    if text is not None and not text.isdigit():
        raise BadRequest(f"{name} param must be an integer")
    return int(text) if text else None
