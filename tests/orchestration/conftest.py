"""The orchestration room alone: its API over HTTP, its flows stepped by hand, a clock that stands."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel.clock import clock
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import Seal, create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.model import metadata as kernel_tables
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work import Engine
from aerostat.services.orchestration import SERVICE
from aerostat.services.orchestration.config import OrchestrationConfig
from tests.people import sign_in_as

PEOPLE = {
    "alice": Context(
        request_id="", user_id="alice", user_name="Alice", project_id="p1", roles=("member", "reader")
    ),
    "bob": Context(request_id="", user_id="bob", project_id="p2", roles=("member", "reader")),
    "carol": Context(request_id="", user_id="carol", project_id="p1", roles=("reader",)),
    "root": Context(request_id="", user_id="root", project_id="p0", roles=("admin", "member", "reader")),
}


class World:
    """The house with its engine, and short ways to ask it."""

    def __init__(self, house: House, engine: Engine, client: httpx.AsyncClient) -> None:
        self.house = house
        self.store = house.store
        self.engine = engine
        self.client = client

    async def ask(
        self, method: str, path: str, body: Any = None, *, status: int = 200, who: str = "alice"
    ) -> Any:
        """Ask as `who`, below `who`'s project; the answer must have `status`. Follows no redirects."""
        project = PEOPLE[who].project_id
        url = f"/orchestration/v1/{project}{path}"
        answer = await self.client.request(method, url, json=body, headers={"x-auth-token": who})
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def create(
        self, name: str, template: Any, *, status: int = 201, settle: bool = True, **body: Any
    ) -> str:
        """Make a stack and let it come to its end; answers its path."""
        answer = await self.ask(
            "POST", "/stacks", {"stack_name": name, "template": template, **body}, status=status
        )
        if status != 201:
            return str(answer["error"]["message"])
        if settle:
            await self.engine.settle()
        return f"/stacks/{name}/{answer['stack']['id']}"

    async def stack(self, path: str) -> Any:
        return (await self.ask("GET", path))["stack"]

    async def outputs(self, path: str) -> dict[str, Any]:
        return {one["output_key"]: one["output_value"] for one in (await self.stack(path))["outputs"]}

    async def resources(self, path: str) -> dict[str, Any]:
        return {
            one["resource_name"]: one for one in (await self.ask("GET", f"{path}/resources"))["resources"]
        }


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of the room; tests override it."""
    return {}


@pytest.fixture
async def world(
    tmp_path: Path, settings: dict[str, Any], request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """On SQLite; on PostgreSQL for tests that ask so by parameter."""
    url = f"sqlite:///{tmp_path}/heat.sqlite?synchronous=off"
    if getattr(request, "param", None) == "postgres":
        url = request.getfixturevalue("fresh_postgres_url")
    store = await open_store(url, Seal("of the tests"))
    await create_schema(store, [kernel_tables, SERVICE.tables])
    config = load(StateFolder(tmp_path))
    if settings:
        section = OrchestrationConfig(**settings)
        config._sections["orchestration"] = section
        config._by_type[OrchestrationConfig] = section
    house = House(config, store, None, Rules(), "http://cloud.test")  # type: ignore[arg-type]
    house.add(SERVICE)
    house.authenticate = sign_in_as(PEOPLE)
    application = Application(house)
    engine = Engine(store, None, house, flows=SERVICE.flows, sweepers=SERVICE.sweepers)
    house.engine = engine
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as client:
        yield World(house, engine, client)
    await application.journal.close()
    await store.close()


@pytest.fixture(autouse=True)
def standing_clock() -> Iterator[None]:
    clock.stop()
    yield
    clock.run()
