"""Objects of one storage policy on one device.

    DEVICE/objects[-POLICY]/PARTITION/SUFFIX/HASH         the object, or its tombstone
    DEVICE/objects[-POLICY]/PARTITION/SUFFIX/HASH.post    what a later POST said
    DEVICE/tmp/…                                          files that have no name yet

A name has one file, and that file is replaced by a rename: whoever looks finds the object before or after, never
between. All that changes a name does so under the lock of its folder, looks at what is there, and gives way to
what is newer. What is answered as done is on the disk: the file, and the folder's entry of it.

Everything here blocks; callers have threads. Names come as hashes only.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from ..timestamp import Timestamp
from .object_file import (
    Damaged,
    Facts,
    Revision,
    ending,
    read,
    read_revision,
    revised,
    write_revision,
)

SUFFIX_DIGITS = 2
_POST = ".post"
_unnamed = 0


class Superseded(Exception):
    """Something newer is there. `timestamp` is its time."""

    def __init__(self, timestamp: Timestamp) -> None:
        super().__init__(timestamp)
        self.timestamp = timestamp


class Found:
    """An object, or its tombstone, opened. Its bytes stay readable whatever happens to its name; close it."""

    __slots__ = ("_fd", "data", "facts", "written")

    def __init__(self, fd: int, facts: Facts, written: Facts, data: bytes | None) -> None:
        self._fd = fd
        self.facts = facts
        """With what was said by a POST."""
        self.written = written
        """As the PUT left it."""
        self.data = data
        """All bytes, when they are few; None when they are to be read piece by piece."""

    def fileno(self) -> int:
        return self._fd

    def read(self, start: int, size: int) -> bytes:
        """At most `size` bytes from `start`, none behind the object's end."""
        size = min(size, self.facts.size - start)
        return os.pread(self._fd, size, start) if size > 0 else b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "Found":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Writing:
    """Bytes on their way to a name. `commit` gives them the name; without it `close` leaves no trace."""

    def __init__(self, objects: "Objects", part: int, hashed: str) -> None:
        global _unnamed
        _unnamed += 1
        self._objects = objects
        self._folder, self._hashed = objects.folder(part, hashed), hashed
        self._path = f"{objects.unnamed}/{os.getpid()}-{_unnamed}"
        self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._reserved = 0
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises OSError, ENOSPC among them; then it is for the caller to `close`."""
        self._write(data)
        self.size += len(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def reserve(self, size: int) -> None:
        """Be sure of the room before the bytes are sent. Raises OSError."""
        os.posix_fallocate(self._fd, 0, size)
        self._reserved = size

    def commit(self, facts: Facts) -> None:
        """The object is there from now on, and stays. Raises `Superseded`, OSError."""
        self._write(ending(facts))
        if self._reserved > os.lseek(self._fd, 0, os.SEEK_CUR):
            os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR))
        os.fdatasync(self._fd)
        with self._objects.locked(self._folder) as folder:
            present = self._objects.written(self._folder, self._hashed)
            if present is not None and present.timestamp >= facts.timestamp:
                raise Superseded(present.timestamp)
            os.rename(self._path, f"{self._folder}/{self._hashed}")
            self._objects.drop_older_revision(self._folder, self._hashed, facts.timestamp)
            os.fsync(folder)
        self._path = ""
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            self._path = ""


class Objects:
    """One policy's objects on one device. `policy` is its index, 0 the first."""

    def __init__(self, device: Path, policy: int = 0) -> None:
        self.root = str(device / ("objects" if policy == 0 else f"objects-{policy}"))
        self.unnamed = str(device / "tmp")
        os.makedirs(self.unnamed, exist_ok=True)
        os.makedirs(self.root, exist_ok=True)

    def folder(self, part: int, hashed: str) -> str:
        return f"{self.root}/{part}/{hashed[-SUFFIX_DIGITS:]}"

    # Reading

    def find(self, part: int, hashed: str) -> Found | None:
        """What is under the name, a tombstone too; None for nothing. Raises `Damaged`, OSError."""
        path = f"{self.folder(part, hashed)}/{hashed}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            written, data = read(fd)
            revision = self._revision(path)
        except BaseException:
            os.close(fd)
            raise
        return Found(fd, revised(written, revision), written, data)

    def _revision(self, path: str) -> Revision | None:
        try:
            fd = os.open(path + _POST, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return read_revision(file.read())

    def written(self, folder: str, hashed: str) -> Facts | None:
        """The facts of the file alone; of a damaged one nothing, since anything may take its place."""
        try:
            fd = os.open(f"{folder}/{hashed}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return read(fd)[0]
        except Damaged:
            return None
        finally:
            os.close(fd)

    # Writing

    def begin(self, part: int, hashed: str) -> Writing:
        return Writing(self, part, hashed)

    def put(self, part: int, hashed: str, data: bytes, facts: Facts) -> None:
        """A small object, whole. Raises `Superseded`, OSError."""
        writing = self.begin(part, hashed)
        try:
            writing.write(data)
            writing.commit(facts)
        finally:
            writing.close()

    def delete(self, part: int, hashed: str, path: str, timestamp: Timestamp) -> Facts | None:
        """Put a tombstone there; answers what was there before it. Raises `Superseded`, OSError."""
        before = self.written(self.folder(part, hashed), hashed)
        self.put(part, hashed, b"", Facts(path=path, timestamp=timestamp, is_gone=True))
        return before

    def post(self, part: int, hashed: str, revision: Revision) -> Facts | None:
        """Let the object have other metadata; answers the object as it is then, None when there is none.

        Raises `Superseded`, `Damaged`, OSError.
        """
        folder = self.folder(part, hashed)
        path = f"{folder}/{hashed}"
        with self.locked(folder) as opened:
            written = self.written(folder, hashed)
            if written is None or written.is_gone:
                return None
            earlier = self._revision(path)
            newest = max(written.timestamp, earlier.timestamp if earlier is not None else 0)
            if revision.timestamp <= newest:
                raise Superseded(newest)
            if revision.content_type is None and earlier is not None and earlier.content_type is not None:
                revision = msgspec.structs.replace(
                    revision, content_type=earlier.content_type, content_type_at=earlier.content_type_at
                )
            self._write_whole(path + _POST, write_revision(revision))
            os.fsync(opened)
            return revised(written, revision)

    def forget(self, part: int, hashed: str, timestamp: Timestamp) -> bool:
        """Take away the file of this time, and only it: a tombstone that all have seen, an object that has moved on.

        Answers whether it was there. No promise that it does not come back after a power failure.
        """
        folder = self.folder(part, hashed)
        with self.locked(folder):
            present = self.written(folder, hashed)
            if present is None or present.timestamp != timestamp:
                return False
            for name in (hashed + _POST, hashed):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{name}")
            return True

    def drop_older_revision(self, folder: str, hashed: str, timestamp: Timestamp) -> None:
        """With the folder's lock: what was said of the object that stood here before."""
        path = f"{folder}/{hashed}"
        try:
            revision = self._revision(path)
        except Damaged:
            revision = None
        else:
            if revision is None or revision.timestamp > timestamp:
                return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + _POST)

    def _write_whole(self, path: str, content: bytes) -> None:
        global _unnamed
        _unnamed += 1
        unnamed = f"{self.unnamed}/{os.getpid()}-{_unnamed}"
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
                self._make(folder)
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_nlink:  # else it was removed while we waited
                    yield fd
                    return
            finally:
                os.close(fd)

    def _make(self, folder: str) -> None:
        """Make the folders of a name, so that they are there after a power failure too."""
        missing = []
        path = folder
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    # Going through all

    def partitions(self) -> list[int]:
        return sorted(int(name) for name in os.listdir(self.root) if name.isdecimal())

    def hashes(self, part: int) -> Iterator[str]:
        """The names of a partition, in order of their suffixes."""
        base = f"{self.root}/{part}"
        for suffix in sorted(_listed(base)):
            yield from sorted(name for name in _listed(f"{base}/{suffix}") if "." not in name)

    def clear_unnamed(self, older_than_s: float, now_s: float) -> int:
        """Remove what writers that died have left; answers how many files it was."""
        removed = 0
        for name in _listed(self.unnamed):
            path = f"{self.unnamed}/{name}"
            with contextlib.suppress(FileNotFoundError):
                if now_s - os.stat(path).st_mtime > older_than_s:
                    os.unlink(path)
                    removed += 1
        return removed


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
