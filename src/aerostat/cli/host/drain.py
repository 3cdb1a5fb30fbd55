"""`host drain NAME` and `host undrain NAME`: whether the scheduler gives a host new servers.

Servers that are there go on; `--stop` presses their power buttons, for a machine that is to be switched off.
"""

import argparse
from typing import Any

from aerostat.cli import CommandError
from aerostat.cli.api import Api
from aerostat.cli.settings import kernel_settings_of


def run(args: argparse.Namespace) -> int:
    with Api.as_user(kernel_settings_of(args)) as api:
        service = find_service(api, args.name)
        draining = args.verb == "drain"
        change = {"status": "disabled" if draining else "enabled"}
        if draining:
            change["disabled_reason"] = args.reason or "drained"
        api.put("compute", f"/os-services/{service['id']}", change, version="2.53")
        if not draining:
            print(f"{args.name} gets new servers again.")
            return 0
        servers = servers_on(api, args.name)
        print(f"{args.name} gets no new servers; {len(servers)} are there.")
        if args.stop:
            _stop(api, servers)
    return 0


def find_service(api: Api, name: str) -> dict[str, Any]:
    found = api.get("compute", f"/os-services?host={name}", version="2.53")["services"]
    if not found:
        raise CommandError(f"there is no host {name}: aerostat host list")
    return dict(found[0])


def servers_on(api: Api, name: str) -> list[dict[str, Any]]:
    return list(api.get("compute", f"/servers/detail?all_tenants=1&host={name}")["servers"])


def _stop(api: Api, servers: list[dict[str, Any]]) -> None:
    stopped = 0
    for server in servers:
        if server["status"] == "ACTIVE":
            api.post("compute", f"/servers/{server['id']}/action", {"os-stop": None})
            stopped += 1
    print(f"{stopped} are told to stop; `aerostat host list` shows what is left to wait for.")
