"""Show which devices hold an account, a container or an object, in which order they are asked, and what is there.

aerostat object nodes AUTH_demo/photos/cat.jpg [--policy NAME]
"""

import argparse
from pathlib import Path

from aerostat.cli import CommandError, typed
from aerostat.cli.object import places_folder, store_settings_of
from aerostat.cli.settings import folder_of
from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.config import ObjectConfig, policies_of
from aerostat.services.object.places import Places, ring_name
from aerostat.services.object.ring import Device, Hasher
from aerostat.services.object.stores.held import fragments_of, objects_of

SHOWN_HANDOFFS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="ACCOUNT[/CONTAINER[/OBJECT]]")
    parser.add_argument("--policy", metavar="NAME", help="of the container (default: the default one)")


def run(args: argparse.Namespace) -> int:
    places = Places(places_folder(folder_of(args).path))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no rings; {typed()} object up makes them")
    settings = store_settings_of(args).section(ObjectConfig)
    policies = policies_of(settings)
    policy = policies.find(args.policy) if args.policy else policies.default
    if policy is None:
        raise CommandError(f"there is no storage policy {args.policy}")
    account, *rest = args.path.strip("/").split("/", 2)
    container, name = ([*rest, None, None])[:2]
    if not account:
        raise CommandError("a path begins with an account")
    kind = "object" if name else "container" if container else "account"
    ring = places.ring(ring_name(policy.index) if name else kind)
    hashed = Hasher(places.secret()).hash(account, container, name)
    part = ring.partition(hashed)
    print(f"{kind} {args.path}: partition {part}, hash {hashed}")
    store = _store_of(policy) if name else f"{kind}s"
    for device in ring.holders(part):
        print(_line("holder", device, _there(places, settings.node, device, store, part, hashed)))
    for device, _ in zip(ring.handoffs(part), range(SHOWN_HANDOFFS), strict=False):
        print(_line("handoff", device, _there(places, settings.node, device, store, part, hashed)))
    return 0


def _store_of(policy: Policy) -> str:
    return objects_of(policy.index) if policy.kind == "replication" else fragments_of(policy.index)


def _line(role: str, device: Device, there: str) -> str:
    return f"  {role:<8} {device.key:<30} region {device.region} zone {device.zone}  {there}"


def _there(places: Places, node: str, device: Device, store: str, part: int, hashed: str) -> str:
    if device.node != node:
        return "on another machine"
    found = sorted((places.device(device.name) / store / str(part)).glob(f"*/{hashed}*"))
    return ", ".join(_file(path) for path in found) or "nothing there"


def _file(path: Path) -> str:
    return f"{path} ({path.stat().st_size} bytes)"
