"""A house with the network room alone, over HTTP, on a fake network."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.bus import open_memory_bus
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work import Engine
from aerostat.services.network import SERVICE
from aerostat.services.network.config import NetworkConfig
from tests.people import sign_in_as

PEOPLE = {
    "alice": Context(request_id="", user_id="alice", project_id="p1", roles=("member", "reader")),
    "bob": Context(request_id="", user_id="bob", project_id="p2", roles=("member", "reader")),
    "reader": Context(request_id="", user_id="rita", project_id="p1", roles=("reader",)),
    "root": Context(
        request_id="", user_id="root", project_id="p0", roles=("admin", "manager", "member", "reader")
    ),
}


class Api:
    """The room's API as one person; `api("bob")` is the same as another."""

    def __init__(self, house: House, session: httpx.AsyncClient, person: str = "alice") -> None:
        self.house = house
        self.session = session
        self.person = person

    def __call__(self, person: str) -> "Api":
        return Api(self.house, self.session, person)

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.session.request(
            method,
            path if path.startswith("/networking") else f"/networking/v2.0/{path}",
            json=body,
            headers={"x-auth-token": self.person, **headers},
        )

    async def get(self, path: str) -> Any:
        answer = await self.request("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, path: str, **attributes: Any) -> Any:
        """POST one thing and answer it without its envelope."""
        name = path.replace("-", "_").removesuffix("s")
        answer = await self.request("POST", path, {name: attributes})
        assert answer.status_code == 201, answer.text
        return answer.json()[name]

    async def change(self, path: str, **attributes: Any) -> Any:
        name = path.split("/")[0].replace("-", "_").removesuffix("s")
        answer = await self.request("PUT", path, {name: attributes})
        assert answer.status_code == 200, answer.text
        return answer.json()[name]

    async def delete(self, path: str) -> None:
        answer = await self.request("DELETE", path)
        assert answer.status_code == 204, answer.text

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """Status, type and message of a refusal."""
        answer = await self.request(method, path, body)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["NeutronError"]
        assert error["detail"] == ""
        return answer.status_code, error["type"], error["message"]

    async def settle(self) -> None:
        """Let the reconcilers do what there is to do."""
        await self.house.engine.run_due()

    @property
    def world(self) -> Any:
        return self.house.state["network"].driver.world

    @property
    def driver(self) -> Any:
        return self.house.state["network"].driver


async def open_house(url: str, folder: Path) -> House:
    store = await open_store(url)
    await create_schema(store, [kernel_model.metadata, SERVICE.tables])  # type: ignore[list-item]
    config = load(StateFolder(folder), {"network": NetworkConfig}, fake=True)
    house = House(config, store, await open_memory_bus(), Rules(), "http://cloud.test")
    house.add(SERVICE)
    house.authenticate = sign_in_as(PEOPLE)
    house.engine = Engine(store, house.bus, house, reconcilers=SERVICE.reconcilers, sweepers=SERVICE.sweepers)
    Application(house)
    assert SERVICE.start is not None
    await SERVICE.start(house)
    return house


async def close_house(house: House) -> None:
    assert SERVICE.stop is not None
    await SERVICE.stop(house)
    await house.dispatch.journal.close()
    await house.bus.close()
    await house.store.close()


@pytest.fixture
async def api(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """On SQLite; on PostgreSQL for tests that ask so by parameter."""
    url = f"sqlite:///{tmp_path}/network.sqlite?synchronous=off"
    if getattr(request, "param", None) == "postgres":
        url = request.getfixturevalue("fresh_postgres_url")
    house = await open_house(url, tmp_path)
    transport = httpx.ASGITransport(house.dispatch)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as session:
        yield Api(house, session)
    await close_house(house)


async def make_subnet(api: Api, network_id: str, cidr: str = "10.0.0.0/24", **more: Any) -> Any:
    return await api.make(
        "subnets", network_id=network_id, ip_version=6 if ":" in cidr else 4, cidr=cidr, **more
    )


async def make_external(api: Api) -> Any:
    """The cloud's external network, with one subnet."""
    root = api("root")
    network = await root.make(
        "networks", name="public", **{"router:external": True, "provider:physical_network": "public"}
    )
    pool = [{"start": "172.24.4.10", "end": "172.24.4.20"}]
    await make_subnet(root, network["id"], "172.24.4.0/24", enable_dhcp=False, allocation_pools=pool)
    return network
