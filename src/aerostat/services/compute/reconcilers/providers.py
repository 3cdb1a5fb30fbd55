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
    config = room_of(house).config
    desired = [
        EnsureProvider(host.id, host.name, inventories_of(host.facts, config))
        for host in await house.store.all(model.HOSTS)
    ]
    placing = room_of(house).placing("compute-providers")
    actual = {one.host_id: await placing.inventories(one.host_id) for one in desired}
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
    placing = room_of(house).placing("compute-providers")
    await placing.ensure_host(action.host_id, action.name, action.inventories)


providers = Reconciler(PROVIDERS, every=300.0, observe=_observe, plan=plan_providers, apply=_apply)
