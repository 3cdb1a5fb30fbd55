"""Stop the object store of a folder. Nothing is lost: what was acknowledged is on the disk."""

import argparse
import asyncio

from aerostat.cli import CommandError
from aerostat.cli.object import PROCESS
from aerostat.cli.parts import ready_file_of
from aerostat.cli.settings import folder_of
from aerostat.kernel.processes import Process

STOP_LIMIT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    pid = folder.owner_pid(PROCESS)
    if pid is None:
        raise CommandError(f"no object store runs in {folder.path}")
    asyncio.run(_end(pid))
    ready_file_of(folder, PROCESS).unlink(missing_ok=True)
    print("The object store is stopped.")
    return 0


async def _end(pid: int) -> None:
    if (process := Process.find(pid)) is None:
        return
    try:
        await process.end(timeout_s=STOP_LIMIT_S)
    finally:
        process.close()
