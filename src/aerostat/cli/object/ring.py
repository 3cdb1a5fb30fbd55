"""The rings of a store: which devices hold what.

aerostat object ring                              all rings and their devices
aerostat object ring add NAME --folder DIR        a new device of this machine (a folder, or a mounted disk)
aerostat object ring add NAME --node HOST:PORT    a device of another node
aerostat object ring weight NAME 50               hold less, or more; 0 empties the device
aerostat object ring remove NAME                  the device is lost, or empty
aerostat object ring replicas 3                   so many copies from now on
aerostat object ring rebalance                    give partitions to devices anew

Changes act on all rings (--ring NAME: on one) and rebalance them. Servers that run follow within seconds; the
replicator moves what must move. At most one copy of a partition is moved per hour (--now: do not wait).
"""

import argparse
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from aerostat.cli import CommandError, typed
from aerostat.cli.object import places_folder
from aerostat.cli.settings import folder_of
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Builder, Device, Rebalanced, Ring, RingError, measure

ACTIONS = ("show", "add", "weight", "remove", "replicas", "rebalance")
OWN_NODE = "local"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="show")
    parser.add_argument("what", nargs="*", help="a device; of weight and replicas the value as well")
    parser.add_argument(
        "--ring", action="append", metavar="NAME", help="account, container, object, object-1 …"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="add: where the device is")
    parser.add_argument("--node", metavar="HOST:PORT", help="the node of the device (default: this one)")
    parser.add_argument("--zone", type=int, default=1, help="what fails together, within a region")
    parser.add_argument("--region", type=int, default=1)
    parser.add_argument("--weight", type=float, default=100.0, help="its size, against that of others")
    parser.add_argument("--now", action="store_true", help="move partitions that were moved lately, too")


def run(args: argparse.Namespace) -> int:
    places = Places(places_folder(folder_of(args).path))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no rings; {typed()} object up makes them")
    names = args.ring or sorted(path.stem for path in places.rings.glob("*.builder"))
    for name in names:
        if not places.builder_file(name).exists():
            raise CommandError(f"there is no ring {name}")
    try:
        change = changes(args, places)
        if change is None:
            for name in names:
                print("\n".join(told(name, places.ring(name))))
            return 0
        with _alone(places):
            for name in names:
                print(changed(places, name, change, now=args.now))
    except RingError as error:
        raise CommandError(str(error)) from None
    return 0


def changes(args: argparse.Namespace, places: Places) -> Callable[[Builder], None] | None:
    """What is to be done with each builder; None: nothing, they are only to be shown."""
    match args.action, args.what:
        case "show", []:
            return None
        case "rebalance", []:
            return lambda builder: None
        case "add", [name]:
            node = args.node or OWN_NODE
            if node == OWN_NODE:
                prepare_device(places, name, args.folder)
            return lambda builder: _add(builder, node, name, args)
        case "remove", [name]:
            return lambda builder: _each(builder, name, args.node, lambda device: builder.remove(device.id))
        case "weight", [name, weight]:
            amount = _number(weight)
            return lambda builder: _each(
                builder, name, args.node, lambda device: builder.set_weight(device.id, amount)
            )
        case "replicas", [count]:
            return lambda builder: builder.set_replicas(_number(count))
    raise CommandError(f"what shall be done? {typed()} object ring --help")


def prepare_device(places: Places, name: str, folder: Path | None) -> None:
    """A device's folder on this machine. Raises `CommandError`."""
    if "/" in name or name.startswith("."):
        raise CommandError(f"{name!r} is no name for a device")
    device = places.device(name)
    try:
        if folder is None:
            device.mkdir(mode=0o700, exist_ok=True)
            return
        target = folder.expanduser().resolve()
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.lexists(device):
            if device.resolve() != target:
                raise CommandError(f"a device {name} is there already: {device.resolve()}")
            return
        device.symlink_to(target)
    except OSError as error:
        raise CommandError(f"{folder or device} cannot be a device: {error.strerror}") from None


def _add(builder: Builder, node: str, name: str, args: argparse.Namespace) -> None:
    builder.add(node=node, name=name, weight=args.weight, region=args.region, zone=args.zone)


def _each(builder: Builder, name: str, node: str | None, act: Callable[[Device], object]) -> None:
    found = [
        device
        for device in builder.devices.values()
        if device.name == name and (node is None or device.node == node)
    ]
    if not found:
        raise RingError(f"No device of the ring is called {name}.")
    if len(found) > 1:
        raise RingError(f"Several nodes have a device {name}: name one by --node.")
    act(found[0])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CommandError(f"{text} is no number") from None


def changed(places: Places, name: str, change: Callable[[Builder], None], *, now: bool) -> str:
    """Do it with one ring and rebalance it; answers a line that says what came of it. Raises `RingError`."""
    builder = Builder.load(places.builder_file(name))
    change(builder)
    if now:
        builder.min_part_hours, kept = 0, builder.min_part_hours
        done = builder.rebalance()
        builder.min_part_hours = kept
    else:
        done = builder.rebalance()
    builder.save(places.builder_file(name))
    builder.ring().save(places.ring_file(name))
    return f"{name}: {_words(done)}"


def _words(done: Rebalanced) -> str:
    words = f"{done.moved} copies of partitions move, {done.placed} are placed anew"
    if done.waiting:
        words += f"; {done.waiting} wait, because they moved lately: rebalance again in an hour"
    return words


def told(name: str, ring: Ring) -> Iterator[str]:
    """A ring as a table."""
    spread = measure(ring)
    yield (
        f"{name}: {ring.parts} partitions, {ring.replicas:g} copies, version {ring.version}; balance"
        f" {spread.balance:.2f} %, {spread.crowded} partitions with copies too near each other"
    )
    yield f"  {'device':<20} {'node':<22} {'region':>6} {'zone':>5} {'weight':>8} {'partitions':>10}"
    counts = dict.fromkeys(ring.devices, 0)
    for part in range(ring.parts):
        for id in ring.ids(part):
            counts[id] += 1
    for device in sorted(ring.devices.values(), key=lambda one: (one.region, one.zone, one.node, one.name)):
        yield (
            f"  {device.name:<20} {device.node:<22} {device.region:>6} {device.zone:>5}"
            f" {device.weight:>8g} {counts[device.id]:>10}"
        )


@contextlib.contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Two that change the rings at once would lose one change."""
    with open(places.rings / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("the rings are being changed by somebody else") from None
        yield
