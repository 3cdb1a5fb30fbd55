"""Show the logs of all processes, by time; with an id, only the lines that carry it.

The id is that of a request (req-…), a resource or a project. -f goes on as lines are written.
"""

import argparse
import heapq
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aerostat.cli import CommandError
from aerostat.cli.plain import plain
from aerostat.cli.settings import folder_of

POLL_S = 0.25
COLOURS = {"debug": "\033[2m", "info": "", "warning": "\033[33m", "error": "\033[31m"}
DIM, PLAIN = "\033[2m", "\033[0m"
SHOWN_APART = ("at", "level", "event", "process", "pid", "source", "exception")


class Line(NamedTuple):
    at: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="only lines with this request or resource id")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines are written")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="only the last N (with -f: 20)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    folder = folder_of(args).log
    show = printer(args.output, colours=sys.stdout.isatty())
    tail = Tail(folder, args.id) if args.follow else None
    last = args.lines if args.lines is not None else (20 if args.follow else None)
    lines: Iterable[Line] = merged(folder, args.id)
    for line in lines if last is None else list(lines)[-last:] if last else ():
        show(line)
    while tail is not None:
        sys.stdout.flush()
        time.sleep(POLL_S)
        for line in tail.fresh():
            show(line)
    return 0


def merged(folder: Path, needle: str | None = None) -> Iterator[Line]:
    """The lines of all streams in `folder` that hold `needle`, ordered by time."""
    return heapq.merge(*(_lines(path, needle) for path in streams(folder)))


def streams(folder: Path) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(".jsonl"))
    except FileNotFoundError:
        return []
    except PermissionError:
        raise CommandError(f"{folder} cannot be read: the cloud is another user's; with sudo?") from None


def _lines(path: Path, needle: str | None) -> Iterator[Line]:
    try:
        with path.open(errors="replace") as stream:
            for text in stream:
                if needle is None or needle in text:
                    yield _line(text)
    except FileNotFoundError:
        return  # moved aside meanwhile


def _line(text: str) -> Line:
    # The time comes first in each line; a line of another shape (cut by a crash) sorts by what it has.
    return Line(text[7:34] if text.startswith('{"at":"') else "", text.rstrip("\n"))


class Tail:
    """Follows all streams of a folder, also ones that appear later or are moved aside."""

    def __init__(self, folder: Path, needle: str | None) -> None:
        self._folder = folder
        self._needle = needle
        self._places = {path: (path.stat().st_ino, path.stat().st_size) for path in streams(folder)}

    def fresh(self) -> list[Line]:
        """Whole lines that were written since the last call, by time."""
        found: list[Line] = []
        by_inode = dict(self._places.values())
        for path in streams(self._folder):
            inode, place = self._places.get(path, (0, 0))
            with path.open("rb") as stream:
                now_inode = path.stat().st_ino
                if now_inode != inode:
                    # Moved aside under another name: what was read of it is known by its inode.
                    place = by_inode.get(now_inode, 0)
                    inode = now_inode
                stream.seek(place)
                whole, _, _ = stream.read().rpartition(b"\n")
            if whole:
                place += len(whole) + 1
                texts = whole.decode(errors="replace").split("\n")
                found += [_line(text) for text in texts if self._needle is None or self._needle in text]
            self._places[path] = (inode, place)
        return sorted(found)


def printer(output: str, *, colours: bool) -> Callable[[Line], None]:
    if output == "json":
        return lambda line: print(plain(line.text))
    return lambda line: print(as_text(line.text, colours=colours))


def as_text(text: str, *, colours: bool) -> str:
    """A line for people: time, process, level, event, what else it carries."""
    try:
        record: dict[str, Any] = json.loads(text)
    except ValueError:
        return plain(text)
    level, process = record.get("level", ""), record.get("process", "")
    rest = plain(
        " ".join(
            f"{key}={_value(value)}"
            for key, value in record.items()
            if value is not None and key not in SHOWN_APART
        )
    )
    head = plain(f"{record.get('at', '')[11:23]} {process:<10} {level:<7} ")
    event = plain(str(record.get("event", "")))
    trace = ""
    if "exception" in record:
        trace = "\n    " + plain(record["exception"]).rstrip().replace("\n", "\n    ")
    if not colours:
        return f"{head}{event} {rest}".rstrip() + trace
    return f"{DIM}{head}{PLAIN}{COLOURS.get(level, '')}{event}{PLAIN} {DIM}{rest}{PLAIN}{trace}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return (
            value
            if value and " " not in value and "=" not in value
            else json.dumps(value, ensure_ascii=False)
        )
    return json.dumps(value, ensure_ascii=False)
