"""Objects of one storage policy on one device.

    DEVICE/objects[-POLICY]/PARTITION/SUFFIX/HASH         the object, or its tombstone
    DEVICE/objects[-POLICY]/PARTITION/SUFFIX/HASH.post    what a later POST said
    DEVICE/wounded/objects[-POLICY]/PARTITION-HASH        an object of which a piece is damaged
    DEVICE/tmp/…                                          files that have no name yet

A name has one file, and that file is replaced by a rename: whoever looks finds the object before or after, never
between. All that changes a name does so under the lock of its folder, looks at what is there, and gives way to
what is newer. What is answered as done is on the disk: the file, and the folder's entry of it.

What is wounded is missed here, so that a whole one is sent, but it is there for readers: all copies may have a damaged
piece, each another one, and hold the whole object between them. What is older takes its place no more than that of a
whole one.

Everything here blocks; callers have threads. Names come as hashes only.
"""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import structlog

from ..timestamp import Timestamp
from .held import Held, objects_of
from .object_file import (
    Damaged,
    Facts,
    Revision,
    merged,
    read,
    read_revision,
    revised,
    write_revision,
)
from .opened import Found, Superseded, Writing
from .tree import Tree, listed

__all__ = ["Objects", "Superseded"]

POST = ".post"
WOUNDED = "wounded"

log = structlog.get_logger(__name__)


class Objects:
    """One policy's objects on one device. `policy` is its index, 0 the first."""

    def __init__(self, device: Path, policy: int = 0) -> None:
        self.tree = Tree(device, objects_of(policy))
        self._wounded = str(device / WOUNDED / objects_of(policy))

    # Reading

    def find(self, part: int, hashed: str) -> Found | None:
        """What is under the name, a tombstone too; None for nothing. Raises `Damaged`, when that has been
        put aside, and OSError.
        """
        path = f"{self.tree.folder(part, hashed)}/{hashed}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._find_wounded(part, hashed)
        put_aside = partial(self._put_aside, part, hashed)
        try:
            written, data = read(fd)
            revision = revision_at(path)
        except Damaged as damage:
            try:
                put_aside(fd, damage.reason)
            finally:
                os.close(fd)
            raise
        except BaseException:
            os.close(fd)
            raise
        return Found(fd, written, revision, data, put_aside, partial(self._wound, part, hashed))

    def _find_wounded(self, part: int, hashed: str) -> Found | None:
        try:
            fd = os.open(self._wounded_path(part, hashed), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            written, data = read(fd)
            revision = revision_at(f"{self.tree.folder(part, hashed)}/{hashed}")
        except BaseException as error:
            os.close(fd)
            if isinstance(error, Damaged):
                self.give_up_wounded(part, hashed, error.reason)
            raise
        return Found(fd, written, revision, data, leave)

    # Writing

    def begin(self, part: int, hashed: str) -> Writing:
        folder = self.tree.folder(part, hashed)

        def give_name(path: str, facts: Facts) -> None:
            with self.tree.locked(folder) as opened:
                present = facts_at(f"{folder}/{hashed}")
                if present is not None and present.timestamp >= facts.timestamp:
                    raise Superseded(present.timestamp)
                wounded = self._wounded_facts(part, hashed) if present is None else None
                if wounded is not None and wounded.timestamp > facts.timestamp:
                    raise Superseded(wounded.timestamp)
                os.rename(path, f"{folder}/{hashed}")
                drop_older_revision(f"{folder}/{hashed}", facts.timestamp)
                os.fsync(opened)
                if wounded is not None:
                    os.unlink(self._wounded_path(part, hashed))

        return Writing(self.tree, give_name)

    def put(self, part: int, hashed: str, data: bytes, facts: Facts) -> None:
        """A small object, whole. Raises `Superseded`, OSError."""
        writing = self.begin(part, hashed)
        try:
            writing.commit(facts, data)
        finally:
            writing.close()

    def delete(self, part: int, hashed: str, path: str, timestamp: Timestamp) -> Facts | None:
        """Put a tombstone there; answers what was there before it. Raises `Superseded`, OSError."""
        before = facts_at(f"{self.tree.folder(part, hashed)}/{hashed}") or self._wounded_facts(part, hashed)
        self.put(part, hashed, b"", Facts(path=path, timestamp=timestamp, is_gone=True))
        return before

    def post(self, part: int, hashed: str, revision: Revision) -> Facts | None:
        """Let the object have other metadata; answers the object as it is then, None when there is none.

        Raises `Superseded`, `Damaged`, OSError.
        """
        folder = self.tree.folder(part, hashed)
        path = f"{folder}/{hashed}"
        with self.tree.locked(folder) as opened:
            written = facts_at(path) or self._wounded_facts(part, hashed)
            if written is None or written.is_gone:
                return None
            return revise(self.tree, opened, path, written, revision)

    def forget(self, part: int, held: Held) -> bool:
        """Take away exactly this: a tombstone that all have seen, an object that has moved on.

        Answers whether it was there. No promise that it does not come back after a power failure.
        """
        folder = self.tree.folder(part, held.hashed)
        with self.tree.locked(folder):
            is_there = self._held(folder, held.hashed) == held
            if is_there:
                for name in (held.hashed + POST, held.hashed):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{folder}/{name}")
            self.tree.remove_if_empty(folder)
            return is_there

    def quarantine(self, part: int, hashed: str, why: str) -> bool:
        """Put what is there aside, so that a copy may take its place; answers whether there was anything.

        Where only what a POST said is damaged the object stays: there may be no copy of it.
        """
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            names = [hashed, hashed + POST, self._wounded_path(part, hashed)]
            if facts_at(f"{folder}/{hashed}") is not None and has_damaged_revision(f"{folder}/{hashed}"):
                names = [hashed + POST]
            return self.tree.put_aside(folder, names, why)

    def _put_aside(self, part: int, hashed: str, fd: int, why: str) -> bool:
        """As `quarantine`, but nothing that took the name of the open file since it was opened."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            if not self.tree.is_open(fd, f"{folder}/{hashed}"):
                return False
            is_of_post = has_damaged_revision(f"{folder}/{hashed}")
            names = [hashed + POST] if is_of_post else [hashed, hashed + POST]
            return self.tree.put_aside(folder, names, why)

    # What is wounded

    def wounded(self) -> list[tuple[int, str]]:
        """Partition and hash of those that no whole one has taken the place of."""
        found = []
        for name in listed(self._wounded):
            number, _, hashed = name.partition("-")
            if not number.isdecimal():
                continue
            part = int(number)
            path = f"{self.tree.folder(part, hashed)}/{hashed}"
            if not os.path.exists(path):
                found.append((part, hashed))
                continue
            with self.tree.locked(
                os.path.dirname(path)
            ):  # who gave it its name died before this was taken away
                if os.path.exists(path):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{self._wounded}/{name}")
        return found

    def give_up_wounded(self, part: int, hashed: str, why: str) -> bool:
        """Put it aside: nobody can make it whole. False when it is not there any more."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            names = [self._wounded_path(part, hashed)]
            if not os.path.exists(f"{folder}/{hashed}"):
                names.append(hashed + POST)
            is_there = self.tree.put_aside(folder, names, why)
            self.tree.remove_if_empty(folder)
            return is_there

    def _wound(self, part: int, hashed: str, fd: int, why: str) -> bool:
        """Of the open file a piece is damaged."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            if not self.tree.is_open(fd, f"{folder}/{hashed}"):
                return False
            os.makedirs(self._wounded, mode=0o700, exist_ok=True)
            os.rename(f"{folder}/{hashed}", self._wounded_path(part, hashed))
            log.warning("damaged file put aside", store=self.tree.root, files=[hashed], why=why)
            return True

    def _wounded_path(self, part: int, hashed: str) -> str:
        return f"{self._wounded}/{part}-{hashed}"

    def _wounded_facts(self, part: int, hashed: str) -> Facts | None:
        return facts_at(self._wounded_path(part, hashed))

    # Going through all

    def hashes(self, part: int) -> Iterator[str]:
        """The names of a partition, in order of their suffixes."""
        for suffix in self.tree.suffixes(part):
            yield from self._names(part, suffix)

    def held(self, part: int, suffix: str) -> list[Held]:
        """By hash; damaged files are left out."""
        folder = f"{self.tree.root}/{part}/{suffix}"
        return [held for name in self._names(part, suffix) if (held := self._held(folder, name)) is not None]

    def _names(self, part: int, suffix: str) -> list[str]:
        return sorted(name for name in self.tree.names(part, suffix) if "." not in name)

    def _held(self, folder: str, hashed: str) -> Held | None:
        written = facts_at(f"{folder}/{hashed}")
        if written is None:
            return None
        try:
            revision = None if written.is_gone else revision_at(f"{folder}/{hashed}")
        except Damaged:
            return None
        return held_of(hashed, written, revision)


def leave(_fd: int, _why: str) -> bool:
    """What is out of the way already stays there."""
    return False


def held_of(hashed: str, written: Facts, revision: Revision | None) -> Held:
    """What is known of a file, in short."""
    revised_at = type_at = 0
    if revision is not None and revision.timestamp > written.timestamp:
        revised_at, type_at = revision.timestamp, revision.content_type_at or 0
    return Held(
        hashed=hashed,
        timestamp=written.timestamp,
        is_gone=written.is_gone,
        revision_at=revised_at,
        type_at=type_at if type_at > written.timestamp else 0,
        fragment=written.fragment,
    )


def facts_at(path: str) -> Facts | None:
    """The facts of a file alone; of a damaged one nothing, since anything may take its place."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return read(fd)[0]
    except Damaged:
        return None
    finally:
        os.close(fd)


# What a POST said lies beside the object, at its path with `.post`


def revision_at(path: str) -> Revision | None:
    """Raises `Damaged`."""
    try:
        fd = os.open(path + POST, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return read_revision(file.read())


def has_damaged_revision(path: str) -> bool:
    try:
        revision_at(path)
    except Damaged:
        return True
    return False


def revise(tree: Tree, opened: int, path: str, written: Facts, revision: Revision) -> Facts:
    """With the folder's lock, which is `opened`. Raises `Superseded`, `Damaged`, OSError."""
    earlier = revision_at(path)
    if revision.timestamp <= written.timestamp:
        raise Superseded(max(written.timestamp, earlier.timestamp if earlier is not None else 0))
    if earlier is not None and earlier.timestamp > written.timestamp:
        both = merged(earlier, revision)
        if both == earlier:
            raise Superseded(earlier.timestamp)
        revision = both
    tree.write_whole(path + POST, write_revision(revision))
    os.fsync(opened)
    return revised(written, revision)


def drop_older_revision(path: str, timestamp: Timestamp) -> None:
    """With the folder's lock: what was said of the object that stood here before."""
    try:
        revision = revision_at(path)
    except Damaged:
        revision = None
    else:
        if revision is None or revision.timestamp > timestamp:
            return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + POST)
