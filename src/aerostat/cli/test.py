"""Run the tests of one ring:

    fast        everything that needs neither root nor a hypervisor (the default)
    kernel      the shared floor
    ROOM        one room: compute, identity, image, network, orchestration, placement
    contracts   each flow and each driver against its contract
    house       all rooms in one process, with the official clients
    metal       the real hypervisor, network, queue and database; needs root
    all         everything

Words behind -- go to pytest.
"""

import argparse
import os
import sys

from aerostat.cli import CommandError
from aerostat.cli.checkout import checkout, need

FAST = ("-m", "not metal and not guest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ring", nargs="?", default="fast", metavar="RING")
    parser.add_argument(
        "--yes", "-y", action="store_true", help="metal: install missing system packages without asking"
    )
    parser.usage = "aerostat test [RING] [--yes] [-- PYTEST-OPTION …]"


def run(args: argparse.Namespace) -> int:
    need("pytest")
    root = checkout()
    folders = {path.name for path in (root / "tests").iterdir() if (path / "__init__.py").exists()}
    words = selection(args.ring, folders)
    os.chdir(root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words, *args.behind])


def selection(ring: str, folders: set[str]) -> list[str]:
    """What pytest is told for `ring`."""
    if ring == "fast":
        return [*FAST, "tests"]
    if ring == "all":
        return ["tests"]
    if ring == "metal":
        return ["-m", "metal or guest", "tests"]
    if ring in folders:
        return [*FAST, f"tests/{ring}"]
    raise CommandError(
        f"no ring {ring}; there are fast, metal, all, {', '.join(sorted(folders - {'metal'}))}", 2
    )
