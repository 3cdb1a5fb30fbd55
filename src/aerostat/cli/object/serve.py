"""Run an object store in the foreground: what `object up` starts, alone or under another supervisor."""

import argparse
import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aerostat.cli import CommandError
from aerostat.cli.object import places_folder
from aerostat.cli.object.up import PROCESS
from aerostat.cli.parts import ready_file_of, write_ready
from aerostat.cli.serve import until_told
from aerostat.cli.settings import settings_of
from aerostat.kernel import log
from aerostat.kernel.config import Config

if TYPE_CHECKING:
    from aerostat.services.object.room import ObjectStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="answer in N processes")
    parser.add_argument("--process", default=PROCESS, help=argparse.SUPPRESS)
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    gc.disable()  # what is loaded at the start stays
    config = settings_of(args)
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

    words = ["object", "serve", "--state", str(config.state)]
    if args.config:
        words += ["--config", args.config]
    return Pool(config, args.process, words, _listener(config), args.workers).keep()


def _listener(config: Config) -> socket.socket:
    from aerostat.app_http import listen

    try:
        return listen(config.kernel.listen_address, config.kernel.port)
    except OSError as error:
        raise CommandError(f"cannot listen on port {config.kernel.port}: {error.strerror}") from None


def _serve(config: Config, args: argparse.Namespace) -> int:
    import uvloop

    listener = socket.socket(fileno=args.listen_fd) if args.listen_fd is not None else _listener(config)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_told(_answer(config, args.process, listener), args.parent_fd))
    finally:
        ready_file_of(config.folder, args.process).unlink(missing_ok=True)
    return 0


@contextlib.asynccontextmanager
async def _answering_nodes(store: "ObjectStore") -> AsyncIterator[None]:
    """Where the node has an address in the rings, other nodes may ask for its devices; each worker answers some."""
    from aerostat.app_http import listen, serving

    host, colon, port = store.settings.node.rpartition(":")
    if not colon:
        yield
        return
    try:
        listener = listen(host.strip("[]"), int(port), is_shared=True)
    except OSError as error:
        raise CommandError(f"cannot listen on {store.settings.node}: {error.strerror}") from None
    async with serving(store.node, listener):
        yield


async def _answer(config: Config, process: str, listener: socket.socket) -> None:
    from aerostat.app_http import serving
    from aerostat.services.object.config import ObjectConfig
    from aerostat.services.object.places import Places
    from aerostat.services.object.ring import RingError
    from aerostat.services.object.room import ObjectStore

    places = Places(places_folder(config.state))
    try:
        store = ObjectStore(config.section(ObjectConfig), places)
    except FileNotFoundError as error:
        raise CommandError(f"{config.state} has no object store ({error.filename} is missing)") from None
    except RingError as error:
        raise CommandError(str(error)) from None
    try:
        store.start()
        async with serving(store.app, listener), _answering_nodes(store):
            gc.freeze()
            gc.enable()
            write_ready(config.folder, process, {"url": config.kernel.public_url})
            await asyncio.Event().wait()
    finally:
        await store.close()
