"""What is done to users, roles and tokens by the operator, and not over the API.

aerostat identity export        write domains, projects, users, groups, roles and assignments to a file, hashes included
aerostat identity import FILE   take such a file in, whole or not at all
aerostat identity rotate-keys   seal tokens with a new key from now on; nobody is signed out
aerostat identity try-mapping FILE --says name=ann --says groups='dev;ops'
                                who a user of an identity provider would be here, by the mapping in the file

Except for the last they work on the cloud's database, whether the cloud runs or not; what runs sees it within a second.
"""

import argparse
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aerostat.cli import CommandError
from aerostat.kernel.config import Config
from aerostat.kernel.db import Seal, Store, check_schema, open_store

VERBS = {
    "export": "write all to a file",
    "import": "take a file in",
    "rotate-keys": "change the key that seals tokens",
    "try-mapping": "apply a mapping of federation",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb", choices=VERBS, help="; ".join(f"{verb}: {text}" for verb, text in VERBS.items())
    )
    parser.add_argument(
        "file", nargs="?", help="import, try-mapping: the file, JSON or YAML; - is standard input"
    )
    parser.add_argument(
        "--says",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="try-mapping: what the identity provider says of the user; several values are parted by semicolons",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="export: to this file, which only its owner may read (JSON)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="import: say what would change, change nothing"
    )
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="rotate-keys: drop all older keys, if somebody else may have them. Everybody has to log in again",
    )


def run(args: argparse.Namespace) -> int:
    name = {"import": "take_in", "rotate-keys": "rotate_keys", "try-mapping": "try_mapping"}.get(
        args.verb, args.verb
    )
    return int(importlib.import_module(f"aerostat.cli.identity.{name}").run(args) or 0)


@asynccontextmanager
async def identity_of(config: Config) -> AsyncIterator[Store]:
    """The database of a cloud that was started once. Raises what `failures.told` turns into words."""
    from aerostat.services.identity import model

    secrets = config.folder.secrets()
    if not secrets.sealing_key:
        raise CommandError(f"{config.folder.secrets_file} has no sealing_key: no cloud started here yet")
    store = await open_store(config.kernel.database_url, Seal(secrets.sealing_key))
    try:
        await check_schema(store, [model.TABLES])
        yield store
    finally:
        await store.close()
