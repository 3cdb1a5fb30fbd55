"""House rules that a machine can see: names, sizes, clocks (docs/house-style.md).

Each message names the file, the line and the page that explains the rule.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/house-style.md"

SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
LONGEST_FILE, TOO_LONG = 600, 900
CLOCK = "src/aerostat/kernel/clock.py"
COMMANDS = "src/aerostat/cli/"  # a command on a terminal may sleep: nothing else runs in its process

# What a room has stands in the same place in every room.
PLACES = (
    (re.compile(r"^class VersionDocuments\b"), "the documents of its versions", "resources/versions.py"),
    (re.compile(r"^[A-Z_]+ = Versions\("), "its versions", "versions.py"),
    (re.compile(r"= Sweeper\("), "sweepers", "sweepers/"),
    (re.compile(r"= Reconciler\("), "reconcilers", "reconcilers/"),
)

_OWN_CLOCK = re.compile(r"\bdatetime\.(?:utcnow|now|today)\(|\bdate\.today\(")
_SLEEP = re.compile(r"\btime\.sleep\(")


def sources(*folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path


def test_files_are_named_for_what_is_in_them() -> None:
    broken = [
        f"{name}: such a name says nothing; if no better one comes, it is two things ({PAGE}#names)"
        for name, path in sources("src/aerostat", "tests", "bench")
        if path.stem in SAYS_NOTHING or path.parent.name in SAYS_NOTHING
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_a_file_is_one_thing() -> None:
    """Only reported: length is a hint. Past `TOO_LONG` it is not."""
    lengths = {name: path.read_bytes().count(b"\n") for name, path in sources("src/aerostat")}
    for name, lines in lengths.items():
        if lines > LONGEST_FILE:
            warnings.warn(
                f"{name}: {lines} lines; what second thing has moved in? ({PAGE}#sizes)", stacklevel=1
            )
    assert not [name for name, lines in lengths.items() if lines > TOO_LONG]


def test_there_is_one_clock() -> None:
    broken = [
        f"{name}:{number}: ask kernel.clock for the time, so that tests can move it ({PAGE}#clocks)"
        for name, path in sources("src/aerostat")
        if name != CLOCK
        for number in _lines_with(path, _OWN_CLOCK)
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_nobody_sleeps_in_the_loop() -> None:
    broken = [
        f"{name}:{number}: time.sleep stops every request of the process; await asyncio.sleep ({PAGE}#clocks)"
        for name, path in sources("src/aerostat")
        if not name.startswith(COMMANDS)
        for number in _lines_with(path, _SLEEP)
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_rooms_have_one_floor_plan() -> None:
    broken = [
        f"{name}:{number}: {what} stand in {folder} ({PAGE}#a-room)"
        for name, path in sources("src/aerostat/services")
        for pattern, what, folder in PLACES
        if f"/{folder}" not in name
        for number in _lines_with(path, pattern)
    ]
    assert not broken, "\n" + "\n".join(broken)


def _lines_with(path: Path, pattern: re.Pattern[str]) -> Iterator[int]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if pattern.search(line.split("#", 1)[0]):
            yield number
