"""Start an object store that needs nothing else, and say how it is used.

The first start makes it: a ring over the devices (folders or mounted disks; one in the state folder if none are
named), and two users. Later starts take it as it is. Without --detach it stays in the foreground.
"""

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from aerostat.cli import CommandError, typed
from aerostat.cli.object import PROCESS, places_folder, store_settings_of
from aerostat.cli.parts import own_environment, read_facts, ready_file_of
from aerostat.cli.settings import folder_of
from aerostat.cli.up import check_port_free, find_free_port, port_number, remember
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import StateFolder, write_private
from aerostat.services.object.cluster.policies import PolicyError
from aerostat.services.object.ring import RingError

DEFAULT_PORT = 8080
START_LIMIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", nargs="+", type=Path, metavar="DIR", help="where objects are kept")
    parser.add_argument("--replicas", type=int, metavar="N", help="copies of everything (default: 1)")
    parser.add_argument("--port", type=port_number, help="remembered (default: 8080; 0: one that is free)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="answer in N processes")
    parser.add_argument("--detach", "-d", action="store_true", help="return when it is ready")


def run(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    if args.workers < 1:
        raise CommandError("--workers N: at least 1")
    if (pid := folder.owner_pid(PROCESS)) is not None:
        raise CommandError(f"process {pid} already serves the store in {folder.path}")
    with folder.created() as keep:
        config = prepared(args, folder)
        check_port_free(config)
        try:
            found(config, args)
        except (PolicyError, RingError) as error:
            raise CommandError(f"the store cannot be made: {error}") from None
        keep()
    words = ["--state", str(folder.path), "--workers", str(args.workers), "--port", str(config.kernel.port)]
    if args.config:
        words += ["--config", str(Path(args.config).absolute())]
    if not args.detach:
        signal.signal(signal.SIGTERM, _interrupted)
    log = folder.log / f"{PROCESS}.log" if args.detach else None
    begins_at = log.stat().st_size if log is not None and log.exists() else 0
    child = start(folder, words, detached=args.detach)
    try:
        wait_ready(folder, child, log, begins_at)
        print("\n".join(closing_words(config)))
        sys.stdout.flush()
        return 0 if args.detach else child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        return child.wait()


def _interrupted(number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def prepared(args: argparse.Namespace, folder: StateFolder) -> Config:
    """Settings, with what the first start chooses written down."""
    if not folder.settings.exists() and not args.config:
        write_private(folder.settings, first_settings())
    port = args.port
    if port is None and not args.config and "port" not in _kernel_section(folder):
        port = DEFAULT_PORT
    if port == 0:
        port = find_free_port("127.0.0.1")
    if port is not None and not args.config:
        remember(folder.settings, "port", port)
    return store_settings_of(args, port=port)


def _kernel_section(folder: StateFolder) -> dict[str, Any]:
    """As it stands in the file; a file that cannot be read is for `settings_of` to complain of."""
    try:
        return dict(tomllib.loads(folder.settings.read_text()).get("kernel", {}))
    except (OSError, ValueError):
        return {}


def first_settings() -> str:
    """Two users with keys of their own."""
    return "# Settings of this object store; see docs/howto/object-store.md\n\n[kernel]\n\n" + "".join(
        f'[object.middleware.tempauth.users."{user}"]\nkey = "{secrets.token_urlsafe(12)}"\n'
        f'groups = ["{group}"]\n\n'
        for user, group in (("admin:admin", ".reseller_admin"), ("demo:demo", ".admin"))
    )


def found(config: Config, args: argparse.Namespace) -> None:
    """Rings and devices, at the first start."""
    from aerostat.services.object.config import ALONE, ObjectConfig, policies_of
    from aerostat.services.object.places import Places
    from aerostat.services.object.stores.mark import OtherFormat, check_format

    settings = config.section(ObjectConfig)
    places = Places(places_folder(config.state))
    if places.is_founded:
        try:
            for device in places.devices.iterdir():
                check_format(device)
        except OtherFormat as error:
            raise CommandError(str(error)) from None
        if args.devices or args.replicas:
            raise CommandError(
                f"the store in {config.state} has its rings; to change them: {typed()} object ring --help"
            )
        places.add_missing_rings(settings)
        return
    devices = [path.expanduser().resolve() for path in args.devices or ()]
    replicas = args.replicas or settings.replicas
    if replicas > max(len(devices), 1):
        raise CommandError(f"{replicas:g} copies need as many devices: --devices D1 D2 …")
    if len(set(devices)) < len(devices):
        raise CommandError("a device is named twice")
    is_alone = settings.node == ALONE  # devices of other nodes come later
    for policy in policies_of(settings) if settings.policies and is_alone else ():
        if policy.devices > max(len(devices), 1):
            raise CommandError(
                f"the storage policy {policy.name} needs {policy.devices:g} devices: --devices D1 D2 …"
            )
    names = [f"d{index + 1}" for index in range(len(devices) or 1)]
    places.devices.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, path in zip(names, devices, strict=False):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(places.device(name)):
                places.device(name).symlink_to(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be a device: {error.strerror}") from None
    places.found(msgspec.structs.replace(settings, replicas=replicas), names)


def start(folder: StateFolder, words: list[str], *, detached: bool) -> "subprocess.Popen[bytes]":
    """`object serve` as a process of its own; in the foreground it ends with us."""
    ready_file_of(folder, PROCESS).unlink(missing_ok=True)
    command = [sys.executable, "-m", "aerostat", "object", "serve", *words]
    if not detached:
        reading, _writing = os.pipe()  # closed when we are killed: it ends as well
        try:
            command += ["--parent-fd", str(reading)]
            return subprocess.Popen(command, env=own_environment(), pass_fds=[reading])
        finally:
            os.close(reading)
    log = os.open(folder.log / f"{PROCESS}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=own_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def wait_ready(
    folder: StateFolder, child: "subprocess.Popen[bytes]", log: Path | None, begins_at: int
) -> None:
    """Raises `CommandError` when it ends or takes too long. `log`: what it says, from `begins_at` on; None where the
    terminal shows that already.
    """
    give_up_at = time.monotonic() + START_LIMIT_S
    while not ready_file_of(folder, PROCESS).exists():
        if child.poll() is not None:
            why = last_words(log, begins_at) if log is not None else ""
            raise CommandError(
                f"the store did not start{why}; more in {folder.log}", exit_code=child.returncode or 1
            )
        if time.monotonic() > give_up_at:
            child.kill()
            raise CommandError(f"the store was not ready after {START_LIMIT_S:.0f} s; more in {folder.log}")
        time.sleep(0.02)


def last_words(log: Path, begins_at: int) -> str:
    """The last line of it, which says why it ended."""
    lines = log.read_bytes()[begins_at:].decode(errors="replace").strip().splitlines()
    return f": {lines[-1].removeprefix('aerostat: ')}" if lines else ""


def closing_words(config: Config) -> list[str]:
    from aerostat.services.object.config import ObjectConfig

    users = config.section(ObjectConfig).middleware.get("tempauth", {}).get("users", {})
    url = read_facts(config.folder).get("url", config.kernel.public_url)
    lines = ["The object store is ready.", f"  auth        {url}/auth/v1.0"]
    for user, facts in users.items():
        lines.append(f"  user        {user}, key {facts.get('key', '')}")
        lines.append(f"              {url}/v1/AUTH_{user.partition(':')[0]}")
    if users:
        name = "demo:demo" if "demo:demo" in users else next(iter(users))
        who = f"-U {shlex.quote(name)} -K {shlex.quote(users[name].get('key', ''))}"
        lines.append(f"  try         swift -A {url}/auth/v1.0 {who} upload things README.md")
    lines.append(f"  settings    {config.folder.settings}")
    lines.append(f"  stop        {typed()} object down --state {config.state}")
    return lines
