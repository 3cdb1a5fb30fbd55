"""Start the cloud, and say when it can be used and how.

Without --detach it stays in the foreground and Ctrl-C stops the cloud; with it, `aerostat down` does.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aerostat.cli import CommandError, typed
from aerostat.cli.clouds import MergeRefused, entries, merge_into, user_clouds_path, write_client_files
from aerostat.cli.level import level
from aerostat.cli.settings import folder_of, kernel_settings_of
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import Lock, StateFolder, write_private

MOST_HOSTS = 9
HIGHEST_PORT = 65535
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=port_number, help="port of the API; remembered (default: 8780; 0: one that is free)"
    )
    parser.add_argument(
        "--yes", "-y", action="store_true", help="install missing system packages without asking"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="return when the cloud is ready")
    parser.add_argument("--fake", action="store_true", help="fake hypervisor and network: needs no root")
    parser.add_argument(
        "--hosts",
        type=int,
        metavar="N",
        help="make N compute hosts of this machine, each in namespaces of its own; remembered (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    folder.create()
    lock = folder.lock()
    try:
        config, first = prepare(args, folder)
    except BaseException:
        lock.release()
        raise
    terminal = Terminal(config, fake=args.fake, first=first)
    if args.detach:
        return start_detached(config, lock, terminal, fake=args.fake)
    return start_here(config, lock, terminal, fake=args.fake)


def prepare(args: argparse.Namespace, folder: StateFolder) -> tuple[Config, bool]:
    """Everything that must be right before a process is started. True: it is this folder's first start."""
    if not args.fake and os.geteuid() != 0:
        raise CommandError("a real cloud needs root, for namespaces and the hypervisor; `up --fake` does not")
    if args.hosts is not None and not 1 <= args.hosts <= MOST_HOSTS:
        raise CommandError(f"--hosts {args.hosts}: one to {MOST_HOSTS} hosts can be made of this machine")
    port = args.port
    if port == 0:
        port = find_free_port(kernel_settings_of(args, fake=args.fake).kernel.listen_address)
        say(f"port {port} is free; it is this cloud's from now on")
    config = kernel_settings_of(args, fake=args.fake, port=port, hosts=args.hosts)
    if not has_orphans(folder):
        check_port_free(config)  # otherwise it may be an orphan that listens, and it will be ended
    for key, value in (("port", port), ("hosts", args.hosts)):
        if value is not None:
            remember(folder.settings, key, value)
    first = not folder.exists
    folder.ensure_secrets()
    write_client_files(config)
    try:
        backup = merge_into(user_clouds_path(), entries(config))
    except MergeRefused as refusal:
        say(f"note: {refusal}. Our entry is in {folder.clouds}")
    else:
        if backup:
            say(f"{user_clouds_path()} has our entries now; as it was before: {backup.name}")
    return config, first


def port_number(text: str) -> int:
    """For argparse: a port, or 0 for any that is free."""
    port = int(text)
    if not 0 <= port <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{port} is no port: 1 to {HIGHEST_PORT}, or 0 for any that is free")
    return port


def find_free_port(address: str) -> int:
    """A port on which nobody listens now, as the system chooses it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise CommandError(f"cannot listen on {address}: {error.strerror}") from None
        return int(probe.getsockname()[1])


def has_orphans(folder: StateFolder) -> bool:
    """Whether processes of a supervisor that was killed still run."""
    from aerostat.kernel.processes import find_start_ticks
    from aerostat.kernel.supervise import read_status

    return any(child.pid and find_start_ticks(child.pid) for child in read_status(folder.path))


def remember(settings: Path, key: str, value: int) -> None:
    """Write a number into the settings file's first section, so that every later command goes by it."""
    text = (
        settings.read_text()
        if settings.exists()
        else "# Settings of this cloud; see docs/howto/configure.md\n"
    )
    if re.search(rf"(?m)^\s*{key}\s*=", text):
        text = re.sub(rf"(?m)^(\s*){key}\s*=.*$", rf"\g<1>{key} = {value}", text, count=1)
    elif re.search(r"(?m)^\[kernel\]", text):
        text = re.sub(r"(?m)^\[kernel\].*$", rf"\g<0>\n{key} = {value}", text, count=1)
    else:
        text += f"\n[kernel]\n{key} = {value}\n"
    write_private(settings, text)


def check_port_free(config: Config) -> None:
    address, port = config.kernel.listen_address, config.kernel.port
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CommandError(
                f"cannot listen on {address} port {port}: {error.strerror}. Another one: up --port N"
            ) from None


def start_here(config: Config, lock: Lock, terminal: "Terminal", *, fake: bool) -> int:
    """Be the supervisor, with progress on the terminal."""
    supervise(config, lock, terminal.show, fake=fake)
    if terminal.exit_code == 0:
        say("the cloud is stopped")
    return terminal.exit_code or 0


def start_detached(config: Config, lock: Lock, terminal: "Terminal", *, fake: bool) -> int:
    """Leave a supervisor behind that belongs to no terminal; return when it is ready or has failed."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_daemon(config, lock, writing, fake=fake)
    os.close(writing)
    os.waitpid(child, 0)
    try:
        with os.fdopen(reading) as stream:
            for line in stream:
                terminal.show(json.loads(line))
                if terminal.exit_code is not None:
                    return terminal.exit_code
    except KeyboardInterrupt:
        say(f"it goes on starting; `{typed()} status` shows how far it is, `{typed()} down` stops it")
        return 130
    raise CommandError(
        f"the supervisor died without a word; see {config.folder.log}/supervisor.log", exit_code=1
    )


def _become_daemon(config: Config, lock: Lock, writing: int, *, fake: bool) -> None:
    """Second half of the double fork; never returns."""
    exit_code = 1
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        output = os.open(config.folder.log / "supervisor.log", _APPENDING, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for handle, number in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(handle, number)
        _close_inherited()
        exit_code = supervise(config, lock, _report_to(writing), fake=fake)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(exit_code)


def _close_inherited() -> None:
    """Let go of what who started us had open: a lock it holds would be held as long as the cloud runs.

    Python opens everything with close-on-exec, so what lacks it was open before us.
    """
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        with contextlib.suppress(OSError):  # the listing's own descriptor has gone by now
            if number > 2 and os.get_inheritable(number):
                os.close(number)


def _report_to(writing: int) -> Callable[[dict[str, Any]], None]:
    """Reports as lines in a pipe; the reader may have gone, and needs no more after the outcome."""
    open_pipe = [writing]

    def report(line: dict[str, Any]) -> None:
        if not open_pipe:
            return
        try:
            os.write(writing, json.dumps(line).encode() + b"\n")
            over = "ready" in line or "failed" in line
        except BrokenPipeError:
            over = True
        if over:
            os.close(open_pipe.pop())

    return report


def supervise(config: Config, lock: Lock, report: Callable[[dict[str, Any]], None], *, fake: bool) -> int:
    from aerostat.cli.supervisor import CloudSupervisor
    from aerostat.kernel import log

    log.configure(
        "supervisor",
        level=config.kernel.log_level,
        file=config.folder.log / "supervisor.jsonl",
        only_file=True,  # the terminal shows progress instead
        limit_bytes=config.kernel.log_bytes,
    )
    asyncio.run(CloudSupervisor(config, fake=fake, report=report).run(lock))
    return 0


class Terminal:
    """Shows progress and the closing words; knows the exit code once the outcome is there."""

    def __init__(self, config: Config, *, fake: bool, first: bool) -> None:
        self._config = config
        self._fake = fake
        self._first = first
        self._began_s = time.monotonic()
        self._shown: set[str] = set()
        self.exit_code: int | None = None

    def show(self, line: dict[str, Any]) -> None:
        if "ready" in line:
            self.exit_code = 0
            seconds = time.monotonic() - self._began_s
            print("\n".join(closing_words(self._config, line["ready"], self._first, self._fake, seconds)))
            sys.stdout.flush()
        elif "failed" in line:
            self.exit_code = 1
            say(f"the cloud did not start: {line['failed']}")
            say(f"more in {self._config.folder.log} ({typed()} logs), and try: {typed()} doctor")
        elif line.get("state") == "running" and line["step"] not in self._shown:
            self._shown.add(line["step"])
            say(f"{time.monotonic() - self._began_s:5.1f} s  {line['step']} is ready")
        elif line.get("state") == "backing_off":
            say(f"         {line['step']} ended and is started again")


def closing_words(
    config: Config, facts: dict[str, Any], first: bool, fake: bool, seconds: float
) -> Iterator[str]:
    """What a user wants to know when the cloud is ready."""
    state = config.folder.path
    yield f"The cloud is ready after {seconds:.1f} s."
    yield f"  API         {config.kernel.public_url}"
    yield f"  state       {state}"
    if first:
        yield f"  user        admin, password {config.folder.secrets().admin_password}"
        yield f"              (shown only now; kept in {config.folder.secrets_file}, mode 600; also: demo)"
    else:
        yield f"  users       admin and demo; passwords in {config.folder.secrets_file}"
    for name, text in level(facts, fake).items():
        yield f"  {name:<11} {text}"
    option = "" if state == StateFolder.chosen().path else f" --state {state}"
    yield f'  clients     eval "$({typed()} env{option})"   or   export OS_CLOUD=aerostat'
    yield "  try         openstack token issue; openstack flavor list; openstack stack create …"
    yield f"  stop        {typed()} down{option}"


def say(text: str) -> None:
    print(f"aerostat: {text}", file=sys.stderr, flush=True)
