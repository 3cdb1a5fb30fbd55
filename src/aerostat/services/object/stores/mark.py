"""The mark on a disk that it is ours, and which, and how things lie on it: an unmounted folder has none, and is left
alone; one that was written by a version of ours that laid things out differently is refused.

    DEVICE/device-id      ID, 32 hexadecimal digits
                          format NUMBER
"""

import contextlib
import os
import secrets
from pathlib import Path

import structlog

from .protocol import DeviceAway
from .tree import UNNAMED, flush, spread_folders

MARK = "device-id"
FORMAT = 2
"""Of what lies on a device: raised when older files or databases cannot be read any more. 1, without sums of pieces
and with more folders of suffixes, had no number in its mark.
"""

_FORMAT = "format "

log = structlog.get_logger(__name__)


class OtherFormat(Exception):
    """What lies on a device was written by another version, and cannot be read by this one."""

    def __init__(self, root: Path, found: int) -> None:
        age = "an older" if found < FORMAT else "a newer"
        super().__init__(
            f"the object device {root} was written by {age} version (its format is {found}, that of this version is"
            f" {FORMAT}): use that version, or empty the device and let it be filled anew from others"
        )


class Mark:
    """Of one device. `device_id`: what it is to be; None: what is there, and if nothing is, a new one is written."""

    def __init__(self, root: Path, device_id: str | None) -> None:
        """Raises `OtherFormat`, OSError where a new one cannot be written."""
        self._root = root
        self._path = str(root / MARK)
        self._seen: tuple[int, int] | None = None
        self._is_away = False
        self.device_id = _first_use(root) if device_id is None else device_id
        check_format(root, self.device_id)

    def check(self) -> None:
        """The device is there, and it is this one. Costs a look at one file's name. Raises `DeviceAway`."""
        try:
            stat = os.stat(self._path)
            if (stat.st_dev, stat.st_ino) == self._seen:
                return
            found, number = _read(Path(self._path))
            if found != self.device_id:
                raise self._away(f"is another device: {found[:40]}")
            if number != FORMAT:
                raise self._away(f"has the format {number} instead of {FORMAT}")
            _make_unnamed(self._root)
        except OSError as error:
            raise self._away(f"has no mark of ours: {error.strerror}") from error
        self._seen = (stat.st_dev, stat.st_ino)
        if self._is_away:
            self._is_away = False
            log.warning("device is there again", device=str(self._root))

    def _away(self, why: str) -> DeviceAway:
        """Told to the operator once, until it is there again."""
        if not self._is_away:
            self._is_away = True
            log.error("device is away", device=str(self._root), why=why, expected=self.device_id)
        self._seen = None
        return DeviceAway(f"{self._root} {why}")


def _make_unnamed(root: Path) -> None:
    """Where files lie until they have their names."""
    with contextlib.suppress(FileExistsError):
        (root / UNNAMED).mkdir()
        spread_folders(root / UNNAMED)


def check_format(root: Path, device_id: str | None = None) -> None:
    """A device that cannot be looked at just now is of no other format, and so is one that is not `device_id`. Raises
    `OtherFormat`.
    """
    try:
        found, number = _read(root / MARK)
    except OSError:
        return
    if device_id in (None, found) and number != FORMAT:
        raise OtherFormat(root, number)


def _first_use(root: Path) -> str:
    """Write a mark if there is none; answers what stands there."""
    root.mkdir(parents=True, exist_ok=True)
    mark = root / MARK
    if not mark.exists():
        part = root / f"{MARK}.{os.getpid()}-{secrets.token_hex(4)}"
        part.write_text(f"{secrets.token_hex(16)}\n{_FORMAT}{FORMAT}\n", encoding="ascii")
        flush(part)
        with contextlib.suppress(FileExistsError):
            os.link(part, mark)
        part.unlink()
        flush(root)
    return _read(mark)[0]


def _read(mark: Path) -> tuple[str, int]:
    """Which device it is, and its format. Raises OSError."""
    device_id, _, rest = mark.read_text(encoding="ascii", errors="replace").strip().partition("\n")
    number = rest.removeprefix(_FORMAT)
    return device_id, int(number) if number.isdecimal() else 1
