"""Run an object store in the foreground: what `object up` starts, alone or under another supervisor.

The role `proxy` answers users; `storage` serves this machine's devices to other nodes, on the address that `node` in
the settings names, and keeps them consistent. One process may be both.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import socket

from aerostat.cli import CommandError
from aerostat.cli.ending import until_told
from aerostat.cli.object import PROCESS, places_folder, store_settings_of
from aerostat.cli.parts import ready_file_of, write_ready
from aerostat.kernel import log
from aerostat.kernel.config import Config
from aerostat.services.object.config import ALONE, ObjectConfig

PROXY, STORAGE = ROLES = ("proxy", "storage")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", action="append", choices=ROLES, help="default: both")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="answer in N processes")
    parser.add_argument("--port", type=int, help="of the proxy; else as the settings say")
    parser.add_argument("--process", default=PROCESS, help=argparse.SUPPRESS)
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--node-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    gc.disable()  # what is loaded at the start stays
    config = store_settings_of(args, port=args.port)
    config.folder.create()
    os.umask(0o077)
    lock = config.folder.lock_process(args.process)
    try:
        log.configure(
            args.process,
            level=config.kernel.log_level,
            file=config.folder.log / f"{args.process}.jsonl",
            limit_bytes=config.kernel.log_bytes,
        )
        if args.workers > 1:
            return _serve_in_workers(config, args)
        return _serve(config, args)
    finally:
        lock.release()


def _serve_in_workers(config: Config, args: argparse.Namespace) -> int:
    from aerostat.cli.workers import Pool

    roles = args.role or ROLES
    if PROXY not in roles:
        raise CommandError("--workers N is for the role proxy")
    words = [
        "object",
        "serve",
        "--state",
        str(config.state),
        *(word for role in roles for word in ("--role", role)),
    ]
    if args.config:
        words += ["--config", args.config]
    nodes = _node_listener(_settings(config).node) if STORAGE in roles else None
    beside = {"--node-fd": nodes} if nodes is not None else {}
    return Pool(config, args.process, words, _listener(config), args.workers, beside).keep(args.parent_fd)


def _listener(config: Config) -> socket.socket:
    from aerostat.app_http import listen

    try:
        return listen(config.kernel.listen_address, config.kernel.port)
    except OSError as error:
        raise CommandError(f"cannot listen on port {config.kernel.port}: {error.strerror}") from None


def _serve(config: Config, args: argparse.Namespace) -> int:
    import uvloop

    roles = frozenset(args.role or ROLES)
    listener = None
    if args.listen_fd is not None:
        listener = socket.socket(fileno=args.listen_fd)
    elif PROXY in roles:
        listener = _listener(config)
    nodes = None
    if args.node_fd is not None:
        nodes = socket.socket(fileno=args.node_fd)
    elif STORAGE in roles:
        nodes = _node_listener(_settings(config).node)
    work = _answer(config, args.process, listener, nodes, has_devices=STORAGE in roles)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_told(work, args.parent_fd))
    finally:
        ready_file_of(config.folder, args.process).unlink(missing_ok=True)
    return 0


def _settings(config: Config) -> ObjectConfig:
    return config.section(ObjectConfig)


async def _answer(
    config: Config,
    process: str,
    listener: socket.socket | None,
    nodes: socket.socket | None,
    *,
    has_devices: bool,
) -> None:
    """`listener` is for users, `nodes` for other nodes."""
    from aerostat.app_http import serving
    from aerostat.services.object.cluster.policies import PolicyError
    from aerostat.services.object.places import Places
    from aerostat.services.object.ring import RingError
    from aerostat.services.object.room import ObjectStore
    from aerostat.services.object.stores.mark import OtherFormat

    places = Places(places_folder(config.state))
    try:
        store = ObjectStore(_settings(config), places)
    except FileNotFoundError as error:
        raise CommandError(f"{config.state} has no object store ({error.filename} is missing)") from None
    except (RingError, OtherFormat, PolicyError) as error:
        raise CommandError(str(error)) from None
    if listener is not None and not {"tempauth", "keystone"} & set(store.layers):
        raise CommandError(
            "anybody could do anything here: the settings need [object.middleware.tempauth] with users, or"
            " [object.middleware.keystone] with an auth_url"
        )
    try:
        async with contextlib.AsyncExitStack() as stack:
            store.start(has_devices=has_devices)
            most = config.kernel.most_connections
            if listener is not None:
                await stack.enter_async_context(serving(store.app, listener, most_connections=most))
            if nodes is not None:
                await stack.enter_async_context(serving(store.node, nodes, most_connections=most))
            gc.freeze()
            gc.enable()
            write_ready(config.folder, process, {"url": config.kernel.public_url} if listener else {})
            await asyncio.Event().wait()
    finally:
        await store.close()


def _node_listener(node: str) -> socket.socket | None:
    """Where other nodes reach this one; None where there are no others."""
    from aerostat.app_http import listen

    if node == ALONE:
        return None
    host, _, port = node.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise CommandError(f"object.node = {node!r} is no HOST:PORT")
    try:
        return listen(host.strip("[]"), int(port))
    except OSError as error:
        raise CommandError(f"cannot listen on {node}: {error.strerror}") from None
