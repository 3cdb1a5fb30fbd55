"""The first networks of a fresh cloud."""

from typing import Any

import pytest

from aerostat.services.network import first_networks
from aerostat.services.network.first_networks import make_first_networks

from .conftest import Api


@pytest.fixture
def projects(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(house: Any, context: Any) -> dict[str, str]:
        return {"admin": "p0", "demo": "p1"}

    monkeypatch.setattr(first_networks, "_projects", found)


async def test_first_networks(api: Api, projects: None) -> None:
    await make_first_networks(api.house)
    networks = {one["name"]: one for one in (await api.get("networks"))["networks"]}
    assert set(networks) == {"public", "private"}
    assert networks["public"]["router:external"] is True
    (router,) = (await api.get("routers"))["routers"]
    assert router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "172.24.4.10"
    legs = (await api.get(f"ports?device_id={router['id']}"))["ports"]
    assert [leg["fixed_ips"][0]["ip_address"] for leg in legs] == ["10.20.0.1"]
    outer = (await api("root").get(f"subnets?network_id={networks['public']['id']}"))["subnets"][0]
    assert outer["allocation_pools"] == [{"start": "172.24.4.10", "end": "172.24.4.250"}]
    assert outer["enable_dhcp"] is False
    groups = (await api("root").get("security-groups?name=default"))["security_groups"]
    assert {one["project_id"] for one in groups} == {"p0", "p1"}


async def test_what_was_taken_away_stays_away(api: Api, projects: None) -> None:
    await make_first_networks(api.house)
    (router,) = (await api.get("routers"))["routers"]
    (network,) = (await api.get("networks?name=private"))["networks"]
    body = {"subnet_id": network["subnets"][0]}
    await api.request("PUT", f"routers/{router['id']}/remove_router_interface", body)
    await api.delete(f"networks/{network['id']}")
    await make_first_networks(api.house)
    assert (await api.get("networks?name=private"))["networks"] == []


async def test_a_run_that_died_is_finished(api: Api, projects: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from aerostat.services.network.client import NetworkClient

    async def dies(self: Any, *args: Any, **more: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(NetworkClient, "create_router", dies)
        with pytest.raises(ConnectionResetError):
            await make_first_networks(api.house)
    await make_first_networks(api.house)
    assert len((await api.get("routers"))["routers"]) == 1
    assert len((await api.get("networks"))["networks"]) == 2
    assert len((await api("root").get("subnets"))["subnets"]) == 2
