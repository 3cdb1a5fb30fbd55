"""Files of objects that are open: one that is read, one that is written. Both block; callers have threads."""

import contextlib
import os
from collections.abc import Callable
from types import TracebackType

from ..timestamp import Timestamp
from .object_file import Damaged, Facts, Revision, ending, read_piece, revised
from .sums import PIECE, Sums
from .tree import Tree


class Superseded(Exception):
    """Something newer is there. `timestamp` is its time."""

    def __init__(self, timestamp: Timestamp) -> None:
        super().__init__(timestamp)
        self.timestamp = timestamp


PutAside = Callable[[int, str], bool]
"""Called with a damaged file that is open, and why: moves it to where damaged ones are kept, if it has its name still;
answers whether it did."""


class Found:
    """An object, or its tombstone, opened. Its bytes stay readable whatever happens to its name; close it."""

    __slots__ = ("_fd", "_put_aside", "_wound", "data", "facts", "revision", "written")

    def __init__(
        self,
        fd: int,
        written: Facts,
        revision: Revision | None,
        data: bytes | None,
        put_aside: PutAside,
        wound: PutAside | None = None,
    ) -> None:
        """`wound`: what becomes of a file of which one piece is damaged, and others may be sound."""
        self._fd = fd
        self._put_aside = put_aside
        self._wound = wound if wound is not None and written.size > PIECE else put_aside
        self.facts = revised(written, revision)
        """With what was said by a POST."""
        self.written = written
        """As the PUT left it."""
        self.revision = revision
        """What a POST said."""
        self.data = data
        """All bytes, when they are few; None when they are to be read piece by piece."""

    def fileno(self) -> int:
        return self._fd

    def read(self, start: int, end: int) -> bytes:
        """From `start` to before `end`, or to the end of the piece in which that is, or of the object. The whole piece
        is looked at first: a damaged one raises `Damaged`, and the file stands for the object no more. Raises OSError.
        """
        if start >= (size := self.written.size):
            return b""
        number, begin = divmod(start, PIECE)
        try:
            piece = read_piece(self._fd, size, number)
        except Damaged as damage:
            self._wound(self._fd, damage.reason)
            raise
        return piece[begin : begin + end - start]

    def put_aside(self, why: str) -> bool:
        """Move this very file to where damaged ones are kept; False when its name is gone, or another's by now."""
        return self._put_aside(self._fd, why)

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


GiveName = Callable[[str, Facts], None]
"""Called with a file that is on the disk: renames it, or raises `Superseded`."""


class Writing:
    """Bytes on their way to a name. `commit` gives them the name; without it `close` leaves no trace."""

    def __init__(self, tree: Tree, give_name: GiveName) -> None:
        self._give_name = give_name
        self._path, self._fd = tree.new_file()
        self._reserved = 0
        self._sums = Sums()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises OSError, ENOSPC among them; then it is for the caller to `close`."""
        self._take(data)
        self._write(data)

    def _take(self, data: bytes) -> None:
        self._sums.update(data)
        self.size += len(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    @property
    def is_reserved(self) -> bool:
        """Its room was there before its bytes came."""
        return self._reserved > 0

    def reserve(self, size: int) -> None:
        """Be sure of the room before the bytes are sent. Raises OSError."""
        os.posix_fallocate(self._fd, 0, size)
        self._reserved = size

    def commit(self, facts: Facts, last: bytes = b"") -> None:
        """The object is there from now on, and stays; its `last` bytes may come with it. Raises `Superseded`, OSError;
        ValueError where the bytes are not as many as the facts say.
        """
        self._take(last)
        if facts.size != self.size:
            raise ValueError(f"{self.size} bytes came where {facts.size} were told")
        end = ending(facts, self._sums.all())
        self._write(last + end)
        if self._reserved > self.size + len(end):
            os.ftruncate(self._fd, self.size + len(end))
        os.fdatasync(self._fd)
        self._give_name(self._path, facts)
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
