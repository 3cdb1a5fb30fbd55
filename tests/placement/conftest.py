"""A house with the placement room alone, over HTTP, and people known by their tokens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.placement import SERVICE
from tests.people import sign_in_as

PEOPLE = {
    "alice": Context(request_id="", user_id="alice", project_id="p1", roles=("member", "reader")),
    "nova": Context(request_id="", user_id="nova", project_id="p9", roles=("service",)),
    "root": Context(request_id="", user_id="root", project_id="p0", roles=("admin", "member", "reader")),
}


class Api:
    """The placement API as the administrator, in the newest version unless another is named."""

    def __init__(self, house: House, session: httpx.AsyncClient) -> None:
        self.house = house
        self.session = session

    async def request(
        self, method: str, path: str, body: Any = None, *, version: str = "latest", person: str = "root"
    ) -> httpx.Response:
        headers = {"x-auth-token": person, "openstack-api-version": f"placement {version}"}
        more = {} if body is None else {"json": body}
        return await self.session.request(method, f"/placement{path}", headers=headers, **more)

    async def get(self, path: str, **options: Any) -> Any:
        answer = await self.request("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def provider(self, name: str, **inventories: Any) -> str:
        """A provider with these inventories: a total, or the whole of one."""
        made = await self.request("POST", "/resource_providers", {"name": name})
        assert made.status_code == 200, made.text
        id: str = made.json()["uuid"]
        if inventories:
            wanted = {
                key: one if isinstance(one, dict) else {"total": one} for key, one in inventories.items()
            }
            body = {"resource_provider_generation": 0, "inventories": wanted}
            answer = await self.request("PUT", f"/resource_providers/{id}/inventories", body)
            assert answer.status_code == 200, answer.text
        return id

    async def claim(
        self, consumer: str, wanted: dict[str, dict[str, int]], project: str = "p1"
    ) -> httpx.Response:
        body = {
            "allocations": {provider: {"resources": amounts} for provider, amounts in wanted.items()},
            "project_id": project,
            "user_id": "alice",
        }
        return await self.request("PUT", f"/allocations/{consumer}", body)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = await open_store(f"sqlite:///{tmp_path}/placement.sqlite?synchronous=off")
    assert SERVICE.tables is not None
    await create_schema(store, [kernel_model.metadata, SERVICE.tables])
    house = House(load(StateFolder(tmp_path)), store, None, Rules(), "http://cloud.test")  # type: ignore[arg-type]
    house.add(SERVICE)
    house.authenticate = sign_in_as(PEOPLE)
    application = Application(house)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as session:
        yield Api(house, session)
    await application.journal.close()
    await store.close()
