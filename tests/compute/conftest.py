"""The compute room in one process: fakes for the rooms to its left, the fake hypervisor, stepped work."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.bus import open_memory_bus
from aerostat.kernel.clock import clock
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work import Engine
from aerostat.services.compute import SERVICE
from aerostat.services.compute.bootstrap import FLAVORS
from aerostat.services.compute.config import ComputeConfig
from tests.people import sign_in_as

from .neighbours import Neighbours, rooms

MEMORY_MIB = {id: memory_mib for id, _, memory_mib, _, _ in FLAVORS}
NANO, MICRO = MEMORY_MIB["42"], MEMORY_MIB["84"]
PEOPLE = {
    "alice": Context(request_id="", user_id="alice", project_id="p1", roles=("member", "reader")),
    "ann": Context(request_id="", user_id="ann", project_id="p1", roles=("reader",)),
    "bob": Context(request_id="", user_id="bob", project_id="p2", roles=("member", "reader")),
    "root": Context(request_id="", user_id="root", project_id="p0", roles=("admin", "member", "reader")),
}
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7S4m8YzGkHqGm0xZ1QX6YtW7y5p2d0hXb1Yx3p6vTn alice@example.org"
)


class Cloud:
    """The room with everything around it, and short ways to ask it."""

    def __init__(self, house: House, world: Neighbours, http: httpx.AsyncClient) -> None:
        self.house = house
        self.world = world
        self.http = http
        self.image = world.add_image()
        self.network = world.add_network()
        world.add_group()

    @property
    def db(self) -> Any:
        return self.house.store

    def host(self, name: str = "fake-1") -> Any:
        return self.house.state["compute"].fake_world.hosts[name]

    async def settle(self) -> None:
        """Do all work that is due; repeat while events make more."""
        for _ in range(3):
            await self.house.engine.run_due()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "alice",
        version: str | None = None,
        **kw: Any,
    ) -> httpx.Response:
        headers = {"x-auth-token": user}
        if version is not None:
            headers["X-OpenStack-Nova-API-Version"] = version
        return await self.http.request(method, f"/compute/v2.1{path}", json=body, headers=headers, **kw)

    async def get(self, path: str, **kw: Any) -> Any:
        answer = await self.ask("GET", path, **kw)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make_server(self, *, user: str = "alice", version: str | None = None, **attributes: Any) -> str:
        """A server that is being built; answers its id."""
        server = {"name": "one", "flavorRef": "42", "imageRef": self.image["id"], **attributes}
        if version is not None and float(version.split(".")[1]) >= 37:
            server.setdefault("networks", "auto")
        answer = await self.ask("POST", "/servers", {"server": server}, user=user, version=version)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["server"]["id"])

    async def active_server(self, **attributes: Any) -> str:
        server_id = await self.make_server(**attributes)
        await self.settle()
        shown = await self.server(server_id, user="root")
        assert shown["status"] == "ACTIVE", shown.get("fault")
        return server_id

    async def server(self, server_id: str, **kw: Any) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.get(f"/servers/{server_id}", **kw))["server"]
        return shown

    async def act(self, server_id: str, action: str, argument: Any = None, **kw: Any) -> httpx.Response:
        return await self.ask("POST", f"/servers/{server_id}/action", {action: argument}, **kw)


@pytest.fixture
def config_overrides() -> dict[str, str]:
    """Settings of the room by environment variable; a test module may override the fixture."""
    return {}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/compute.sqlite"


@pytest.fixture
async def cloud(tmp_path: Path, config_overrides: dict[str, str], database_url: str) -> AsyncIterator[Cloud]:
    config = load(StateFolder(tmp_path), {"compute": ComputeConfig}, environ=config_overrides, fake=True)
    store = await open_store(database_url)
    assert SERVICE.tables is not None
    await create_schema(store, [kernel_model.metadata, SERVICE.tables])
    bus = await open_memory_bus()
    world = Neighbours()
    house = House(config, store, bus, Rules(), "http://cloud.test")
    for room in rooms(world):
        house.services[room.name] = room
    house.add(SERVICE)
    house.authenticate = sign_in_as(PEOPLE)
    application = Application(house)
    house.engine = Engine(
        store,
        bus,
        house,
        flows=SERVICE.flows,
        reconcilers=SERVICE.reconcilers,
        sweepers=SERVICE.sweepers,
        name="test",
    )
    assert SERVICE.start
    assert SERVICE.stop
    assert SERVICE.bootstrap
    await SERVICE.start(house)
    await SERVICE.bootstrap(house)
    await house.engine.run_due()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://cloud.test"
    ) as http:
        yield Cloud(house, world, http)
    await SERVICE.stop(house)
    await application.journal.close()
    await bus.close()
    await store.close()


@pytest.fixture
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()
