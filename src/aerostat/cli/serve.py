"""Run the roles of one process in the foreground.

This is what `up` starts and keeps; alone it serves for development, or under another supervisor.
"""

import argparse
import asyncio
import gc
import os
import socket
from collections.abc import Callable
from typing import Any

from aerostat.cli import CommandError, typed
from aerostat.cli.ending import until_told
from aerostat.cli.failures import told
from aerostat.cli.parts import ready_file_of, write_ready
from aerostat.cli.settings import settings_of
from aerostat.kernel import log
from aerostat.kernel.config import APART_ROLES, ROLES, Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role",
        action="append",
        choices=(*ROLES, *APART_ROLES),
        help="repeat for several, but not for host, which is a process of its own; default: kernel.roles of the"
        " settings; with --fake all",
    )
    parser.add_argument(
        "--fake", action="store_true", help="fake hypervisor and network, all in this process"
    )
    parser.add_argument("--port", type=int, help="port of the API")
    parser.add_argument(
        "--number", type=int, metavar="N", help="which of the hosts that `up` makes (with --role host)"
    )
    parser.add_argument(
        "--process", help="name of this process, one of a kind in its state folder (default: the first role)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="answer requests in N processes on the one port"
    )
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    gc.disable()  # what is loaded at the start stays: looking through it for garbage is a tenth of the time
    config = settings_of(args, fake=args.fake, port=args.port)
    roles = set(args.role or config.kernel.roles)
    if "host" in roles and roles != {"host"} and not args.fake:
        raise CommandError(
            "which role? The host role is a process of its own: serve --role host; all others may be together:"
            " serve --role api --role engine --role console"
        )
    if apart := roles & set(APART_ROLES):
        return _serve_objects(config, args, roles, apart)
    if args.workers != 1:
        _check_workers(args.workers, roles, config)
    if not config.kernel.prepares and roles != {"host"}:
        config.folder.secrets()  # which bootstrap made: without them nothing here begins
    # Disks of guests are nobody else's. All others make private what must be, and what is built for guests must come
    # out the same whatever the caller's umask is.
    os.umask(0o077 if roles == {"host"} else 0o022)
    process = args.process or ("cloud" if args.fake else (args.role or ["control"])[0])
    with config.folder.created() as keep_folder:
        lock = config.folder.lock_process(process)
        try:
            return _run(config, args, roles, process, keep_folder)
        finally:
            lock.release()


def _serve_objects(config: Config, args: argparse.Namespace, roles: set[str], apart: set[str]) -> int:
    """The object store's roles on machines of their own: `aerostat object serve`, by another name."""
    from aerostat.cli.object import serve as objects

    if roles != apart:
        raise CommandError(
            "the roles object-proxy and object-storage are processes apart from the cloud's others"
        )
    args.role = [role.removeprefix("object-") for role in sorted(apart)]
    args.process, args.node_fd = args.process or "object", None
    return objects.run(args)


def _check_workers(workers: int, roles: set[str], config: Config) -> None:
    if workers < 1 or "host" in roles or not roles & {"api", "console", "object"}:
        raise CommandError("--workers N is for the roles api, console and object, with N of at least 1")
    if config.kernel.embedded or not config.kernel.has_queue:
        raise CommandError(
            "several processes need a database and a queue that they can share: kernel.database_url ="
            ' "postgresql://…" and kernel.bus_url = "amqp://…"'
        )


def _run(
    config: Config, args: argparse.Namespace, roles: set[str], process: str, keep_folder: Callable[[], None]
) -> int:
    if config.kernel.embedded and roles != {"host"}:
        config.folder.ensure_secrets()
    log.configure(
        process,
        level=config.kernel.log_level,
        file=config.folder.log / f"{process}.jsonl",
        limit_bytes=config.kernel.log_bytes,
    )
    if roles == {"host"} and config.kernel.has_queue and not config.kernel.embedded:
        log.say(
            f"this machine is compute host {config.kernel.host_name} now, with the control plane's own settings and"
            f" passwords; on a machine of its own it should have only a host's: {typed()} host token, host join"
        )
    if args.workers > 1:
        from aerostat.cli.workers import serve_in_workers

        return serve_in_workers(config, process, roles, args)
    listener = socket.socket(fileno=args.listen_fd) if args.listen_fd is not None else None
    return serve(
        config,
        process,
        roles,
        fake=args.fake,
        number=args.number,
        listener=listener,
        parent_fd=args.parent_fd,
        begun=keep_folder,
    )


def serve(
    config: Config,
    process: str,
    roles: set[str],
    *,
    fake: bool,
    number: int | None = None,
    listener: socket.socket | None = None,
    parent_fd: int | None = None,
    begun: Callable[[], None] = lambda: None,
) -> int:
    """Serve until SIGTERM or SIGINT, or until `parent_fd` closes; returns the exit code.

    `begun` is called when requests are answered.
    """
    import uvloop

    from aerostat import app

    def ready(**facts: Any) -> None:
        gc.freeze()
        gc.enable()
        write_ready(config.folder, process, facts)
        begun()

    is_host = roles == {"host"}
    if is_host:
        work = app.run_host(config, number, ready=ready)
    else:
        work = app.run(config, roles, fake=fake, process=process, listener=listener, ready=ready)
    try:
        with told(config), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_told(work, parent_fd))
    finally:
        ready_file_of(config.folder, process).unlink(missing_ok=True)
    return 0
