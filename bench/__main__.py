"""`bench/run`: start a cloud with fakes, run the cases, print a table."""

import argparse
import asyncio
import compileall
import fnmatch
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aerostat
from aerostat.app import migrate, rooms
from aerostat.kernel.config import load
from aerostat.kernel.db import open_store
from aerostat.kernel.quota import EVERYONE, UNLIMITED
from aerostat.kernel.state_folder import StateFolder

from .cases import CASES
from .cloud import FakeCloud
from .measure import measured

CHEAP_BCRYPT = {"AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4"}
ROOMY = {"AEROSTAT_COMPUTE_CPU_RATIO": "1000", "AEROSTAT_COMPUTE_RAM_RATIO": "100"}
SETTLE_S = 3.0
IDLE_S = 5.0

# Two clouds in one process: the first loads the program.
IN_A_TEST = """
import time
began_s = time.monotonic()
from aerostat.testing import Cloud
for _ in range(2):
    with Cloud(log_level="error"):
        print(time.monotonic() - began_s)
    began_s = time.monotonic()
"""


def main() -> None:
    args = _arguments()
    os.environ.update(CHEAP_BCRYPT | ROOMY)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
    compileall.compile_dir(next(iter(aerostat.__path__)), quiet=1)
    lines = [f"Aerostat {aerostat.__version__}, {_commit()}. {_machine()}", ""]
    if args.scale:
        from . import scale

        if len(args.scale) > 1:
            _each_in_a_process(args.scale, args.keep, lambda line: lines.extend(_print([line])))
        else:
            hosts, servers = args.scale[0]
            scale.measure(hosts, servers, _commit(), args.keep, lambda line: lines.extend(_print([line])))
        if args.out:
            args.out.write_text("\n".join(lines) + "\n")
        return
    with tempfile.TemporaryDirectory(prefix="aerostat-bench-") as folder:
        state = Path(folder) / "state"
        lines += _starts(state) if args.only == "*" else []
        asyncio.run(_lift_quotas(state))
        with FakeCloud(state) as cloud:
            if args.only == "*":
                lines += _idle(cloud)
            lines += _operations(cloud, args)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument(
        "--fake", action="store_true", help="measure a cloud of fakes, started for it (default)"
    )
    parser.add_argument(
        "--scale",
        metavar="HOSTS:SERVERS",
        action="append",
        type=_size,
        help="measure a cloud of that size instead; may be repeated: --scale 10:200 --scale 1000:20000",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="with --scale: write each size to this file when it is done, and skip those it has of this commit",
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cases whose names match")
    parser.add_argument("--times", type=float, default=1.0, help="so many times the usual number of runs")
    parser.add_argument("--profile", action="store_true", help="wait before the cases, to attach a profiler")
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    return parser.parse_args()


def _each_in_a_process(
    sizes: list[tuple[int, int]], keep: Path | None, tell: Callable[[str], object]
) -> None:
    """Memory that one size took is not given back to the next."""
    kept = ["--keep", str(keep)] if keep is not None else []
    for hosts, servers in sizes:
        words = [sys.executable, "-m", "bench", "--scale", f"{hosts}:{servers}", *kept]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                tell(line.rstrip())
        if process.returncode:
            sys.exit(process.returncode)


def _size(text: str) -> tuple[int, int]:
    hosts, servers = text.split(":")
    return int(hosts), int(servers)


def _starts(state: Path) -> list[str]:
    """Three starts on one folder: the first makes the cloud."""
    rows = []
    for name, budget_s in (("first start", 1.0), ("second start", 1.0), ("third start", 1.0)):
        with FakeCloud(state) as cloud:
            rows.append((name, cloud.first_token_s, cloud.first_token_cpu_s, budget_s))
    shown = [
        "| start of `serve --fake`, until the first token | wall s | CPU s | budget, wall s |",
        "|---|---:|---:|---:|",
    ]
    shown += [f"| {name} | {wall:.2f} | {cpu:.2f} | {budget:g} |" for name, wall, cpu, budget in rows]
    done = subprocess.run([sys.executable, "-c", IN_A_TEST], capture_output=True, text=True, check=True)
    loading_s, again_s = map(float, done.stdout.split())
    shown.append(f"| `aerostat.testing.Cloud`, first of a process | {loading_s:.2f} | | 1 |")
    shown.append(f"| `aerostat.testing.Cloud`, each further | {again_s:.2f} | | 1 |")
    return _print([*shown, ""])


def _idle(cloud: FakeCloud) -> list[str]:
    time.sleep(SETTLE_S)
    before_s = cloud.tree.cpu_s()
    time.sleep(IDLE_S)
    share = (cloud.tree.cpu_s() - before_s) / IDLE_S
    pss = cloud.tree.pss_mib()
    return _print(
        [
            "| idle | measured | budget | peer |",
            "|---|---:|---:|---:|",
            f"| PSS, MiB | {pss:.0f} | 120 | 3,138 |",
            f"| processes | {len(cloud.tree.pids())} | | 47 |",
            f"| cores | {share:.4f} | | 0.04 |",
            "",
        ]
    )


def _operations(cloud: FakeCloud, args: argparse.Namespace) -> list[str]:
    lines = _print(
        [
            "| operation | n | CPU ms | wall ms | budget, CPU ms | peer, CPU ms |",
            "|---|---:|---:|---:|---:|---:|",
        ]
    )
    if args.profile:
        input(f"process {cloud.tree.root}; press return to go on: ")
    for case in CASES:
        if not fnmatch.fnmatch(case.name, args.only):
            continue
        lines += _print([measured(cloud, case, max(1, round(case.count * args.times)))])
    after = f"PSS after these: {cloud.tree.pss_mib():.0f} MiB."
    return lines + _print(["", after])


async def _lift_quotas(state: Path) -> None:
    """No limits for anybody, so that the cases are not about quotas."""
    config = load(StateFolder(state), {}, fake=True)
    config.folder.create()
    await migrate(config)
    store = await open_store(config.kernel.database_url)
    try:
        async with store.transaction() as tx:
            for room in rooms():
                for quotas in room.quotas:
                    await quotas.set_limits(tx, EVERYONE, dict.fromkeys(quotas.names, UNLIMITED))
    finally:
        await store.close()


def _print(lines: list[str]) -> list[str]:
    for line in lines:
        print(line, flush=True)
    return lines


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() or "no commit"


def _machine() -> str:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    load_1, _, _ = os.getloadavg()
    return (
        f"{len(names)} × {names[0] if names else platform.machine()}, {memory_kib / 2**20:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, load {load_1:.1f} at the start."
    )


if __name__ == "__main__":
    sys.exit(main())
