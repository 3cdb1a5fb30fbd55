"""The network room on a real OVN: what its small calls write is what a full comparison finds."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.metal.ovn_cloud import missing_for_ovn, ovn_cloud
from tests.network.conftest import Api, close_house, open_house
from tests.network.scenario import everything, things_of

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(missing_for_ovn()), reason=missing_for_ovn() or "-"),
]


async def test_every_change_arrives(tmp_path: Path) -> None:
    house = await open_house(f"sqlite:///{tmp_path}/network.sqlite?synchronous=off", tmp_path)
    transport = httpx.ASGITransport(house.dispatch)
    async with (
        ovn_cloud(tmp_path) as cloud,
        httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as session,
    ):
        room: Any = house.state["network"]
        room.driver = driver = cloud.driver
        api = Api(house, session)
        await api.settle()
        async for what in everything(api):
            await api.settle()
            wanted = await things_of(api)
            for key, state in (await driver.list_things()).items():
                assert state == driver.fingerprint(wanted[key]), (what, key)
            assert not await driver.sync(wanted.values()), what
        await driver.wait_applied()
    await close_house(house)
