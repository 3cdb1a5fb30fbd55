"""`host list`: every compute host with its state, how many servers it has, and what is wrong with it."""

import argparse
import json
from typing import Any

from aerostat.cli.api import Api
from aerostat.cli.settings import kernel_settings_of


def run(args: argparse.Namespace) -> int:
    with Api.as_user(kernel_settings_of(args)) as api:
        hosts = collect(api)
    if args.output == "json":
        print(json.dumps(hosts, indent=2))
        return 0
    print(f"{'HOST':<24}{'STATE':<10}{'NEW SERVERS':<14}{'SERVERS':>8}  {'VERSION':<12}REMARK")
    for host in hosts:
        wanted = "yes" if host["enabled"] else "no"
        state = f"{host['host']:<24}{host['state']:<10}{wanted:<14}{host['servers']:>8}"
        print(f"{state}  {host['version']:<12}{host['remark']}".rstrip())
    return 0


def collect(api: Api) -> list[dict[str, Any]]:
    """All hosts by name."""
    return list(api.get("", "/compute/hosts")["hosts"])
