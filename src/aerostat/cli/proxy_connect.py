"""Join standard input and output to a TCP port in the cloud's external network: ssh's ProxyCommand."""

import argparse
import asyncio

from aerostat.cli.relay import connect, join_stdio
from aerostat.cli.settings import kernel_settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address")
    parser.add_argument("port", type=int)


def run(args: argparse.Namespace) -> int:
    async def carry() -> None:
        await join_stdio(await connect(kernel_settings_of(args), args.address, args.port))

    asyncio.run(carry())
    return 0
