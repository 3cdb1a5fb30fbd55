"""The borders between the parts of the house, kept by reading import lines (docs/house-style.md).

Lines are matched, syntax trees are not walked: this runs on every check, over every file. A failure names the
line and the rule it breaks.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/house-style.md"

# A room imports the clients of rooms in rows above its own.
ORDER = (
    ("identity",),
    ("placement", "object"),
    ("image",),
    ("network", "volume"),
    ("compute",),
    ("orchestration",),
    ("ec2", "dashboard", "operations"),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# The object store is as large as several rooms: its parts, bottom up, import what stands in rows above their own.
OBJECT_LAYERS = (
    ("timestamp", "versions", "realms", "cluster.policies", "node.waits", "daemons.settings"),
    ("ring", "crypto"),
    ("stores",),
    ("node", "cluster"),
    ("config",),
    ("expiry", "places", "http"),
    ("pipeline",),
    ("large", "proxy", "daemons"),
    ("recon",),
    ("middleware",),
    ("room",),
    ("housed", "client"),
    ("door",),
)
OBJECT_RANK = {part: rank for rank, parts in enumerate(OBJECT_LAYERS) for part in parts}

# What a driver may know of the kernel: nothing of requests, rows or other rooms.
DRIVER_KERNEL = {
    "clock",
    "errors",
    "host_place",
    "ids",
    "log",
    "namespaces",
    "processes",
    "sqlite_file",
    "state_folder",
    "supervise",
    "tools",
    "turns",
    "units",
}
# Where the parts of the composition root may be named, and only inside a function there.
ROOT_USERS = {"cli", "testing", "__main__"}

_IMPORT = re.compile(
    r"^(?P<indent>[ \t]*)(?:from[ ](?P<source>\.*[\w.]*)[ ]import[ ](?P<names>\([^)]*\)|[^\n]+)"
    r"|import[ ](?P<plain>[\w., ]+))",
    re.MULTILINE,
)


class Line(NamedTuple):
    """One import: who imports what, where, and whether it stands inside a function or a condition."""

    importer: str
    target: str
    inside: bool
    where: str


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name; a package is named as its folder is."""
    found = {}
    for path in sorted((root / "aerostat").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, text: str, known: dict[str, Path], *, package: bool) -> Iterator[Line]:
    """The lines of a module that import something of ours, each as far as the module that it means."""
    here = name.split(".")
    file = known[name].relative_to(ROOT) if name in known else name
    for match in _IMPORT.finditer(text):
        where = f"{file}:{text.count(chr(10), 0, match.start()) + 1}"
        if match["plain"] is not None:
            targets = [word.split(" as ")[0].strip() for word in match["plain"].split(",")]
        else:
            dots = len(match["source"]) - len(match["source"].lstrip("."))
            up = here[: len(here) - dots + package] if dots else []
            source = ".".join([*up, *filter(None, [match["source"].lstrip(".")])])
            names = re.findall(r"(\w+)(?:[ ]as[ ]\w+)?", re.sub(r"#[^\n]*", "", match["names"]))
            targets = [f"{source}.{word}" if f"{source}.{word}" in known else source for word in names]
        for target in dict.fromkeys(targets):
            if target.split(".")[0] == "aerostat":
                yield Line(name, target, bool(match["indent"]), where)


def broken_rule(line: Line) -> str | None:
    """The rule that an import breaks, in a sentence; None when it breaks none."""
    here, there = line.importer.split(".")[1:], line.target.split(".")[1:]
    if not here or not there:
        return None
    if there[0].startswith("app"):
        if here[0].startswith("app"):
            return None
        if here[0] not in ROOT_USERS:
            return "the composition root (app*.py) is imported by the command line and the test cloud only"
        return (
            None if line.inside else "the composition root is imported inside a function: it loads every room"
        )
    if here[0].startswith("app") or here[0] in ROOT_USERS:
        return None
    if here[0] == "kernel":
        return None if there[0] == "kernel" else "the kernel imports third parties and itself, never rooms"
    if here[0] == "guest":
        return None if there[0] in ("kernel", "guest") else "the guest's image is built without any room"
    if here[:2] == there[:2] == ["services", "object"] and not line.inside:
        return _broken_by_layer(here[2:], there[2:])
    if here[0] == "services":
        return _broken_by_room(here[1:], there)
    return None


def _broken_by_layer(here: list[str], there: list[str]) -> str | None:
    """Within the object store."""
    if not here or not there or here[0] == there[0]:
        return None
    own, other = (OBJECT_RANK.get(".".join(one[:2]), OBJECT_RANK.get(one[0])) for one in (here, there))
    if own is None or other is None:
        return f"{'.'.join(here if own is None else there)} has no place among the layers of the object store"
    return None if other < own else f"{here[0]} stands below {there[0]} in the object store"


def _broken_by_room(here: list[str], there: list[str]) -> str | None:
    if not here:
        return "the list of rooms is the composition root's"
    room, inner = here[0], here[1:]
    part = inner[0] if inner else ""
    if there[0] == "services":
        if len(there) < 2:
            return None
        if there[1] != room:
            return _broken_by_neighbour(room, part, there[1:])
        return _broken_inside(inner, there[2:])
    if there[0] == "kernel":
        return _broken_by_kernel_use(inner, there[1:])
    return f"a room imports the kernel, itself and the clients of others, not aerostat.{there[0]}"


def _broken_by_neighbour(room: str, part: str, there: list[str]) -> str | None:
    if there[1:2] != ["client"]:
        return f"of another room only its client may be imported, not {'.'.join(there)}"
    if RANK[there[0]] >= RANK[room]:
        return f"rooms import leftwards: {there[0]} does not stand before {room}"
    if part in ("model", "states", "host", "drivers"):
        return f"{part} knows its own room only"
    return None


def _broken_inside(inner: list[str], there: list[str]) -> str | None:
    """Within one room."""
    part, towards = inner[0] if inner else "", there[0] if there else ""
    if part == "model" and towards != "model":
        return "model imports kernel.db and nothing of its room"
    if part == "states" and towards != "states":
        return "states are a table: they import kernel.work and nothing of their room"
    if part == "host" and towards not in ("host", "drivers", "errors", "config"):
        return f"a host knows its protocol and its drivers, not {towards or 'the door'} of its room"
    if part == "drivers":
        return _broken_by_driver(inner, there)
    if part in ("resources", "flows", "reconcilers", "sweepers") and towards == "drivers":
        return f"{part} reach hardware through host/protocol.py, never a driver"
    return None


def _broken_by_driver(inner: list[str], there: list[str]) -> str | None:
    if there == ["host", "protocol"] or there[:2] == ["drivers", "protocol"]:
        return None
    if len(inner) == 1 and there == ["config"]:  # drivers/__init__.py chooses by the settings
        return None
    if there[:1] != ["drivers"]:
        return f"a driver knows its protocol and itself, not {'.'.join(there) or 'the door'}"
    if len(inner) == 1:
        return None
    own, other = inner[1], there[1] if len(there) > 1 else ""
    # `fake` and `fake_console` are two files of one driver.
    if other.partition("_")[0] != own.partition("_")[0] and other != "protocol":
        return f"a driver never imports another driver ({other or 'drivers'})"
    return None


def _broken_by_kernel_use(inner: list[str], there: list[str]) -> str | None:
    part, towards = inner[0] if inner else "", there[0] if there else ""
    if part == "model" and towards not in ("db", "clock", "ids", ""):
        return "model imports kernel.db (and clock and ids for defaults) only"
    if part == "states" and towards not in ("work", "errors", "db"):
        return "states import kernel.work only"
    if part == "host" and towards == "db":
        return "a host never sees the database"
    if part == "drivers" and len(inner) > 1 and towards not in DRIVER_KERNEL:
        return f"a driver knows only the kernel's basics, not kernel.{towards}"
    return None


def test_imports_keep_the_borders() -> None:
    known = modules(ROOT / "src")
    broken = [
        f"{line.where}: imports {line.target}: {rule} ({PAGE})"
        for name, path in known.items()
        for line in imports(name, path.read_text(), known, package=path.name == "__init__.py")
        if (rule := broken_rule(line))
    ]
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("importer", "text", "rule"),
    [
        ("aerostat.kernel.resource", "from aerostat.services.compute import model", "never rooms"),
        (
            "aerostat.services.image.resources.image",
            "from aerostat.services.compute.client import X",
            "leftwards",
        ),
        (
            "aerostat.services.compute.flows.create_server",
            "from aerostat.services.network import model",
            "only its client",
        ),
        (
            "aerostat.services.compute.host.agent",
            "from aerostat.kernel.db import Store",
            "never sees the database",
        ),
        (
            "aerostat.services.compute.drivers.fake",
            "from aerostat.services.compute import model",
            "its protocol and itself",
        ),
        ("aerostat.services.compute.drivers.fake", "from .libvirt import hypervisor", "another driver"),
        (
            "aerostat.services.compute.drivers.fake",
            "from aerostat.kernel.http.app import Application",
            "basics",
        ),
        ("aerostat.services.compute.model", "from .errors import X", "nothing of its room"),
        ("aerostat.services.compute.model", "from aerostat.kernel.resource import Field", "kernel.db"),
        (
            "aerostat.services.compute.resources.flavor",
            "import aerostat.services.compute.drivers.fake",
            "never a driver",
        ),
        ("aerostat.cli.serve", "from aerostat import app", "inside a function"),
        ("aerostat.services.compute.start", "    from aerostat import app", "test cloud only"),
        (
            "aerostat.services.compute.start",
            "from aerostat.services.network.client import (\n    A,\n)",
            None,
        ),
        ("aerostat.services.compute.drivers.fake", "from .fake_console import FakeConsoles", None),
        ("aerostat.services.object.cluster.calls", "from ..http.request import Request", "stands below http"),
        ("aerostat.services.object.http.front", "from ..config import Limits", None),
        ("aerostat.services.object.pipeline", "    from .room import ObjectStore", None),
        ("aerostat.cli.serve", "    from aerostat import app", None),
    ],
)
def test_a_rule_is_seen_to_be_broken(importer: str, text: str, rule: str | None) -> None:
    (line,) = imports(importer, text, modules(ROOT / "src"), package=False)
    found = broken_rule(line)
    assert (rule in (found or "")) if rule else found is None, found
