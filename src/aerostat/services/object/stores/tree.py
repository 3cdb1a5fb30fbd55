"""The folders of a store on a device: `STORE/PARTITION/SUFFIX/…`, with locks, and files that get their names whole.

What is changed in a folder is changed under its lock, which holds between threads and between processes. Everything
here blocks.
"""

import contextlib
import fcntl
import itertools
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
import structlog

from .held import SUFFIX_DIGITS, Held

QUARANTINED = "quarantined"
UNNAMED = "tmp"
UNNAMED_FOLDERS = 64
SETTLED_NS = 2_000_000_000
"""A folder that was changed less than so long ago may change again without its time telling it."""

log = structlog.get_logger(__name__)

_GET_FLAGS, _SET_FLAGS, _TOP_OF_HIERARCHY = 0x80086601, 0x40086602, 0x00020000  # linux/fs.h: FS_TOPDIR_FL
_numbers = itertools.count()
_token = secrets.token_hex(4)
_encode = msgspec.msgpack.Encoder().encode
_kept = msgspec.msgpack.Decoder(dict[str, tuple[int, str]])


class Tree:
    """One store's folders, made when they are needed. `unnamed`: where files are until they have their names, on the
    same file system; it is there.
    """

    def __init__(self, device: Path, store: str) -> None:
        self.store = store
        self.root = str(device / store)
        self.unnamed = str(device / UNNAMED)
        self._quarantined = str(device / QUARANTINED / store)
        self._digests = str(device / "digests" / store)

    def folder(self, part: int, hashed: str) -> str:
        return f"{self.root}/{part}/{hashed[-SUFFIX_DIGITS:]}"

    def new_path(self) -> str:
        """Where a file may lie until it has its name; nobody else's."""
        return f"{self.unnamed}/{os.getpid()}-{_token}-{next(_numbers)}"

    def new_file(self) -> tuple[str, int]:
        """One that has no name yet, opened for writing: its path and its descriptor. Raises OSError.

        They lie in many folders: ext4 gives a file an inode near its folder's, and without a journal walks past all
        that became free there within a minute. In one folder each DELETE makes every PUT of that minute dearer.
        """
        number = next(_numbers)
        folder = f"{self.unnamed}/{number % UNNAMED_FOLDERS:02x}"
        path = f"{folder}/{os.getpid()}-{_token}-{number}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            return path, os.open(path, flags, 0o600)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
            return path, os.open(path, flags, 0o600)

    def write_whole(self, path: str, content: bytes) -> None:
        """A small file, whole or not at all under its name; the folder's entry is not flushed yet. Raises OSError."""
        unnamed = self.new_path()
        try:
            with open(unnamed, "xb") as file:
                file.write(content)
                file.flush()
                os.fdatasync(file.fileno())
            os.rename(unnamed, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unnamed)

    @contextlib.contextmanager
    def locked(self, folder: str) -> Iterator[int]:
        """The folder, made if it was not there, opened, and nobody else's to change: between threads and processes."""
        while True:
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                with contextlib.suppress(FileNotFoundError):  # emptied and removed meanwhile: once more
                    make_folder(folder)
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_nlink:  # else it was removed while we waited
                    yield fd
                    return
            finally:
                os.close(fd)

    def remove_if_empty(self, folder: str) -> None:
        """With the folder's lock: an empty suffix goes, and its partition when that is empty, too."""
        for path in (folder, os.path.dirname(folder)):
            try:
                os.rmdir(path)
            except OSError:
                return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._digests}/{os.path.basename(os.path.dirname(folder))}")

    def is_open(self, fd: int, path: str) -> bool:
        """Whether a name is that of a file that is open here."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(path))
        except FileNotFoundError:
            return False

    def put_aside(self, folder: str, names: list[str], why: str) -> bool:
        """With the folder's lock: move files to where damaged ones are kept, and say so; False when there are none. A
        name may be a whole path.
        """
        os.makedirs(self._quarantined, exist_ok=True)
        moved = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                aside = f"{self._quarantined}/{os.path.basename(name)}~{_token}-{next(_numbers)}"
                os.rename(os.path.join(folder, name), aside)
                moved.append(os.path.basename(name))
        if moved:
            log.warning("damaged file put aside", store=self.root, files=moved, why=why)
        return bool(moved)

    # Going through all

    def partitions(self) -> list[int]:
        return sorted(int(name) for name in listed(self.root) if name.isdecimal())

    def suffixes(self, part: int) -> list[str]:
        return sorted(listed(f"{self.root}/{part}"))

    def names(self, part: int, suffix: str) -> list[str]:
        return listed(f"{self.root}/{part}/{suffix}")

    def digests(self, part: int, held: Callable[[int, str], Iterable[Held]]) -> dict[str, str]:
        """Of each suffix; taken from what was kept of them, if the folder has not been changed since."""
        base, kept_path = f"{self.root}/{part}", f"{self._digests}/{part}"
        kept = _read_kept(kept_path)
        now: dict[str, tuple[int, str]] = {}
        passing: dict[str, str] = {}
        for suffix in self.suffixes(part):
            try:
                changed_ns = os.stat(f"{base}/{suffix}").st_mtime_ns
            except FileNotFoundError:
                continue
            if (known := kept.get(suffix)) is not None and known[0] == changed_ns:
                now[suffix] = known
                continue
            is_settled = time.time_ns() - changed_ns > SETTLED_NS
            found = _digest(held(part, suffix))
            if is_settled:
                now[suffix] = (changed_ns, found)
            else:
                passing[suffix] = found
        if now != kept:
            self._keep(kept_path, msgspec.msgpack.encode(now))
        whole = passing | {suffix: found for suffix, (_, found) in now.items()}
        return {suffix: whole[suffix] for suffix in sorted(whole) if whole[suffix]}

    def _keep(self, path: str, digests: bytes) -> None:
        """What cannot be kept is worked out again: a device that is full is compared, and emptied, all the same."""
        unnamed = self.new_path()
        try:
            os.makedirs(self._digests, exist_ok=True)
            with open(unnamed, "xb") as file:
                file.write(digests)
            os.rename(unnamed, path)
        except OSError as error:
            log.info("digests_not_kept", store=self.root, why=str(error))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unnamed)

    def clear_unnamed(self, older_than_s: float, now_s: float) -> int:
        """Remove what writers that died have left; answers how many files it was."""
        removed = 0
        for path in self.unnamed_files():
            with contextlib.suppress(FileNotFoundError):
                if now_s - os.stat(path).st_mtime > older_than_s:
                    os.unlink(path)
                    removed += 1
        return removed

    def unnamed_files(self) -> list[str]:
        """Paths of the files that have no name yet."""
        found = []
        for folder, _, names in os.walk(self.unnamed):
            found += [f"{folder}/{name}" for name in names]
        return found


def make_folder(path: str) -> None:
    """Make the folders of a name, so that they are there after a power failure too."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        flush(os.path.dirname(path))


def spread_folders(path: Path) -> None:
    """What is in it shall lie far from each other, where the file system can be told so: man 1 chattr, T."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = bytearray(struct.calcsize("l"))
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, _GET_FLAGS, flags)
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", struct.unpack("l", flags)[0] | _TOP_OF_HIERARCHY))
    finally:
        os.close(fd)


def flush(path: str | Path) -> None:
    """What was written to a file, or what names a folder has, is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _digest(held: Iterable[Held]) -> str:
    """Empty for nothing. Which fragment of an object it is does not count: each device has another."""
    lines = {_encode(msgspec.structs.replace(one, fragment=None)) for one in held}
    return blake2b(b"\n".join(sorted(lines)), digest_size=12).hexdigest() if lines else ""


def _read_kept(path: str) -> dict[str, tuple[int, str]]:
    try:
        with open(path, "rb") as file:
            return _kept.decode(file.read())
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
