"""What races, what orders and what filters, on each database we support."""

import asyncio
from typing import Any

import pytest

from .conftest import Api, make_subnet
from .test_router import make_reachable

pytestmark = pytest.mark.parametrize("api", ["sqlite", "postgres"], indirect=True)


async def test_thirty_at_once_get_an_address_each(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"])
    made = await asyncio.gather(*(api.make("ports", network_id=network["id"]) for _ in range(30)))
    assert len({one["fixed_ips"][0]["ip_address"] for one in made}) == 30


async def test_one_address_goes_to_one_of_ten(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"])
    body = {"port": {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.50"}]}}
    answers = await asyncio.gather(*(api.request("POST", "ports", body) for _ in range(10)))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 9


async def test_a_default_group_is_made_once(api: Api) -> None:
    network = await api.make("networks")
    made = await asyncio.gather(*(api.make("ports", network_id=network["id"]) for _ in range(8)))
    assert len({group for one in made for group in one["security_groups"]}) == 1
    assert len((await api.get("security-groups"))["security_groups"]) == 1


async def test_a_quota_is_not_passed_by_many_at_once(api: Api) -> None:
    answers = await asyncio.gather(*(api.request("POST", "routers", {"router": {}}) for _ in range(14)))
    assert sorted(one.status_code for one in answers) == [201] * 10 + [409] * 4


async def test_overlapping_subnets_at_once(api: Api) -> None:
    network = await api.make("networks")
    body = {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}}
    answers = await asyncio.gather(*(api.request("POST", "subnets", body) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [201] + [400] * 4


async def test_two_ports_for_one_floating_ip_and_the_other_way_round(api: Api) -> None:
    external, _, port = await make_reachable(api)
    body = {"floatingip": {"floating_network_id": external["id"], "port_id": port["id"]}}
    answers = await asyncio.gather(*(api.request("POST", "floatingips", body) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    await api.settle()
    (floating,) = (await api.get("floatingips"))["floatingips"]
    assert floating["status"] == "ACTIVE"
    await api.delete(f"floatingips/{floating['id']}")
    await api.delete(f"ports/{port['id']}")
    await api.settle()
    assert not [key for key in api.world.things if key.kind == "floating_ip"]


async def test_filters_and_pages(api: Api) -> None:
    for name, tags in (("a", ["red", "blue"]), ("b", ["red"]), ("c", ["RED"])):
        await api.make("networks", name=name, tags=tags, admin_state_up=name != "b")

    async def names(query: str) -> str:
        found: list[Any] = (await api.get(f"networks?{query}&sort_key=name&sort_dir=asc"))["networks"]
        return "".join(one["name"] for one in found)

    assert await names("tags=red") == "ab"
    assert await names("not-tags=red") == "c"
    assert await names("tags-any=RED,blue") == "ac"
    assert await names("admin_state_up=false") == "b"
    assert await names("name=a&name=c&limit=5") == "ac"
    assert await names("shared=False&limit=2") == "ab"
    for odd in ("segmentation=1", "mtu=99999999999999999999", "name=%00"):
        assert (await api.request("GET", f"networks?{odd}")).status_code in (200, 400), odd


async def test_bodies_with_odd_texts(api: Api) -> None:
    for name in ("\x00", "\ud800", "ü" * 255, "'; drop table network_networks; --"):
        answer = await api.session.post(
            "/networking/v2.0/networks",
            content=b'{"network": {"name": ' + _escaped(name) + b"}}",
            headers={"x-auth-token": "alice"},
        )
        assert answer.status_code in (201, 400), (name, answer.text)


def _escaped(text: str) -> bytes:
    return ('"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"').encode()
