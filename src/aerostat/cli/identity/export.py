"""`identity export`: users, projects, roles and what belongs to them as one JSON document."""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from aerostat.cli.failures import told
from aerostat.cli.identity import identity_of
from aerostat.cli.settings import settings_of
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import write_private


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    with told(config):
        text = asyncio.run(_export(config))
    if args.output:
        write_private(Path(args.output), text)
        print(f"{args.output} has it all, password hashes too: keep it to yourself.", file=sys.stderr)
    else:
        print(text)
    return 0


async def _export(config: Config) -> str:
    from aerostat.services.identity.transfer import written

    async with identity_of(config) as store:
        document = await written(store)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
