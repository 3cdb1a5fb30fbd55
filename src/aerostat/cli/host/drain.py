"""`host drain NAME` and `host undrain NAME`: whether the scheduler gives a host new servers.

Servers that are there go on; `--move` sends them to other hosts (`emptying.py`), `--stop` presses their power buttons,
for a machine that is to be switched off.
"""

import argparse
import sys
from typing import Any

from aerostat.cli import CommandError
from aerostat.cli.api import Api
from aerostat.cli.host.emptying import Emptying, servers_on
from aerostat.cli.plain import plain
from aerostat.cli.settings import kernel_settings_of


def run(args: argparse.Namespace) -> int:
    if args.stop and args.move:
        raise CommandError(
            "--stop or --move, not both: servers that are told to stop cannot go while they run"
        )
    if args.at_once < 1:
        raise CommandError("--at-once N: one at least")
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
        if args.move:
            return _move(api, args)
        if args.stop:
            _stop(api, servers)
    return 0


def find_service(api: Api, name: str) -> dict[str, Any]:
    found = api.get("compute", f"/os-services?host={name}", version="2.53")["services"]
    if not found:
        raise CommandError(f"there is no host {name}: aerostat host list")
    return dict(found[0])


def _move(api: Api, args: argparse.Namespace) -> int:
    """0 if the host is empty afterwards, 1 if something is left there."""
    emptying = Emptying(api, args.name, at_once=args.at_once, limit_s=args.limit)
    try:
        outcome = emptying.run()
    except KeyboardInterrupt:
        going = ", ".join(emptying.on_their_way)
        words = f"interrupted; {going} go on by themselves" if going else "interrupted"
        print(plain(f"\n{words}. The same command takes it up again."), file=sys.stderr)
        return 130
    print(f"{len(outcome.gone)} went from {args.name}, {len(outcome.stay)} did not.")
    for name, reason in sorted(outcome.stay.items()):
        print(plain(f"  {name}: {reason}"))
    return 1 if outcome.stay else 0


def _stop(api: Api, servers: list[dict[str, Any]]) -> None:
    stopped = 0
    for server in servers:
        if server["status"] == "ACTIVE":
            api.post("compute", f"/servers/{server['id']}/action", {"os-stop": None})
            stopped += 1
    print(f"{stopped} are told to stop; `aerostat host list` shows what is left to wait for.")
