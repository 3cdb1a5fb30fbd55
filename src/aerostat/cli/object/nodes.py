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
from aerostat.services.object.stores.objects import WOUNDED

SHOWN_HANDOFFS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="ACCOUNT[/CONTAINER[/OBJECT]]")
    parser.add_argument("--policy", metavar="NAME", help="of the container (default: where something is)")


def run(args: argparse.Namespace) -> int:
    places = Places(places_folder(folder_of(args).path))
    if not places.is_founded:
        raise CommandError(f"{places.folder} has no rings; {typed()} object up makes them")
    settings = store_settings_of(args).section(ObjectConfig)
    policies = policies_of(settings)
    if args.policy and policies.find(args.policy) is None:
        raise CommandError(f"there is no storage policy {args.policy}")
    account, *rest = args.path.strip("/").split("/", 2)
    container, name = ([*rest, None, None])[:2]
    if not account:
        raise CommandError("a path begins with an account")
    kind = "object" if name else "container" if container else "account"
    hashed = Hasher(places.secret()).hash(account, container, name)
    if kind != "object":
        _show(f"{kind} {args.path}", _Where(places, settings.node, kind, f"{kind}s", hashed))
        return 0
    known = {policy.index: _of_objects(places, settings.node, policy, hashed) for policy in policies}
    if args.policy:
        shown = [policy for policy in policies if policy is policies.find(args.policy)]
    else:
        shown = [policy for policy in policies if known[policy.index].has_any] or [policies.default]
    for policy in shown:
        said = f" of policy {policy.name}" if len(known) > 1 else ""
        _show(f"object {args.path}{said}", known[policy.index])
    return 0


class _Where:
    """Devices of a ring, and what of this hash is in a store of theirs."""

    def __init__(self, places: Places, node: str, ring: str, store: str, hashed: str) -> None:
        self.hashed = hashed
        found = places.ring(ring)
        self.part = found.partition(hashed)
        handoffs = [
            device for device, _ in zip(found.handoffs(self.part), range(SHOWN_HANDOFFS), strict=False)
        ]
        roles = [("holder", one) for one in found.holders(self.part)] + [("handoff", one) for one in handoffs]
        self.devices = [
            (role, device, _there(places, node, device, store, self.part, hashed)) for role, device in roles
        ]

    @property
    def has_any(self) -> bool:
        return any(found for _, _, found in self.devices)


def _of_objects(places: Places, node: str, policy: Policy, hashed: str) -> _Where:
    store = fragments_of(policy.index) if policy.kind == "erasure" else objects_of(policy.index)
    return _Where(places, node, ring_name(policy.index), store, hashed)


def _show(title: str, where: _Where) -> None:
    print(f"{title}: partition {where.part}, hash {where.hashed}")
    for role, device, found in where.devices:
        shown = "on another machine" if found is None else ", ".join(map(_file, found)) or "nothing there"
        print(_line(role, device, shown))


def _line(role: str, device: Device, there: str) -> str:
    return f"  {role:<8} {device.key:<30} region {device.region} zone {device.zone}  {there}"


def _there(
    places: Places, node: str, device: Device, store: str, part: int, hashed: str
) -> list[Path] | None:
    """None for a device of another machine."""
    if device.node != node:
        return None
    root = places.device(device.name)
    wounded = (root / WOUNDED / store).glob(f"{part}-{hashed}*")
    return [*sorted((root / store / str(part)).glob(f"*/{hashed}*")), *wounded]


def _file(path: Path) -> str:
    return f"{path} ({path.stat().st_size} bytes)"
