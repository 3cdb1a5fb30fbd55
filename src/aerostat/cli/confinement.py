"""How a command is run as an ordinary user: no capabilities, no way to new ones, and nothing in sight that it
does not need.

`setpriv` changes the user and drops the rest. Where the program or the state folder lie below a folder that is
closed to the user (`/root`, most often), the command gets a mount namespace of its own: an empty file system covers
the closed folder, and only what is needed stands in it, at its own path. Nothing outside changes, and the namespace
ends with the command.
"""

import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aerostat
from aerostat.cli.control_user import (
    ControlUser,
    NoUser,
    ensure_system_user,
    find_sudoer,
    hand_over,
    stay_root,
)
from aerostat.kernel.config import Config

TRIAL_LIMIT_S = 30.0
# What the control process does first, in small: find its program, its passwords, its database.
TRIAL = "import os, sys, aerostat.kernel.config; open(sys.argv[1]).close(); sys.exit(not os.access(sys.argv[2], 7))"


class CannotConfine(Exception):
    """The command cannot be run as that user here; the message says why."""


class Confined(NamedTuple):
    """The control process's user, and the words before its command."""

    user: ControlUser
    words: list[str]


def confine(config: Config) -> Confined:
    """Choose who the control process runs as, and give them what they need of the state folder.

    It stays root, with the reason, where there is nobody else or nobody else could run it.
    """
    reason = ""
    for find in (ensure_system_user, find_sudoer):
        try:
            if (found := find()) is not None:
                hand_over(config.folder, found)
                return Confined(found, prefix(config, found))
        except (NoUser, CannotConfine, OSError) as error:
            reason = reason or str(error)
    user = stay_root(reason)
    hand_over(config.folder, user)
    return Confined(user, [])


def prefix(config: Config, user: ControlUser) -> list[str]:
    """The words before a command that make it run as `user`; none for root. Raises `CannotConfine`."""
    if user.uid == 0:
        return []
    words = [*view(config, user), *_setpriv(config, user)]
    trial = [sys.executable, "-c", TRIAL, str(config.folder.secrets_file), str(config.folder.database.parent)]
    own = str(Path(aerostat.__file__).resolve().parents[1])
    try:
        done = subprocess.run(
            [*words, *trial],
            env={"PYTHONPATH": own, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TRIAL_LIMIT_S,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotConfine(str(error)) from error
    if done.returncode != 0:
        complaint = (done.stderr.strip().splitlines() or ["the state folder cannot be used"])[-1]
        raise CannotConfine(f"the program does not run as {user.name}: {complaint}")
    return words


def _setpriv(config: Config, user: ControlUser) -> list[str]:
    """All privileges dropped for good; what is kept is the right to a port below 1024, when that is asked for."""
    kept = "-all,+net_bind_service" if config.kernel.port < 1024 else "-all"
    return [
        *("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}", "--"),
    ]


def view(config: Config, user: ControlUser) -> list[str]:
    """Words before a command that let `user` reach what the command needs; none when nothing is closed."""
    closed: dict[Path, set[Path]] = {}
    for path in needed(config, user):
        if (door := closed_door(path, user)) is not None:
            closed.setdefault(door, set()).add(path)
    if not closed:
        return []
    stage = config.folder.run / "view"
    stage.mkdir(mode=0o700, exist_ok=True)
    script = "\n".join(["set -e", *_cover(closed, stage), 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "slave", "--", "/bin/sh", "-c", script, "view"]


def needed(config: Config, user: ControlUser) -> Iterator[Path]:
    """The folders that the control process reads: the program, its Python with all it loads, the state."""
    yield config.state
    yield Path(aerostat.__file__).resolve().parents[1]
    for place in (sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1]), *sys.path):
        if place and Path(place).exists():
            yield Path(place)
            yield Path(place).resolve()
    if user.cache is not None and (user.cache / "aerostat").is_dir():
        yield user.cache / "aerostat"


def closed_door(path: Path, user: ControlUser) -> Path | None:
    """The topmost folder on the way to `path` that `user` may not walk through."""
    for folder in reversed(path.parents):
        found = folder.stat()
        mine = found.st_uid == user.uid
        bit = stat.S_IXUSR if mine else stat.S_IXGRP if found.st_gid == user.gid else stat.S_IXOTH
        if not found.st_mode & bit:
            return folder
    return None


def _cover(closed: dict[Path, set[Path]], stage: Path) -> Iterator[str]:
    """Shell lines that build each closed folder anew at `stage`, then put it over the old one."""
    at = shlex.quote(str(stage))
    # What covers the stage itself comes last: until then everything is reached by its first path.
    for door in sorted(closed, key=lambda door: door in stage.parents):
        yield f"mount -t tmpfs -o mode=0755,size=1m aerostat {at}"
        for path in _outermost(closed[door]):
            source, target = shlex.quote(str(path)), shlex.quote(str(stage / path.relative_to(door)))
            if path.is_dir():
                yield f"mkdir -p {target}"
            else:
                yield f"mkdir -p {shlex.quote(str((stage / path.relative_to(door)).parent))}; : > {target}"
            yield f"mount --rbind {source} {target}"
        yield f"mount --rbind {at} {shlex.quote(str(door))}"


def _outermost(paths: set[Path]) -> list[Path]:
    """Those that lie in no other."""
    return sorted(path for path in paths if not paths & set(path.parents))
