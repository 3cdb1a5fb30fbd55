"""Build the test guest: a tiny Linux that boots in seconds and does what cloud images do.

It is made of Debian packages, fetched with apt and unpacked without installing anything; no root is needed.
Log in as `cloud`, with the key from the key pair.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from aerostat.cli import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("build",))
    parser.add_argument("output", nargs="?", default="test-guest.qcow2", help="file to write (%(default)s)")
    parser.add_argument("--cache", metavar="DIR", help="keep the fetched packages here for the next build")


def run(args: argparse.Namespace) -> int:
    from aerostat.guest.build import build_test_image
    from aerostat.guest.tools import GuestBuildError

    cache = Path(args.cache).absolute() if args.cache else None
    try:
        output = asyncio.run(build_test_image(Path(args.output).absolute(), cache, progress=say))
    except GuestBuildError as error:
        raise CommandError(str(error)) from None
    print(output)
    return 0


def say(line: str) -> None:
    print(f"aerostat: {line}", file=sys.stderr, flush=True)
