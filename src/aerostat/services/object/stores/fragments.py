"""Fragments of the objects of one erasure-coded policy on one device.

    DEVICE/fragments-POLICY/PARTITION/SUFFIX/HASH.TIME.INDEX           a fragment that others may not have theirs of yet
    DEVICE/fragments-POLICY/PARTITION/SUFFIX/HASH.TIME.INDEX.durable   one that stands for the object
    DEVICE/fragments-POLICY/PARTITION/SUFFIX/HASH.TIME.gone            a tombstone
    DEVICE/fragments-POLICY/PARTITION/SUFFIX/HASH.post                 what a later POST said
    DEVICE/wounded/fragments-POLICY/PARTITION-HASH.TIME.INDEX…         one of which a piece is damaged: see `objects`

An object must not be replaced before enough devices have their fragment of the new one: so a new fragment stands
beside the old, and a rename makes it durable later. What counts is told by the names alone: the newest that is
durable or a tombstone. One rename or one new name brings it about; what is older is removed after that, and where the
remover died it is passed by, and removed by the next.

As in `objects`: changed under the folder's lock, on the disk when it is answered, everything blocks.
"""

import contextlib
import os
from functools import partial
from pathlib import Path

import msgspec
import structlog

from ..timestamp import Timestamp
from .held import Held, fragments_of
from .object_file import Damaged, Facts, Revision, read
from .objects import (
    POST,
    WOUNDED,
    drop_older_revision,
    facts_at,
    held_of,
    leave,
    revise,
    revision_at,
)
from .opened import Found, PutAside, Superseded, Writing
from .tree import Tree, listed

DURABLE = "durable"
GONE = "gone"

log = structlog.get_logger(__name__)


class FoundFragment(Found):
    """See `OpenFragment`."""

    __slots__ = ("is_durable", "versions")

    def __init__(
        self,
        fd: int,
        written: Facts,
        revision: Revision | None,
        data: bytes | None,
        put_aside: PutAside,
        version: Held,
        versions: list[Held],
        wound: PutAside | None = None,
    ) -> None:
        super().__init__(fd, written, revision, data, put_aside, wound)
        self.is_durable = version.is_durable
        self.versions = versions


class Fragments:
    """One policy's fragments on one device."""

    def __init__(self, device: Path, policy: int) -> None:
        self.tree = Tree(device, fragments_of(policy))
        self._wounded = str(device / WOUNDED / fragments_of(policy))

    # Reading

    def find(
        self, part: int, hashed: str, wanted: tuple[Timestamp, int] | None = None
    ) -> FoundFragment | None:
        """See `FragmentVerbs.find_fragment`. Raises OSError."""
        folder = self.tree.folder(part, hashed)
        while True:
            versions, wounded = self._there(part, hashed)
            version = _chosen(versions, wanted)
            if version is None:
                return None
            try:
                fd = os.open(self._path(part, version, wounded), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # made durable, removed or wounded since the folder was read
            try:
                written, data = read(fd)
                revision = revision_at(f"{folder}/{hashed}")
            except Damaged as damage:
                os.close(fd)
                self._quarantine_damaged(part, hashed, damage.reason)
                continue
            except BaseException:
                os.close(fd)
                raise
            put_aside = leave if version in wounded else partial(self._put_aside, folder, hashed)
            wound = leave if version in wounded else partial(self._wound, part, hashed)
            return FoundFragment(fd, written, revision, data, put_aside, version, versions, wound)

    # Writing

    def begin(self, part: int, hashed: str) -> Writing:
        """`commit` leaves a fragment that is not yet durable; of one that is here already nothing is changed."""
        folder = self.tree.folder(part, hashed)

        def give_name(path: str, facts: Facts) -> None:
            if facts.fragment is None or facts.geometry is None or min(facts.fragment, facts.timestamp) < 0:
                raise ValueError("a fragment has a time, an index and a geometry")
            with self.tree.locked(folder) as opened:
                versions = _versions(folder, hashed)
                wounded = self._wounded_versions(part, hashed)
                _check_newer([*versions, *wounded], facts.timestamp)
                new = Held(
                    hashed=hashed, timestamp=facts.timestamp, fragment=facts.fragment, is_durable=False
                )
                if msgspec.structs.replace(new, is_durable=True) in versions or new in versions:
                    os.unlink(path)
                else:
                    os.rename(path, f"{folder}/{_name(new)}")
                os.fsync(opened)
                self._drop_wounded(part, [one for one in wounded if _id(one) == _id(new)])

        return Writing(self.tree, give_name)

    def make_durable(self, part: int, hashed: str, at: Timestamp) -> bool:
        """See `FragmentVerbs.make_durable`. Raises `Superseded`, OSError."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder) as opened:
            versions, wounded = self._there(part, hashed)
            _check_newer(versions, at)
            ours = [one for one in versions if one.timestamp == at and not one.is_gone]
            for one in ours:
                if not one.is_durable:
                    durable = msgspec.structs.replace(one, is_durable=True)
                    were = wounded if one in wounded else []
                    now = [durable] if one in wounded else []
                    os.rename(self._path(part, one, were), self._path(part, durable, now))
            if ours:
                os.fsync(opened)
                self._drop_older(part, hashed, at)
            return bool(ours)

    def delete(self, part: int, hashed: str, path: str, at: Timestamp) -> Facts | None:
        """See `FragmentVerbs.delete_fragments`. Raises `Superseded`, OSError."""
        folder = self.tree.folder(part, hashed)
        before: Facts | None = None

        def give_name(unnamed: str, facts: Facts) -> None:
            nonlocal before
            with self.tree.locked(folder) as opened:
                versions, wounded = self._there(part, hashed)
                if overtaken := [one for one in versions if one.is_durable and one.timestamp >= at]:
                    raise Superseded(overtaken[0].timestamp)
                if (newest := _chosen(versions, None)) is not None and newest.is_durable:
                    before = facts_at(self._path(part, newest, wounded))
                os.rename(unnamed, f"{folder}/{hashed}.{at}.{GONE}")
                os.fsync(opened)
                self._drop_older(part, hashed, at)

        writing = Writing(self.tree, give_name)
        try:
            writing.commit(Facts(path=path, timestamp=at, is_gone=True))
        finally:
            writing.close()
        return before

    def post(self, part: int, hashed: str, revision: Revision) -> Facts | None:
        """See `FragmentVerbs.post_fragments`. Raises `Superseded`, `Damaged`, OSError."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder) as opened:
            versions, wounded = self._there(part, hashed)
            newest = _chosen(versions, None)
            if newest is None or newest.is_gone or not newest.is_durable:
                return None
            written = facts_at(self._path(part, newest, wounded))
            if written is None:
                raise Damaged("the newest fragment cannot be read")
            return revise(self.tree, opened, f"{folder}/{hashed}", written, revision)

    def forget(self, part: int, held: Held) -> bool:
        """Take away exactly this file; what a POST said goes with the last."""
        folder = self.tree.folder(part, held.hashed)
        with self.tree.locked(folder):
            is_there = held in self._held(folder, held.hashed, _versions(folder, held.hashed))
            if is_there:
                os.unlink(f"{folder}/{_name(held)}")
                if not _versions(folder, held.hashed) and not self._wounded_versions(part, held.hashed):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{folder}/{held.hashed}{POST}")
            self.tree.remove_if_empty(folder)
            return is_there

    def quarantine(
        self, part: int, hashed: str, why: str, fragment: tuple[Timestamp, int] | None = None
    ) -> bool:
        """Put a fragment aside, or all that cannot be read; answers whether there was anything."""
        folder = self.tree.folder(part, hashed)
        if fragment is None:
            return self._quarantine_damaged(part, hashed, why)
        with self.tree.locked(folder):
            found = [
                *(self._path(part, one, []) for one in _versions(folder, hashed) if _id(one) == fragment),
                *(
                    self._wounded_path(part, one)
                    for one in self._wounded_versions(part, hashed)
                    if _id(one) == fragment
                ),
            ]
            return self.tree.put_aside(folder, found, why)

    # What is wounded: see `Objects`

    def wounded(self) -> list[tuple[int, Held]]:
        """Partition and version of those that no whole one has taken the place of."""
        found = []
        for name in listed(self._wounded):
            number, _, rest = name.partition("-")
            if not number.isdecimal() or (version := _parsed(rest)) is None:
                continue
            part = int(number)
            folder = self.tree.folder(part, version.hashed)
            if not _is_overtaken(version, _versions(folder, version.hashed)):
                found.append((part, version))
                continue
            with self.tree.locked(folder):  # who wrote what is there died before this was taken away
                if _is_overtaken(version, _versions(folder, version.hashed)):
                    self._drop_wounded(part, [version])
        return found

    def _wound(self, part: int, hashed: str, fd: int, why: str) -> bool:
        """Of the open fragment a piece is damaged."""
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            for one in _versions(folder, hashed):
                if self.tree.is_open(fd, path := self._path(part, one, [])):
                    os.makedirs(self._wounded, mode=0o700, exist_ok=True)
                    os.rename(path, self._wounded_path(part, one))
                    log.warning("damaged file put aside", store=self.tree.root, files=[_name(one)], why=why)
                    return True
            return False

    def _there(self, part: int, hashed: str) -> tuple[list[Held], list[Held]]:
        """All versions, newest first, and which of them are wounded: of none there is a whole one, too."""
        versions = _versions(self.tree.folder(part, hashed), hashed)
        wounded = self._wounded_versions(part, hashed)
        if not wounded:
            return versions, wounded
        whole = {_id(one) for one in versions}
        wounded = [one for one in wounded if _id(one) not in whole]
        return _sorted([*versions, *wounded]), wounded

    def _wounded_versions(self, part: int, hashed: str) -> list[Held]:
        start = f"{part}-{hashed}."
        found = (_parsed(name.partition("-")[2]) for name in listed(self._wounded) if name.startswith(start))
        return [one for one in found if one is not None]

    def _wounded_path(self, part: int, version: Held) -> str:
        return f"{self._wounded}/{part}-{_name(version)}"

    def _path(self, part: int, version: Held, wounded: list[Held]) -> str:
        """Of a version that is there, or among those that are wounded."""
        if version in wounded:
            return self._wounded_path(part, version)
        return f"{self.tree.folder(part, version.hashed)}/{_name(version)}"

    def _drop_wounded(self, part: int, versions: list[Held]) -> None:
        for one in versions:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._wounded_path(part, one))

    # Damage, and what is older

    def _put_aside(self, folder: str, hashed: str, fd: int, why: str) -> bool:
        """The fragment that is open, whether it is durable by now or not."""
        with self.tree.locked(folder):
            names = [_name(one) for one in _versions(folder, hashed)]
            opened = [name for name in names if self.tree.is_open(fd, f"{folder}/{name}")]
            return self.tree.put_aside(folder, opened, why)

    def _quarantine_damaged(self, part: int, hashed: str, why: str) -> bool:
        folder = self.tree.folder(part, hashed)
        with self.tree.locked(folder):
            paths = [self._path(part, one, []) for one in _versions(folder, hashed)]
            paths += [self._wounded_path(part, one) for one in self._wounded_versions(part, hashed)]
            damaged = [path for path in paths if facts_at(path) is None]
            try:
                revision_at(f"{folder}/{hashed}")
            except Damaged:
                damaged.append(hashed + POST)
            return self.tree.put_aside(folder, damaged, why)

    def _drop_older(self, part: int, hashed: str, at: Timestamp) -> None:
        folder = self.tree.folder(part, hashed)
        for one in _versions(folder, hashed):
            if one.timestamp < at:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{_name(one)}")
        wounded = self._wounded_versions(part, hashed)
        self._drop_wounded(part, [one for one in wounded if one.timestamp < at])
        drop_older_revision(f"{folder}/{hashed}", at)

    # Going through all

    def held(self, part: int, suffix: str) -> list[Held]:
        """By hash, newest first. What a POST said is told with each version that it counts for."""
        folder = f"{self.tree.root}/{part}/{suffix}"
        by_hash: dict[str, list[Held]] = {}
        for name in sorted(self.tree.names(part, suffix)):
            if (one := _parsed(name)) is not None:
                by_hash.setdefault(one.hashed, []).append(one)
        return [
            one
            for hashed, versions in by_hash.items()
            for one in self._held(folder, hashed, _sorted(versions))
        ]

    def _held(self, folder: str, hashed: str, versions: list[Held]) -> list[Held]:
        try:
            revision = revision_at(f"{folder}/{hashed}")
        except Damaged:
            revision = None
        if revision is None:
            return versions
        return [
            one
            if one.is_gone
            else msgspec.structs.replace(
                held_of(hashed, Facts(path="", timestamp=one.timestamp, fragment=one.fragment), revision),
                is_durable=one.is_durable,
            )
            for one in versions
        ]


def _name(version: Held) -> str:
    if version.is_gone:
        return f"{version.hashed}.{version.timestamp}.{GONE}"
    name = f"{version.hashed}.{version.timestamp}.{version.fragment}"
    return f"{name}.{DURABLE}" if version.is_durable else name


def _parsed(name: str) -> Held | None:
    match name.split("."):
        case [hashed, at, "gone"] if at.isdecimal():
            return Held(hashed=hashed, timestamp=int(at), is_gone=True)
        case [hashed, at, index, *rest] if at.isdecimal() and index.isdecimal() and rest in ([], [DURABLE]):
            return Held(hashed=hashed, timestamp=int(at), fragment=int(index), is_durable=bool(rest))
    return None


def _versions(folder: str, hashed: str) -> list[Held]:
    """What is there under a name, what was overtaken too: newest first, and by index."""
    start = f"{hashed}."
    found = (_parsed(name) for name in listed(folder) if name.startswith(start))
    return _sorted([one for one in found if one is not None])


def _sorted(versions: list[Held]) -> list[Held]:
    return sorted(versions, key=lambda one: (-one.timestamp, -1 if one.fragment is None else one.fragment))


def _chosen(versions: list[Held], wanted: tuple[Timestamp, int] | None) -> Held | None:
    if wanted is not None:
        return next((one for one in versions if (one.timestamp, one.fragment) == wanted), None)
    return next((one for one in versions if one.is_durable), versions[0] if versions else None)


def _id(version: Held) -> tuple[Timestamp, int | None]:
    return version.timestamp, version.fragment


def _is_overtaken(version: Held, versions: list[Held]) -> bool:
    return any(
        _id(one) == _id(version) or (one.is_durable and one.timestamp > version.timestamp) for one in versions
    )


def _check_newer(versions: list[Held], at: Timestamp) -> None:
    """Raises `Superseded` when something that counts is newer, or a tombstone is as new."""
    for one in versions:
        if one.is_durable and (one.timestamp > at or (one.is_gone and one.timestamp == at)):
            raise Superseded(one.timestamp)
