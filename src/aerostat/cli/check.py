"""Check the source: format, lint, types, borders between the rooms, house rules.

--fix repairs what a machine can repair.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from aerostat.cli.checkout import checkout, need


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="format, and repair what the linter can")


def run(args: argparse.Namespace) -> int:
    need("ruff", "mypy", "pytest")
    root = checkout()
    failed = [name for name, words in checks(root, fix=args.fix).items() if not passes(name, words, root)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


def checks(root: Path, *, fix: bool) -> dict[str, list[str]]:
    """Name and module with arguments, in the order in which they are worth reading."""
    found = {
        "format": ["ruff", "format", *([] if fix else ["--check"]), "."],
        "lint": ["ruff", "check", *(["--fix"] if fix else []), "."],
        "types": ["mypy"],
    }
    for name, file in (("borders", "test_borders.py"), ("rules", "test_house_rules.py")):
        linter = root / "tests" / file
        if linter.exists():
            found[name] = ["pytest", "-q", str(linter)]
    return found


def passes(name: str, words: list[str], root: Path) -> bool:
    """Run one check; its words are shown only when it fails."""
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *words], cwd=root, capture_output=True, text=True)
    verdict = "ok" if done.returncode == 0 else "FAILED"
    print(f"{name:<8} {verdict:<7}{time.monotonic() - began_s:6.1f} s", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0
