"""Who the control process runs as: never root when there is somebody else, and what of the state folder is theirs.

A real cloud is started by root, for namespaces and the hypervisor. The control process, which users talk to, needs
none of that. It runs as the system user `aerostat`, made once, who owns nothing else: not the program, which root runs
at the next `up`, and nobody's home. Only where that user cannot be made or cannot run the program is it who typed
`sudo`. `nobody` will not do: whatever else runs as nobody could then read our passwords.

| what | owner | mode |
|---|---|---|
| the folder, `ovn/`, `instances/` | root, the user's group | 710: walked through, not listed |
| `run/`, `log/` | root, the user's group | 1770: all make files there, each removes only its own |
| `db/`, `images/`, `object/`, `secrets.toml`, their log | the user | 700, 600 |
| `aerostat.toml`, `policy.yaml` | root, the user's group | 640: settings steer root's processes too |
| all else | root | as it was |
"""

import contextlib
import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aerostat.kernel.state_folder import StateFolder

SYSTEM_USER = "aerostat"
FIRST_HUMAN_UID = 1000
PROGRAM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
WALKED_THROUGH, SHARED, PRIVATE = 0o710, 0o1770, 0o700


@dataclass(frozen=True)
class ControlUser:
    """The user of the control process. `reason`: why it is root, empty when it is not."""

    name: str
    uid: int
    gid: int
    cache: Path | None = None
    reason: str = ""

    def facts(self) -> dict[str, str]:
        """What `status` and the closing words say of it."""
        return {"control_user": self.name, "control_user_reason": self.reason}


class NoUser(Exception):
    """There is nobody but root; the message says why."""


def stay_root(reason: str) -> ControlUser:
    return ControlUser("root", 0, 0, reason=reason)


def find_sudoer(environ: Mapping[str, str] = os.environ) -> ControlUser | None:
    """Who called us through sudo, if their group is theirs alone: what the group may read must stay private."""
    try:
        found = pwd.getpwuid(int(environ["SUDO_UID"]))
        group = grp.getgrgid(found.pw_gid)
    except (KeyError, ValueError):
        return None
    if found.pw_uid == 0 or group.gr_name != found.pw_name or set(group.gr_mem) - {found.pw_name}:
        return None
    return ControlUser(found.pw_name, found.pw_uid, found.pw_gid, Path(found.pw_dir) / ".cache")


def ensure_system_user(name: str = SYSTEM_USER) -> ControlUser:
    """The user of that name, made without password, shell and home if it is not there. Raises `NoUser`."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        found = _make_system_user(name)
    if not 0 < found.pw_uid < FIRST_HUMAN_UID:
        raise NoUser(f"the user {name} of this machine is a person (uid {found.pw_uid}), not a service")
    return ControlUser(name, found.pw_uid, found.pw_gid, Path("/var/cache"))


def _make_system_user(name: str) -> pwd.struct_passwd:
    program = shutil.which("useradd", path=PROGRAM_FOLDERS)
    if program is None:
        raise NoUser(f"there is no user {name}, and no useradd to make it with")
    words = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    words += ["--shell", "/usr/sbin/nologin", "--comment", "Aerostat control plane", name]
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=30)
    try:
        return pwd.getpwnam(name)  # made by us, or by another cloud at the same moment
    except KeyError:
        complaint = done.stderr.strip().splitlines()[-1:] or [f"useradd exited with {done.returncode}"]
        raise NoUser(f"the user {name} could not be made: {complaint[0]}") from None


def hand_over(folder: StateFolder, user: ControlUser) -> None:
    """Give the control process what it needs of the folder, whoever had it before. A repeat changes nothing."""
    for path in (folder.path, folder.ovn, folder.instances):
        _own(path, 0, user.gid, WALKED_THROUGH)
    for path in (folder.run, folder.log):
        _own(path, 0, user.gid, SHARED)
    for path in (folder.database.parent, folder.images):
        _own_tree(path, user)
        _own(path, user.uid, user.gid, PRIVATE)
    if folder.object.stat().st_uid != user.uid:  # what lies there may be millions of files
        _own_tree(folder.object, user)
        _own(folder.object, user.uid, user.gid, PRIVATE)
    for path in (folder.settings, folder.path / "policy.yaml"):
        _own(path, 0, user.gid, 0o640)
    _own(folder.secrets_file, user.uid, user.gid, 0o600)
    for path in (
        *folder.log.glob("control*.jsonl"),
        folder.run / "bus.sock",
        *folder.run.glob("control*.lock"),
    ):
        _own(path, user.uid, user.gid)
    if user.cache is not None:
        _ensure_cache(user)


def _ensure_cache(user: ControlUser) -> None:
    """Where the first image is kept for other clouds of this user."""
    assert user.cache is not None
    if user.cache.is_dir() and user.cache.stat().st_uid == 0:
        with contextlib.suppress(FileExistsError):
            (user.cache / "aerostat").mkdir(mode=PRIVATE)
        _own(user.cache / "aerostat", user.uid, user.gid, PRIVATE)


def _own_tree(top: Path, user: ControlUser) -> None:
    """All below `top`, without following links: it may have been another user's until now."""
    for _, folders, files, handle in os.fwalk(top, follow_symlinks=False):
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            linked = not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1
            if (found.st_uid, found.st_gid) != (user.uid, user.gid) and not linked:
                os.chown(name, user.uid, user.gid, dir_fd=handle, follow_symlinks=False)


def _own(path: Path, uid: int, gid: int, mode: int | None = None) -> None:
    """Set owner and mode of what is there and no link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode) or (not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1):
        return
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if mode is not None and stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
