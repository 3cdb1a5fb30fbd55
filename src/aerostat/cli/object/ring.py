"""The rings of a store: which devices hold what.

aerostat object ring                              all rings and their devices
aerostat object ring add NAME --folder DIR        a new device of this machine (a folder, or a mounted disk)
aerostat object ring add NAME --node HOST:PORT    a device of another node
aerostat object ring weight NAME 50               hold less, or more; 0 empties the device
aerostat object ring remove NAME                  the device is lost, or empty
aerostat object ring renew NAME                   there is a new, empty disk in the place of the old one
aerostat object ring replicas 3                   so many copies from now on (of an erasure code its policy says)
aerostat object ring rebalance                    give partitions to devices anew
aerostat object ring make                         rings for policies that are new in the settings

aerostat object ring pack FILE                    rings and secret in a file, for the other nodes
aerostat object ring take FILE                    the rings and the secret of such a file are this node's

Changes act on all rings (--ring NAME: on one) and rebalance them. Servers that run follow within seconds; the
replicator moves what must move. At most one copy of a partition is moved per hour (--now: do not wait).
"""

import argparse
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from aerostat.cli import CommandError, typed
from aerostat.cli.object import places_folder, store_settings_of
from aerostat.cli.settings import folder_of
from aerostat.services.object.config import ObjectConfig, policies_of
from aerostat.services.object.places import Places, ring_name
from aerostat.services.object.ring import Builder, Device, Rebalanced, Ring, RingError, measure

ACTIONS = ("show", "add", "weight", "remove", "renew", "replicas", "rebalance", "make", "pack", "take")
KEPT = (".ring", ".builder")


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
    folder = folder_of(args)
    places = Places(places_folder(folder.path))
    if args.action == "take":
        folder.create()
        return taken(places, Path(_one(args.what)))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no rings; {typed()} object up makes them")
    if args.action == "pack":
        return packed(places, Path(_one(args.what)))
    if args.action == "renew":
        return renewed(places, _one(args.what))
    if args.action == "make":
        return make_missing(places, store_settings_of(args).section(ObjectConfig))
    names = args.ring or sorted(path.stem for path in places.rings.glob("*.builder"))
    for name in names:
        if not places.builder_file(name).exists():
            raise CommandError(f"there is no ring {name}")
    if args.action == "replicas":
        names = _of_copies(names, args)
    try:
        change = changes(args, places)
        if change is None:
            for name in names:
                print("\n".join(told(name, places.ring(name))))
            return 0
        with _alone(places):
            lines = [changed(places, name, change, now=args.now) for name in names]
        print("\n".join(lines))  # all is done by then, whether or not somebody reads it
    except RingError as error:
        raise CommandError(str(error)) from None
    return 0


def _of_copies(names: list[str], args: argparse.Namespace) -> list[str]:
    """Those of the rings that hold copies. Raises `CommandError` where one is asked for that holds fragments."""
    policies = policies_of(store_settings_of(args).section(ObjectConfig))
    coded = {ring_name(policy.index) for policy in policies if policy.kind == "erasure"}
    if asked := coded & set(args.ring or ()):
        raise CommandError(f"{min(asked)} holds fragments: how many there are is said by its policy")
    return [name for name in names if name not in coded]


def changes(args: argparse.Namespace, places: Places) -> Callable[[Builder], None] | None:
    """What is to be done with each builder; None: nothing, they are only to be shown."""
    match args.action, args.what:
        case "show", []:
            return None
        case "rebalance", []:
            return lambda builder: None
        case "add", [name]:
            node = args.node or store_settings_of(args).section(ObjectConfig).node
            if args.node is None:
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


class Pack(msgspec.Struct, frozen=True):
    """What all nodes of a cluster have in common."""

    secret: bytes
    files: dict[str, bytes]
    """Rings and builders by the name of their file."""


def packed(places: Places, file: Path) -> int:
    files = {
        path.name: path.read_bytes() for path in sorted(places.rings.glob("*.[br]*")) if path.suffix in KEPT
    }
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as output:
        output.write(msgspec.msgpack.encode(Pack(places.secret(), files)))
    print(f"{file}: {len(files)} files and the cluster's secret; who has it can read and write everything")
    return 0


def taken(places: Places, file: Path) -> int:
    """Raises `CommandError` for a file that is none of ours, and for one of another cluster."""
    try:
        pack = msgspec.msgpack.decode(file.read_bytes(), type=Pack)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError:
        raise CommandError(f"{file} was not made by ring pack") from None
    if any("/" in name or Path(name).suffix not in KEPT for name in pack.files):
        raise CommandError(f"{file} was not made by ring pack")
    try:
        places.join(pack.secret)
    except FileExistsError:
        raise CommandError(f"{places.folder} has the secret of another cluster") from None
    with _alone(places):
        for name, content in pack.files.items():
            part = places.rings / f"{name}.part"
            part.write_bytes(content)
            os.replace(part, places.rings / name)
    print(f"{len(pack.files)} files of rings are in use; servers that run follow within seconds")
    return 0


def make_missing(places: Places, settings: ObjectConfig) -> int:
    with _alone(places):
        made = places.add_missing_rings(settings)
    for name, replicas in made.items():
        print(f"{name}: over the devices of the ring object, {replicas:g} of them for each partition")
    if not made:
        print("every policy has its ring")
    return 0


def renewed(places: Places, name: str) -> int:
    if not os.path.lexists(places.device(name)):
        raise CommandError(f"there is no device {name} on this machine")
    places.forget_device(name)
    print(
        f"{name}: what is found there at the next start is the device from then on; it is filled from other copies"
    )
    return 0


def _one(what: list[str]) -> str:
    if len(what) != 1:
        raise CommandError(f"of what? {typed()} object ring --help")
    return what[0]


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
