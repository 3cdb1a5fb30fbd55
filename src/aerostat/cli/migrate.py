"""Bring the database to the shape that this version needs: tables that are missing, migrations not yet made.

`up` does it by itself; this is for databases that several processes share.
"""

import argparse
import asyncio

from aerostat.cli.failures import told
from aerostat.cli.settings import settings_of
from aerostat.kernel import log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but the state folder is to be said."""


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    from aerostat.app import migrate

    with config.folder.created(), told(config):
        log.configure(
            "migrate", level=config.kernel.log_level, file=config.folder.log / "migrate.jsonl", only_file=True
        )
        asyncio.run(migrate(config))
    print(f"{config.kernel.database_url.split('@')[-1]} is up to date")
    return 0
