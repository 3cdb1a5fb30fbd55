"""Questions that a simulated life is asked: what they find, and what they must not take for a fault."""

from types import SimpleNamespace
from typing import Any

import pytest

from aerostat.kernel.db import Row
from aerostat.services.compute.drivers.fake import FakeHypervisor
from aerostat.services.compute.host.protocol import DomainSpec, RootDisk
from aerostat.testing.sim import invariants

APART = Row(id="g", name="apart", policy="anti-affinity")
ONE = Row(id="1", server_group_id="g", host="host-1", state="active")
OTHER = Row(id="2", server_group_id="g", host="host-1", state="building")


def claim(server: Row) -> Row:
    return Row(consumer_id=server.id, provider_id="p1")


class Hosts:
    async def all(self, table: Any) -> list[Row]:
        return [Row(id="p1", name="host-1")]


@pytest.mark.parametrize(
    ("claims", "has_guest", "broken"),
    [
        ([claim(ONE), claim(OTHER)], False, ["2 servers of group apart stand on host-1"]),
        ([claim(ONE)], True, ["2 servers of group apart stand on host-1"]),
        ([claim(ONE)], False, []),
    ],
)
async def test_who_only_asked_for_a_host_does_not_stand_there(
    claims: list[Row], has_guest: bool, broken: list[str]
) -> None:
    """Seed 4387 of an earlier tree: of two that wanted one host, one had claimed it and the other looked again."""
    machine = FakeHypervisor("host-1")
    if has_guest:
        machine.remember_image("i")
        await machine.ensure_domain(
            DomainSpec(id=OTHER.id, name="n", vcpus=1, memory_mib=1, root=RootDisk("i"))
        )
    cloud: Any = SimpleNamespace(lasting=SimpleNamespace(hosts={"host-1": machine}))
    store: Any = Hosts()
    standing = await invariants._standing(cloud, store, [ONE, OTHER], claims)
    assert list(invariants._together(standing, [APART])) == broken
