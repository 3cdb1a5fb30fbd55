"""`identity import FILE`: what the file says of users, projects and roles becomes so, whole or not at all."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from aerostat.cli import CommandError
from aerostat.cli.failures import told
from aerostat.cli.identity import identity_of
from aerostat.cli.settings import settings_of
from aerostat.kernel.config import Config


def run(args: argparse.Namespace) -> int:
    if args.file is None:
        raise CommandError("aerostat identity import FILE: which file?", 2)
    config = settings_of(args)
    data = _read(args.file)
    with told(config):
        outcome = asyncio.run(_take_in(config, data, args.dry_run))
    words = "would be " if args.dry_run else ""
    print(f"{outcome.made} {words}made, {outcome.changed} {words}changed, {outcome.same} as they are.")
    return 0


async def _take_in(config: Config, data: Any, dry_run: bool) -> Any:
    from aerostat.services.identity.transfer_in import Refused, read, take_in

    try:
        document = read(data)
        async with identity_of(config) as store:
            return await take_in(store, document, dry_run=dry_run)
    except Refused as error:
        raise CommandError(f"the file is refused, and nothing has changed:\n{error}") from None


def _read(name: str) -> Any:
    from aerostat.services.orchestration.template.errors import TemplateError
    from aerostat.services.orchestration.template.text import Limits, load

    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from None
    limits = Limits(size_bytes=1 << 30, depth=20, nodes=100_000_000)
    try:
        return load(raw, limits, "file")
    except TemplateError as error:
        raise CommandError(f"{name}: {error}") from None
