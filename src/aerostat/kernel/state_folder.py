"""The state folder: everything that one cloud keeps, and where in it each thing lies.

    aerostat.toml     settings (kernel/config.py)       clouds.yaml, openrc   for clients, mode 600
    secrets.toml      passwords, mode 600               db/                   the SQLite database
    run/              sockets and the lock              log/*.jsonl           one stream per process
    images/  instances/  object/  ovn/                  what rooms and drivers keep

Two clouds on one machine have two folders, and nothing else in common: `prefix` names their namespaces and
devices.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

DEFAULT = "~/.local/state/aerostat"
FOLDERS = ("run", "log", "db", "images", "instances", "object", "ovn")

# Unix socket addresses end at 107 bytes; the longest name below run/ must fit behind the folder.
LONGEST_FOLDER_BYTES = 75


_SECRET_BYTES = {"sealing_key": 32}


class StateFolderError(Exception):
    """The folder cannot be used as it is; the message says why and what to do."""


class Busy(StateFolderError):
    """Another process of ours holds the folder."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What `secrets.toml` holds. Made once, at the first start; never printed but by `env`."""

    admin_password: str
    demo_password: str
    service_password: str
    sealing_key: str = ""
    """Of what lies encrypted in the database; empty only in a folder that no such cloud has started in yet."""


class StateFolder:
    """Paths below one folder; making it is `create`, not the constructor."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(Path(path).expanduser()))
        self.run = self.path / "run"
        self.log = self.path / "log"
        self.images = self.path / "images"
        self.instances = self.path / "instances"
        self.object = self.path / "object"
        self.ovn = self.path / "ovn"
        self.database = self.path / "db" / "aerostat.sqlite"
        self.settings = self.path / "aerostat.toml"
        self.secrets_file = self.path / "secrets.toml"
        self.clouds = self.path / "clouds.yaml"
        self.openrc = self.path / "openrc"
        self.lock_file = self.run / "supervisor.pid"
        self.control_socket = self.run / "control.sock"
        self.host_sockets = self.run / "sockets.sock"

    @classmethod
    def chosen(cls, path: str | None = None) -> "StateFolder":
        """`path`, else $AEROSTAT_STATE, else the user's own state folder."""
        return cls(path or os.environ.get("AEROSTAT_STATE") or DEFAULT)

    @property
    def prefix(self) -> str:
        """`as-` and six hex digits: first part of the name of each namespace and device of this cloud."""
        return "as-" + hashlib.sha256(os.fsencode(self.path)).hexdigest()[:6]

    @property
    def control_user(self) -> tuple[int, int]:
        """User and group of the control process: those to whom the database's folder was handed over."""
        found = self.database.parent.stat()
        return found.st_uid, found.st_gid

    @property
    def exists(self) -> bool:
        return self.secrets_file.exists()

    def create(self) -> None:
        """Make what is missing, with modes that keep other users out. Doing it again changes nothing."""
        if len(os.fsencode(self.path)) > LONGEST_FOLDER_BYTES:
            raise StateFolderError(
                f"{self.path} is too long a name: sockets below it would not fit in the"
                f" {LONGEST_FOLDER_BYTES} bytes that the system leaves. Choose a shorter --state."
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StateFolderError(f"cannot make the state folder {self.path}: {error.strerror}") from None

    @contextlib.contextmanager
    def created(self) -> Iterator[Callable[[], None]]:
        """`create`, for who may be refused: a folder that was made for it goes again when the block raises.

        Not once it was told to be kept, by a call of what the block is given, or has secrets or a database in it.
        """
        kept = [self.path / "secrets.toml", self.database]
        doomed = not self.path.exists()

        def keep() -> None:
            nonlocal doomed
            doomed = False

        self.create()
        try:
            yield keep
        except BaseException:
            if doomed and not any(file.exists() for file in kept):
                shutil.rmtree(self.path)
            raise

    def secrets(self) -> Secrets:
        """The passwords; raises `StateFolderError` when the file is absent or damaged."""
        try:
            return msgspec.convert(tomllib.loads(self.secrets_file.read_text()), Secrets)
        except FileNotFoundError:
            raise StateFolderError(
                f"no cloud was started in {self.path} yet (there is no {self.secrets_file}): aerostat up; or, where"
                " processes share a database: aerostat bootstrap, and the same secrets file on each machine"
            ) from None
        except OSError as error:
            raise StateFolderError(f"{self.secrets_file} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise StateFolderError(f"{self.secrets_file} is damaged: {error}") from None

    def ensure_secrets(self) -> Secrets:
        """The passwords; those that are not there yet are made at random."""
        there = msgspec.structs.asdict(self.secrets()) if self.secrets_file.exists() else {}
        if not all(there.get(name) for name in Secrets.__struct_fields__):
            kept = {
                name: there.get(name) or secrets.token_urlsafe(_SECRET_BYTES.get(name, 18))
                for name in Secrets.__struct_fields__
            }
            write_private(
                self.secrets_file, "".join(f"{name} = {json.dumps(one)}\n" for name, one in kept.items())
            )
        return self.secrets()

    def machine_id(self) -> str:
        """A name for this folder that no other has, made at the first call: tells two hosts of one name apart."""
        file = self.path / "machine-id"
        if not file.exists():
            write_private(file, secrets.token_hex(16) + "\n")
        return file.read_text().strip()

    def lock_process(self, process: str) -> "Lock":
        """Be the only process of that name in this folder, or raise `Busy`: two of one name share what is theirs."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Lock(self.run / f"{process}.lock", f"already runs as {process}")

    def lock(self) -> "Lock":
        """Take the folder for this process, or raise `Busy` with the pid of the one that has it."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Lock(self.lock_file)

    def owner_pid(self, process: str | None = None) -> int | None:
        """The process that holds the folder's lock, or the one that runs as `process`; None if nobody does, whatever
        the file says.
        """
        try:
            file = self.lock_file if process is None else self.run / f"{process}.lock"
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(handle, 32) or b"0")
        finally:
            os.close(handle)
        return None


class Lock:
    """An flock on a file that names its holder. The system lets go of it when the holder dies, however."""

    def __init__(self, path: Path, doing: str = "already runs a cloud") -> None:
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._handle, 32).decode() or "unknown"
            os.close(self._handle)
            raise Busy(f"process {holder} {doing} in {path.parent.parent}") from None
        self.record_pid()

    def record_pid(self) -> None:
        """Name the present process as the holder; to be called again after a fork."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    # Never into a file, or through a link, that somebody else put there.
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(handle)
    os.replace(beside, path)
