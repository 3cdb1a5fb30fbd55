"""Servers: what users come for.

Wire: /servers in the Compute API, https://docs.openstack.org/api-ref/compute/#servers-servers
Making one is in `create.py`, the query of lists in `filters.py`, actions in `actions/`, one file each.
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import Order, read_page
from aerostat.kernel.policy import Policy
from aerostat.kernel.resource import Resource, Rows, View, route

from ... import model, networking
from ...errors import ServerNotFound
from ...room import instance_name, room_of
from ...states import RESTING
from ..arguments import at_least, links, read_address
from ..schemas import DESCRIPTION, DISK_CONFIG, IPV4, IPV6, NAME
from ..terms import ADMIN, MEMBER, READER, rules
from . import view
from .actions import ACTIONS
from .create import create_servers, read_create
from .deletion import start_deletion
from .filters import SORTABLE, Nothing, conditions_of
from .lookup import can_see, check_unlocked, find_server

_ATTRIBUTES = "os_compute_api:os-extended-server-attributes"
_HOST_STATUS = "os_compute_api:servers:show:host_status"
_HOSTNAME = {"type": "string", "minLength": 2, "maxLength": 63, "pattern": r"^[a-zA-Z0-9-._]*$"}


class Server(Resource):
    path = "/servers/{server_id}"
    detail_path = "/servers/detail"
    singular, plural = "server", "servers"
    table = model.SERVERS
    policy = Policy(
        "os_compute_api:servers:{verb}",
        default=MEMBER,
        list=READER,
        show=READER,
    )
    extra_rules = rules(
        ("os_compute_api:servers:detail", READER),
        ("os_compute_api:servers:create", MEMBER),
        ("os_compute_api:servers:create:forced_host", ADMIN),
        ("os_compute_api:servers:create:attach_network", MEMBER),
        ("os_compute_api:servers:index:get_all_tenants", ADMIN),
        ("os_compute_api:servers:detail:get_all_tenants", ADMIN),
        ("os_compute_api:compute:servers:create:requested_destination", ADMIN),
        ("os_compute_api:os-shelve:unshelve_to_host", ADMIN),
        (_ATTRIBUTES, ADMIN),
        ("os_compute_api:os-lock-server:unlock:unlock_override", ADMIN),
        (_HOST_STATUS, ADMIN),
    )
    verbs = ("list", "show", "update", "delete")
    order = (Order("created_at", True), Order("id", True))
    actions = ACTIONS

    id = Field(str, summary=True)
    name = Field(str, update="optional", schema=NAME, summary=True)
    links = Field(list, summary=True, compute=lambda row, req: links(req, "servers", row["id"]))
    shown_status = Field(str, wire="status", compute=lambda row, req: view.words(row).status)
    project_id = Field(str, wire="tenant_id")
    user_id = Field(str)
    metadata = Field(dict)
    host_id = Field(str, wire="hostId", compute=view.host_id)
    image = Field(dict, compute=view.image)
    flavor = Field(dict, compute=view.flavor)
    created = Field(column="created_at")
    updated = Field(compute=lambda row, req: row["updated_at"] or row["created_at"])
    addresses = Field(dict, compute=view.addresses)
    access_ipv4 = Field(
        str, wire="accessIPv4", update="optional", schema=IPV4,
        compute=lambda row, req: row["access_ipv4"] or "",
    )  # fmt: skip
    access_ipv6 = Field(
        str, wire="accessIPv6", update="optional", schema=IPV6,
        compute=lambda row, req: row["access_ipv6"] or "",
    )  # fmt: skip
    disk_config = Field(str, wire="OS-DCF:diskConfig", update="optional", schema=DISK_CONFIG)
    zone = Field(
        str, wire="OS-EXT-AZ:availability_zone", compute=lambda row, req: row["availability_zone"] or ""
    )
    config_drive = Field(str, compute=lambda row, req: "True" if row["config_drive"] else "")
    key_name = Field(str)
    launched_at = Field(wire="OS-SRV-USG:launched_at", compute=view.moment("launched_at"))
    terminated_at = Field(wire="OS-SRV-USG:terminated_at", compute=view.moment("terminated_at"))
    task_state = Field(wire="OS-EXT-STS:task_state", compute=lambda row, req: view.words(row).task_state)
    vm_state = Field(wire="OS-EXT-STS:vm_state", compute=lambda row, req: view.words(row).vm_state)
    power_state = Field(int, wire="OS-EXT-STS:power_state")
    volumes = Field(list, wire="os-extended-volumes:volumes_attached", compute=lambda row, req: [])
    host = Field(wire="OS-EXT-SRV-ATTR:host", policy=_ATTRIBUTES)
    node = Field(wire="OS-EXT-SRV-ATTR:hypervisor_hostname", column="host", policy=_ATTRIBUTES)
    instance_name = Field(
        wire="OS-EXT-SRV-ATTR:instance_name",
        policy=_ATTRIBUTES,
        compute=lambda row, req: instance_name(row["id"]),
    )
    reservation_id = Field(wire="OS-EXT-SRV-ATTR:reservation_id", since="2.3", policy=_ATTRIBUTES)
    launch_index = Field(int, wire="OS-EXT-SRV-ATTR:launch_index", since="2.3", policy=_ATTRIBUTES)
    hostname = Field(
        wire="OS-EXT-SRV-ATTR:hostname", since="2.3", policy=_ATTRIBUTES, schema=_HOSTNAME
    ).changed("2.90", policy=None)
    new_hostname = Field(
        wire="hostname", since="2.90", update="optional", schema=_HOSTNAME, show=False, stored=False
    )
    kernel_id = Field(
        wire="OS-EXT-SRV-ATTR:kernel_id", since="2.3", policy=_ATTRIBUTES, compute=lambda row, req: ""
    )
    ramdisk_id = Field(
        wire="OS-EXT-SRV-ATTR:ramdisk_id", since="2.3", policy=_ATTRIBUTES, compute=lambda row, req: ""
    )
    root_device_name = Field(
        wire="OS-EXT-SRV-ATTR:root_device_name",
        since="2.3",
        policy=_ATTRIBUTES,
        compute=lambda row, req: "/dev/vda",
    )
    user_data = Field(wire="OS-EXT-SRV-ATTR:user_data", since="2.3", policy=_ATTRIBUTES)
    locked = Field(bool, since="2.9")
    host_status = Field(
        since="2.16", policy=_HOST_STATUS, compute=lambda row, req: req.state["host_status"](row)
    )
    description = Field(str, since="2.19", update="optional", schema=DESCRIPTION)
    tags = Field(list, since="2.26")
    trusted = Field(wire="trusted_image_certificates", since="2.63", compute=lambda row, req: None)
    locked_reason = Field(since="2.73")
    pinned_zone = Field(wire="pinned_availability_zone", since="2.96")

    # Verbs

    async def list(self, req: Request) -> Page | Rows:
        if not req.state["brief"]:
            req.check("os_compute_api:servers:detail")
        if req.argument("limit") == "0":
            return []
        try:
            conditions = await conditions_of(req)
        except Nothing:
            return []
        return await read_page(
            req, self.paging, model.SERVERS, conditions, sortable=SORTABLE, default_order=self.order
        )

    async def find(self, req: Request, id: str) -> Row:
        return await find_server(req, id)

    @route("POST", "/servers", status=202)
    async def create_some(self, req: Request) -> Response:
        req.check("os_compute_api:servers:create")
        return await create_servers(req, read_create(req, await req.json()))

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        req.state["after_change"] = True
        if "new_hostname" in changes:
            changes["hostname"] = changes.pop("new_hostname")
        for name in ("access_ipv4", "access_ipv6"):
            if name in changes:
                changes[name] = read_address(changes[name])
        if changes:
            await req.db.update(model.SERVERS, {"id": row.id}, **changes)
        return await find_server(req, row.id)

    async def delete(self, req: Request, row: Row) -> None:
        check_unlocked(req, row)
        await start_deletion(req, row)

    # How rows become answers

    async def prepare(self, req: Request, rows: Rows) -> None:
        if req.state.get("brief"):
            return
        await self.refresh_interfaces(req, rows)
        if at_least(req, 16) and self._may_see(req, _HOST_STATUS):
            req.state["host_status"] = await self._host_statuses(req, rows)

    def view(self, req: Request, row: Any, brief: bool = False) -> View:
        shown = super().view(req, row, brief)
        if brief:
            return shown
        if at_least(req, 71) and req.state.get("brief") is None:
            shown["server_groups"] = [row["server_group_id"]] if row["server_group_id"] else []
        return view.complete(row, req, shown)

    def can_see(self, req: Request, row: Row) -> bool:
        return can_see(req, row)

    def missing(self, id: str) -> ServerNotFound:
        return ServerNotFound(id=id)

    async def refresh_interfaces(self, req: Request, rows: Rows) -> None:
        """Read anew what the network room said has changed. Passing states belong to their flows."""
        stale = [row for row in rows if row.interfaces_stale and row.state in RESTING]
        if not stale:
            return
        admin = room_of(req.house).network_admin(req.request_id)
        found = await networking.read_interfaces(admin, stale)
        for row in stale:
            row["interfaces"] = found[row.id]
            await req.db.update(
                model.SERVERS,
                {"id": row.id, "state": row.state},
                interfaces=row.interfaces,
                interfaces_stale=False,
                updated_at=row.updated_at,
            )

    async def _host_statuses(self, req: Request, rows: Rows) -> Any:
        names = sorted({row.host for row in rows if row.host is not None})
        hosts = {host.name: host for host in await req.db.all(model.HOSTS, {"name": names})} if names else {}
        room = room_of(req.house)

        def status(row: Row) -> str:
            if row["host"] is None:
                return ""
            host = hosts.get(row["host"])
            if host is None:
                return "UNKNOWN"
            if host.disabled:
                return "MAINTENANCE"
            return "UP" if room.is_up(host) else "DOWN"

        return status
