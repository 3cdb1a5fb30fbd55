"""`identity rotate-keys`: a new key seals tokens a few seconds from now; older ones still open theirs."""

import argparse
import asyncio

from aerostat.cli.failures import told
from aerostat.cli.identity import identity_of
from aerostat.cli.settings import settings_of
from aerostat.kernel.config import Config


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    with told(config):
        gone = asyncio.run(_rotate(config, args.at_once))
    if args.at_once:
        print("A new key seals tokens. All others are gone: everybody has to log in again.")
    else:
        print(f"A new key seals tokens. {gone} older ones went, which no token needs any longer.")
    return 0


async def _rotate(config: Config, at_once: bool) -> int:
    from aerostat.services.identity.config import IdentityConfig
    from aerostat.services.identity.token_keys import TokenKeys

    async with identity_of(config) as store:
        return await TokenKeys(store, config.section(IdentityConfig)).rotate(at_once=at_once)
