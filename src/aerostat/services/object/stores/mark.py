"""The mark on a disk that it is ours, and which: an unmounted folder has none, and is left alone."""

import contextlib
import os
import secrets
from pathlib import Path

import structlog

from .protocol import DeviceAway
from .tree import UNNAMED, flush, spread_folders

MARK = "device-id"

log = structlog.get_logger(__name__)


class Mark:
    """Of one device. `device_id`: what it is to be; None: what is there, and if nothing is, a new one is written."""

    def __init__(self, root: Path, device_id: str | None) -> None:
        self._root = root
        self._path = str(root / MARK)
        self._seen: tuple[int, int] | None = None
        self._is_away = False
        self.device_id = _first_use(root) if device_id is None else device_id

    def check(self) -> None:
        """The device is there, and it is this one. Costs a look at one file's name. Raises `DeviceAway`."""
        try:
            stat = os.stat(self._path)
            if (stat.st_dev, stat.st_ino) == self._seen:
                return
            found = Path(self._path).read_text(encoding="ascii", errors="replace").strip()
            if found != self.device_id:
                raise self._away(f"is another device: {found[:40]}")
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


def _first_use(root: Path) -> str:
    """Write a mark if there is none; answers what stands there."""
    root.mkdir(parents=True, exist_ok=True)
    mark = root / MARK
    if not mark.exists():
        part = root / f"{MARK}.{os.getpid()}-{secrets.token_hex(4)}"
        part.write_text(secrets.token_hex(16) + "\n", encoding="ascii")
        flush(part)
        with contextlib.suppress(FileExistsError):
            os.link(part, mark)
        part.unlink()
        flush(root)
    return mark.read_text(encoding="ascii").strip()
