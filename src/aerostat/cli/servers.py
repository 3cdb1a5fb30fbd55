"""Finds a server by name or id, and the address at which it is reached from outside."""

import re
from typing import Any
from urllib.parse import quote

from aerostat.cli import CommandError
from aerostat.cli.api import UNSAID, Api
from aerostat.cli.ask import Unreachable, ask
from aerostat.kernel.config import Config
from aerostat.kernel.ids import is_uuid


def reachable_address(config: Config, server: str) -> str:
    """The floating IP of `server`; raises `CommandError` that says what is missing and how to get it."""
    refuse_if_fake(config)
    with Api.as_user(config) as api:
        found = find_server(api, server, everyone=api.user_name == UNSAID["OS_USERNAME"])
        floating = floating_addresses(api, found["id"])
    if not floating:
        raise CommandError(
            f"{found['name']} has no floating IP (it is {found['status']}). Give it one:"
            f" openstack floating ip create public; openstack server add floating ip {found['name']} ADDRESS"
        )
    return floating[0]


def floating_addresses(api: Api, server_id: str) -> list[str]:
    """As the network room knows them, which is sooner than a server's own `addresses`."""
    ports = api.get("network", f"/v2.0/ports?device_id={server_id}&fields=id")["ports"]
    found: list[str] = []
    for port in ports:
        floating = api.get("network", f"/v2.0/floatingips?port_id={port['id']}")["floatingips"]
        found += [one["floating_ip_address"] for one in floating]
    return found


def find_server(api: Api, server: str, *, everyone: bool) -> dict[str, Any]:
    """The server called `server`, by id or exact name; `everyone`: in all projects."""
    if is_uuid(server):
        return dict(api.get("compute", f"/servers/{server}")["server"])
    where = f"name={quote('^' + re.escape(server) + '$')}" + ("&all_tenants=1" if everyone else "")
    found = [
        one for one in api.get("compute", f"/servers/detail?{where}")["servers"] if one["name"] == server
    ]
    if not found:
        raise CommandError(f"there is no server {server}; openstack server list shows what there is")
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found)
        raise CommandError(f"{len(found)} servers are called {server}; say which by id: {ids}")
    return dict(found[0])


def refuse_if_fake(config: Config) -> None:
    try:
        fake = ask(config.folder, "status")["fake"]
    except Unreachable:
        raise CommandError(f"no cloud runs in {config.state}") from None
    if fake:
        raise CommandError("this cloud is fake: its servers do not boot, so nobody answers there")
