"""How far a daemon is on one device: kept on that device, so that the next goes on there, and for who wants to know.

    DEVICE/recon/NAME.json

It is written without waiting for the disk, and not at every step: what is lost of it is done again.
"""

import asyncio
import os
import time
from pathlib import Path

import msgspec

FOLDER = "recon"
SAVE_S = 1.0

_encode = msgspec.json.Encoder().encode


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Times are in seconds since 1970. `counts` are of the round that is under way, `last` of the one before."""

    daemon: str
    device: str
    position: str = ""
    """The last thing that was done in this round; empty at its start."""
    began_at: float = 0.0
    ended_at: float = 0.0
    """Of the round before."""
    took_s: float = 0.0
    """The round before."""
    rounds: int = 0
    counts: dict[str, int] = {}
    last: dict[str, int] = {}
    per_s: dict[str, float] = {}
    """Of the round before, by what was counted."""
    thorough_at: float = 0.0
    """When the last round began that looked at everything."""
    is_thorough: bool = False
    saved_at: float = 0.0
    error: str = ""
    error_at: float = 0.0
    notes: dict[str, float] = {}
    """What else a daemon must remember."""


class Progress:
    """One daemon's, on one device. `report` may be changed. Making one blocks: it is read from the device."""

    def __init__(self, root: Path, daemon: str, device: str) -> None:
        self._path = root / FOLDER / f"{daemon}.json"
        self._saved_s = 0.0
        self.report = read(self._path) or Report(daemon=daemon, device=device)

    def count(self, what: str, amount: int = 1) -> None:
        if amount:
            self.report.counts[what] = self.report.counts.get(what, 0) + amount

    def fail(self, error: BaseException) -> None:
        """Something that is tried again."""
        self.count("failures")
        self.report.error = f"{type(error).__name__}: {error}"[:300]
        self.report.error_at = time.time()

    def begin(self, now_s: float, thorough_s: float) -> None:
        """A round begins, unless one is under way. The first that looks at everything is not at once."""
        report = self.report
        if report.began_at:
            return
        report.began_at = now_s
        report.thorough_at = report.thorough_at or now_s
        report.is_thorough = now_s - report.thorough_at >= thorough_s
        if report.is_thorough:
            report.thorough_at = now_s

    def end(self, now_s: float) -> None:
        report = self.report
        report.took_s = max(0.0, now_s - report.began_at)
        report.per_s = {
            what: round(count / max(report.took_s, 0.001), 3) for what, count in report.counts.items()
        }
        report.last, report.counts = report.counts, {}
        report.position, report.began_at, report.ended_at = "", 0.0, now_s
        report.rounds += 1

    async def save(self, *, now: bool = False) -> None:
        """At most once a second, unless told."""
        clock = time.monotonic()
        if now or clock - self._saved_s >= SAVE_S:
            self._saved_s = clock
            self.report.saved_at = time.time()
            try:
                await asyncio.to_thread(self._write, _encode(self.report))
            except OSError as error:  # a full disk: the work goes on, and what the file lacks is done again
                self.fail(error)

    def _write(self, content: bytes) -> None:
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, self._path)


def read(path: Path) -> Report | None:
    """None when there is none, or it cannot be read: then all is done from the start."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None


def reports(root: Path) -> list[Report]:
    """Of all daemons that have been at a device."""
    found = (read(path) for path in sorted((root / FOLDER).glob("*.json")))
    return [report for report in found if report is not None]
