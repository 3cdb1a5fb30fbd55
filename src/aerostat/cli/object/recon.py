"""Show what the daemons did on this machine's devices, how fast, what failed; how full the devices are.

What it reads lies on the devices: the store need not run.
"""

import argparse
import shutil
import time
from collections.abc import Iterator

import msgspec

from aerostat.cli import CommandError, typed
from aerostat.cli.object import places_folder
from aerostat.cli.settings import folder_of
from aerostat.services.object.daemons.progress import Report, reports
from aerostat.services.object.places import Places

GIB = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the reports as the daemons keep them")


def run(args: argparse.Namespace) -> int:
    places = Places(places_folder(folder_of(args).path))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no object store; {typed()} object up makes one")
    devices = sorted(places.devices.iterdir())
    if args.json:
        found = {device.name: reports(device) for device in devices}
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return 0
    for device in devices:
        print(f"{device.name}: {_space(str(device))}")
        for report in reports(device):
            print("\n".join(f"  {line}" for line in told(report, time.time())))
    return 0


def _space(path: str) -> str:
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        return f"away ({error.strerror})"
    return f"{usage.used / GIB:.1f} of {usage.total / GIB:.1f} GiB used, {usage.free / GIB:.1f} GiB free"


def told(report: Report, now_s: float) -> Iterator[str]:
    """A daemon on one device, in words."""
    last = ", ".join(f"{count} {what}" for what, count in sorted(report.last.items())) or "nothing to do"
    if report.ended_at:
        yield (
            f"{report.daemon:<14} round {report.rounds} ended {_ago(now_s - report.ended_at)},"
            f" took {report.took_s:.1f} s: {last}"
        )
    else:
        yield f"{report.daemon:<14} no round is complete yet"
    if report.began_at:
        done = ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items())) or "nothing yet"
        yield f"{'':<14} a round began {_ago(now_s - report.began_at)}: {done}"
    if report.error:
        yield f"{'':<14} {_ago(now_s - report.error_at)} it failed: {report.error}"


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, seconds):.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"
