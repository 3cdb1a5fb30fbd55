"""Stop the cloud: its guests, its processes, its namespaces. What it keeps stays: `up` brings it back.

It works in whatever state the cloud is: starting, running, or with its supervisor killed. With --purge the
state folder goes too.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time

from aerostat.cli import CommandError
from aerostat.cli.ask import Unreachable, ask
from aerostat.cli.clouds import MergeRefused, entries, take_out, user_clouds_path
from aerostat.cli.settings import folder_of, kernel_settings_of
from aerostat.kernel.config import ConfigError
from aerostat.kernel.state_folder import StateFolder

STOP_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--purge", action="store_true", help="delete the state folder too, with all it holds")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask before deleting")


def run(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    if not folder.path.is_dir():
        print(f"There is no cloud in {folder.path}.")
        return 0
    if args.purge:
        confirm_purge(folder, args.yes)
    stopped = stop_supervisor(folder)
    orphans = stop_what_is_left(folder)
    if args.purge:
        forget_clouds(args)
        shutil.rmtree(folder.path)
        print(f"The cloud in {folder.path} is stopped and deleted.")
    elif stopped or orphans:
        print(f"The cloud in {folder.path} is stopped.")
    else:
        print(f"No cloud was running in {folder.path}.")
    return 0


def forget_clouds(args: argparse.Namespace) -> None:
    """Take the cloud's entries, and with them its passwords, out of the user's clouds.yaml."""
    folder = folder_of(args)
    if not folder.exists:
        return
    try:
        take_out(user_clouds_path(), entries(kernel_settings_of(args)))
    except (MergeRefused, ConfigError) as refusal:
        print(f"aerostat: note: {refusal}", file=sys.stderr)


def confirm_purge(folder: StateFolder, yes: bool) -> None:
    """Only a folder that is recognised as ours is deleted, and only when the user means it."""
    known = {folder.settings.name, folder.secrets_file.name, "run", "log", "db"}
    if not known & set(os.listdir(folder.path)):
        raise CommandError(f"{folder.path} does not look like a cloud's state folder; it was not deleted")
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here; --purge --yes deletes the state folder without asking")
    answer = input(f"Delete {folder.path} with all servers, images and settings in it? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was stopped or deleted")


def stop_supervisor(folder: StateFolder) -> bool:
    """Tell a living supervisor to stop and wait until it has; False if there was none."""
    pid = folder.owner_pid()
    if pid is None:
        return False
    try:
        ask(folder, "stop")
    except Unreachable:
        # Between taking the lock and listening, or hanging: the signal asks for the same.
        os.kill(pid, 15)
    limit_s = time.monotonic() + STOP_S
    while folder.owner_pid() is not None:
        if time.monotonic() > limit_s:
            raise CommandError(f"supervisor {pid} did not end in {STOP_S:.0f} s; kill it, then run it again")
        time.sleep(0.05)
    return True


def stop_what_is_left(folder: StateFolder) -> bool:
    """Clean up after a supervisor that was killed; True if it had left something running."""
    from aerostat.cli.supervisor import stop_orphans
    from aerostat.kernel.config import load
    from aerostat.kernel.supervise import read_status

    folder.create()
    lock = folder.lock()
    try:
        left = [child for child in read_status(folder.path) if child.pid is not None]
        asyncio.run(stop_orphans(load(folder)))
    finally:
        lock.release()
    return bool(left)
