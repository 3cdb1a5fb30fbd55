"""A process of its own that serves `host.child` until killed: `child local PATH`, `child amqp URL PREFIX`."""

import asyncio
import os
import sys
from pathlib import Path

from aerostat.kernel.bus import Bus, Message, open_local_bus
from aerostat.kernel.bus.amqp import open_amqp_bus


async def handle(message: Message) -> object:
    if message.verb == "sleep":
        await asyncio.sleep(message.body)
    return os.getpid()


async def main(kind: str, address: str, prefix: str = "") -> None:
    bus: Bus = await (
        open_local_bus(Path(address)) if kind == "local" else open_amqp_bus(address, prefix=prefix)
    )
    await bus.serve("host.child", handle)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
