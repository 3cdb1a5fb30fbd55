"""Run the roles of one process in the foreground.

This is what `up` starts and keeps; alone it serves for development, or under another supervisor.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Coroutine
from typing import Any

from aerostat.cli import CommandError
from aerostat.cli.parts import ready_file_of, write_ready
from aerostat.cli.settings import settings_of
from aerostat.kernel import log
from aerostat.kernel.config import ROLES, Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", action="append", choices=ROLES, help="repeat for several; default: all")
    parser.add_argument(
        "--fake", action="store_true", help="fake hypervisor and network, all in this process"
    )
    parser.add_argument("--port", type=int, help="port of the API")
    parser.add_argument("--process", help="name of this process in the log (default: the first role)")


def run(args: argparse.Namespace) -> int:
    gc.disable()  # what is loaded at the start stays: looking through it for garbage is a tenth of the time
    config = settings_of(args, fake=args.fake, port=args.port)
    roles = set(args.role or config.kernel.roles)
    if "host" in roles and roles != {"host"} and not args.fake:
        raise CommandError("the host role is a process of its own: serve --role host")
    # Disks of guests are nobody else's. All others make private what must be, and what is built for guests must come
    # out the same whatever the caller's umask is.
    os.umask(0o077 if roles == {"host"} else 0o022)
    process = args.process or ("cloud" if args.fake else (args.role or ["control"])[0])
    config.folder.create()
    config.folder.ensure_secrets()
    log.configure(
        process,
        level=config.kernel.log_level,
        file=config.folder.log / f"{process}.jsonl",
        limit_bytes=config.kernel.log_bytes,
    )
    return serve(config, process, roles, fake=args.fake)


def serve(config: Config, process: str, roles: set[str], *, fake: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    import uvloop

    from aerostat import app

    def ready(**facts: Any) -> None:
        gc.freeze()
        gc.enable()
        write_ready(config.folder, process, facts)

    is_host = roles == {"host"}
    work = app.run_host(config, ready=ready) if is_host else app.run(config, roles, fake=fake, ready=ready)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(work))
    finally:
        ready_file_of(config.folder, process).unlink(missing_ok=True)
    return 0


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends, or a signal cancels it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
