"""Make a port of a server reachable on this machine, on loopback, until Ctrl-C:

aerostat forward SERVER 8080:80
"""

import argparse
import asyncio
import re
import sys

from aerostat.cli import CommandError
from aerostat.cli.relay import connect, join
from aerostat.cli.servers import reachable_address
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="name or id")
    parser.add_argument("ports", metavar="LOCAL:REMOTE", nargs="+", help="8080:80, or 80 for both")


def run(args: argparse.Namespace) -> int:
    pairs = [port_pair(text) for text in args.ports]
    config = kernel_settings_of(args)
    address = reachable_address(config, args.server)
    asyncio.run(forward(config, address, pairs))
    return 0


def port_pair(text: str) -> tuple[int, int]:
    """`8080:80` as numbers: here, there."""
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", text)
    if not match or any(not 0 < int(port) < 65536 for port in match.groups() if port):
        raise CommandError(f"{text} is no pair of ports; say LOCAL:REMOTE, for example 8080:80", 2)
    return int(match[1] or match[2]), int(match[2])


async def forward(config: Config, address: str, pairs: list[tuple[int, int]]) -> None:
    """Listen on loopback and carry each connection to `address`, for ever."""
    servers = []
    for here, there in pairs:
        try:
            servers.append(await _listen(config, address, here, there))
        except OSError as error:
            raise CommandError(f"cannot listen on 127.0.0.1 port {here}: {error.strerror}") from None
        print(f"127.0.0.1:{here} leads to {address}:{there}", file=sys.stderr, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _listen(config: Config, address: str, here: int, there: int) -> asyncio.Server:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await connect(config, address, there)
        except CommandError as error:
            print(f"aerostat: {error}", file=sys.stderr, flush=True)
            writer.close()
            return
        await join((reader, writer), far)

    return await asyncio.start_server(carry, "127.0.0.1", here)
