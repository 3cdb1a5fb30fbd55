"""Every host of ours is a resource provider with the inventories that it last reported."""

from typing import Any

import msgspec

from aerostat.kernel.work import Reconciler

from .. import model
from ..hosts import PROVIDERS
from ..placing import inventories_of
from ..room import room_of


class EnsureProvider(msgspec.Struct, frozen=True):
    host_id: str
    name: str
    inventories: dict[str, dict[str, Any]]


async def _observe(house: Any) -> tuple[list[EnsureProvider], dict[str, Any]]:
    """Hosts whose facts, or whose provider, are other than when both were last found to agree."""
    room = room_of(house)
    placing = room.placing("compute-providers")
    generations = await placing.generations()
    desired, actual = [], {}
    for host in await house.store.all(model.HOSTS):
        wanted = EnsureProvider(host.id, host.name, inventories_of(host.facts, room.config))
        known = (wanted.inventories, generations.get(host.id))
        if known[1] is not None and room.providers_seen.get(host.id) == known:
            continue
        desired.append(wanted)
        actual[host.id] = await placing.inventories(host.id)
        room.providers_seen[host.id] = known
    return desired, actual


def plan_providers(desired: list[EnsureProvider], actual: dict[str, Any]) -> list[EnsureProvider]:
    """Those whose inventories are missing or differ in a number of ours."""
    return [
        one
        for one in desired
        if actual[one.host_id] is None
        or {
            kind: {name: known.get(name) for name in one.inventories.get(kind, {})}
            for kind, known in actual[one.host_id].items()
        }
        != one.inventories
    ]


async def _apply(house: Any, action: EnsureProvider) -> None:
    room_of(house).providers_seen.pop(action.host_id, None)
    placing = room_of(house).placing("compute-providers")
    await placing.ensure_host(action.host_id, action.name, action.inventories)


providers = Reconciler(
    PROVIDERS,
    every=300.0,
    observe=_observe,
    plan=plan_providers,
    apply=_apply,
    forget=lambda house: room_of(house).providers_seen.clear(),
)
