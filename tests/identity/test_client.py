"""Identity as other rooms ask it: everything that a template may name is found by name and by id."""

import pytest

from aerostat.kernel.context import internal_context
from aerostat.services.orchestration.lookup import NotThere, find_id

from .conftest import Client


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("domain", "Default"),
        ("project", "demo"),
        ("user", "demo"),
        ("role", "member"),
        ("service", "keystone"),
    ],
)
async def test_found_by_name_and_by_id(cloud: Client, what: str, name: str) -> None:
    client = cloud.house.client("identity", internal_context("req-1"))
    id = await find_id(client, what, name)
    assert await find_id(client, what, id) == id
    with pytest.raises(NotThere):
        await find_id(client, what, "nobody")


async def test_a_group_and_a_region(admin: Client) -> None:
    client = admin.house.client("identity", internal_context("req-1"))
    group = await admin.make("groups", name="crew", domain_id="default")
    assert await find_id(client, "group", "crew") == group["id"]
    assert await find_id(client, "region", "RegionOne") == "RegionOne"
    with pytest.raises(NotThere):
        await find_id(client, "region", "Atlantis")
