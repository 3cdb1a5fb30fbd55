"""What runs, where it listens, how good a cloud it is, and what is wrong with it.

Exit code 0 if the cloud runs, 1 if it runs and something is WRONG, 3 if it does not run. Of processes without a
supervisor (`serve`) those of this folder are shown, and the cloud runs if one of them does.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aerostat.cli.ask import Unreachable, ask
from aerostat.cli.level import level
from aerostat.cli.plain import plain
from aerostat.cli.served import resident_mib, served
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import StateFolderError

if TYPE_CHECKING:
    from aerostat.cli.api import Api

WRONG, NOT_RUNNING = 1, 3
ASK_LIMIT_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    config = kernel_settings_of(args)
    found = collect(config)
    if args.output == "json":
        print(json.dumps(found, indent=2))
    else:
        print(plain("\n".join(as_text(found))))
    if not found["running"]:
        return NOT_RUNNING
    return WRONG if found.get("wrong") else 0


def collect(config: Config) -> dict[str, Any]:
    """All that can be said, whether the cloud runs or not."""
    found: dict[str, Any] = {
        "state": str(config.state),
        "prefix": config.folder.prefix,
        "url": config.kernel.public_url,
        "running": False,
        "phase": "stopped",
        "processes": [],
    }
    pid = config.folder.owner_pid()
    if pid is None:
        found["processes"] = served(config.folder)
        found["running"] = any(one["state"] == "running" for one in found["processes"])
        if found["processes"]:
            found["phase"] = "running" if found["running"] else "stopped"
        if found["running"] or not config.kernel.embedded:
            with signed_in(config) as api:
                found["wrong"] = wrong(config, api)
        return found
    try:
        answer = ask(config.folder, "status")
    except Unreachable as error:
        return {**found, "phase": "not answering", "supervisor_pid": pid, "reason": str(error)}
    found |= {
        "running": answer["state"] == "running",
        "phase": answer["state"],
        "supervisor_pid": answer["pid"],
        "fake": answer["fake"],
        "up_s": round(time.time() - answer["began_at"], 1),
        "processes": [{**child, "resident_mib": resident_mib(child["pid"])} for child in answer["processes"]],
        "level": level(answer["facts"], answer["fake"]),
        "facts": answer["facts"],
    }
    with signed_in(config) as api:
        if found["running"]:
            found["counts"] = counts(api)
        found["wrong"] = wrong(config, api)
    return found


@contextlib.contextmanager
def signed_in(config: Config) -> Iterator["Api | None"]:
    """The administrator's session; None where no API is expected, or nobody could sign in."""
    from aerostat.cli.api import Api, ApiFailed
    from aerostat.cli.doctor.settings import expects_api

    with contextlib.ExitStack() as stack:
        api = None
        if expects_api(config.folder, config):
            with contextlib.suppress(ApiFailed, StateFolderError):
                api = stack.enter_context(Api.as_admin(config, timeout_s=ASK_LIMIT_S))
        yield api


def wrong(config: Config, api: "Api | None") -> list[str]:
    """What `doctor` would call bad of that which the cloud stands on and of what it says of itself.

    Without a session hosts are not asked for: why there is none is what the other checks say.
    """
    from aerostat.cli.doctor import examine
    from aerostat.cli.doctor.cloud import check_database
    from aerostat.cli.doctor.machine import check_clock, check_room
    from aerostat.cli.doctor.reach import CHECKS, look_at_hosts

    checks = {"database": check_database, "disk": check_room, "clock": check_clock, **CHECKS}
    del checks["hosts"]
    if api is not None:
        checks["hosts"] = lambda _: look_at_hosts(api)
    findings = [examine(check, name, config.folder) for name, check in checks.items()]
    return [f"{one.name}: {one.words}" for one in findings if one.verdict == "bad"]


def counts(api: "Api | None") -> dict[str, int | None]:
    """How many servers and networks there are, as the administrator sees them; None: not answered."""
    from aerostat.cli.api import ApiFailed

    paths = {
        "servers": ("compute", "/servers?all_tenants=1"),
        "networks": ("network", "/v2.0/networks?fields=id"),
    }
    found: dict[str, int | None] = dict.fromkeys(paths)
    if api is None:
        return found
    for name, (service, path) in paths.items():
        with contextlib.suppress(ApiFailed):
            found[name] = len(api.get(service, path)[name])
    return found


def as_text(found: dict[str, Any]) -> Iterator[str]:
    since = f", up for {duration(found['up_s'])}" if found.get("up_s") else ""
    yield f"cloud       {found['phase']}{since}"
    yield f"state       {found['state']}"
    yield f"API         {found['url']}"
    for name, text in found.get("level", {}).items():
        yield f"{name:<11} {text}"
    for name, number in found.get("counts", {}).items():
        yield f"{name:<11} {'not answered' if number is None else number}"
    for words in found.get("wrong", ()):
        yield f"{'WRONG':<11} {words}"
    if found["processes"]:
        yield ""
        yield f"{'PROCESS':<18}{'STATE':<13}{'PID':>8}{'MIB':>8}{'RESTARTS':>10}  LAST EXIT"
    for child in found["processes"]:
        memory = "" if child["resident_mib"] is None else f"{child['resident_mib']:.0f}"
        columns = f"{child['name']:<18}{child['state']:<13}{child['pid'] or '':>8}{memory:>8}"
        yield f"{columns}{child['restarts']:>10}  {child['last_exit'] or ''}".rstrip()


def duration(seconds: float) -> str:
    hours, minutes = int(seconds // 3600), int(seconds // 60 % 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
