"""Make the first things of a cloud whose processes share a database: administrator, roles, catalog, networks, flavors.

To be called once, after `aerostat migrate`; a repeat makes what is missing and brings the catalog to the public URL. It
also makes the secrets file, of which every machine of the control plane needs the same copy.
"""

import argparse
import asyncio

from aerostat.cli import CommandError
from aerostat.cli.failures import told
from aerostat.cli.settings import settings_of
from aerostat.kernel import log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but the state folder and the settings file are to be said."""


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    if config.kernel.embedded:
        raise CommandError(
            "this cloud has a database of its own, which `aerostat up` makes and fills by itself"
        )
    from aerostat import app

    with config.folder.created(), told(config):
        file = config.folder.log / "bootstrap.jsonl"
        log.configure("bootstrap", level=config.kernel.log_level, file=file, only_file=True)
        first = asyncio.run(app.bootstrap(config))
    file = config.folder.secrets_file
    if first:
        print(
            f"The cloud has its first users: admin, password {config.folder.secrets().admin_password}; and demo."
        )
        print(f"Secrets are in {file}: give each machine of the control plane the same file, mode 600.")
    else:
        print("The cloud was there already; nothing is missing.")
    return 0
