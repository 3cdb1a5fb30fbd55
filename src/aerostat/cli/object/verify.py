"""Read everything on this machine's devices, and name what is damaged. Nothing is changed.

What the auditor does little by little while the store runs, at once; the store may run meanwhile. Ends with 1 when
something is damaged; the replicator makes it good once the auditor has put it aside.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

from aerostat.cli import CommandError, typed
from aerostat.cli.object import places_folder
from aerostat.cli.settings import folder_of
from aerostat.services.object.daemons.auditor import check_database, is_named_right
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Hasher
from aerostat.services.object.stores.mark import OtherFormat, check_format
from aerostat.services.object.stores.object_file import Damaged, read, read_piece, read_revision
from aerostat.services.object.stores.objects import WOUNDED
from aerostat.services.object.stores.sums import PIECE

TELL_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", nargs="*", help="only these devices (default: all of this machine)")


def run(args: argparse.Namespace) -> int:
    places = Places(places_folder(folder_of(args).path))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no object store; {typed()} object up makes one")
    there = sorted(path.name for path in places.devices.iterdir())
    names = args.device or there
    if unknown := sorted(set(names) - set(there)):
        raise CommandError(f"there is no device {unknown[0]} here; there are {', '.join(there)}")
    try:
        for name in names:
            check_format(places.device(name))
    except OtherFormat as error:
        raise CommandError(str(error)) from None
    look = Look(Hasher(places.secret()))
    away = 0
    for name in names:
        try:
            for path, why in look.damaged(places.device(name)):
                print(f"{path}: {why}")
        except OSError as error:
            away += 1
            print(f"{places.device(name)}: cannot be read: {error.strerror}")
    print(
        f"{look.files} files and {look.databases} databases, {look.bytes / 1e6:.1f} MB read; {look.bad} damaged"
        + (f", {away} devices not read" if away else ""),
        file=sys.stderr,
    )
    return 1 if look.bad or away else 0


class Look:
    """Over any number of devices. What is gone by the time it is opened was replaced, and is no damage."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._told_s = time.monotonic()
        self.files = self.databases = self.bytes = self.bad = 0

    def damaged(self, device: Path) -> Iterator[tuple[Path, str]]:
        for store in sorted(device.iterdir()):
            kind = store.name.partition("-")[0]
            files = [*store.glob("*/*/*")] if kind in ("objects", "fragments") else []
            if kind == WOUNDED:  # known to be damaged, and not mended yet
                files += store.glob("*/*")
            for path in sorted(files):
                if (why := self._file(path)) is not None:
                    self.bad += 1
                    yield path, why
                self._tell(device)
            for path in sorted(store.glob("*/*/*.db")) if kind in ("containers", "accounts") else ():
                self.databases += 1
                if (why := check_database(path, whole=True)) is not None:
                    self.bad += 1
                    yield path, why
                self._tell(device)

    def _file(self, path: Path) -> str | None:
        self.files += 1
        try:
            with path.open("rb") as file:
                if path.suffix == ".post":
                    read_revision(file.read())
                    return None
                facts, _ = read(file.fileno())
                if not is_named_right(facts, path.name.partition(".")[0].rpartition("-")[2], self._hasher):
                    return f"it is of {facts.path!r}, which has another hash"
                digest = md5(usedforsecurity=False)
                for number in range(-(-facts.size // PIECE)):
                    piece = read_piece(file.fileno(), facts.size, number)
                    digest.update(piece)
                    self.bytes += len(piece)
        except FileNotFoundError:
            return None
        except Damaged as damage:
            return damage.reason
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        if facts.checksum is not None and digest.hexdigest() != facts.checksum:
            return "its bytes have another MD5"
        return None

    def _tell(self, device: Path) -> None:
        if time.monotonic() - self._told_s > TELL_S:
            self._told_s = time.monotonic()
            print(
                f"{device.name}: {self.files} files, {self.databases} databases, {self.bytes / 1e6:.1f} MB …",
                file=sys.stderr,
            )
