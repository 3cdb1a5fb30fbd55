"""A house with only the identity room, bootstrapped, and a client of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.config import load
from aerostat.kernel.db import create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.identity import SERVICE, IdentityConfig

URL = "http://cloud.test/identity"
PASSWORDS = {"admin_password": "first", "demo_password": "second"}


class Client(httpx.AsyncClient):
    """An HTTP client that can log in."""

    house: House

    async def log_in(self, name: str, password: str, scope: object = None, **more: object) -> httpx.Response:
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        auth: dict[str, object] = {"identity": {"methods": ["password"], "password": {"user": user}}, **more}
        if scope is not None:
            auth["scope"] = scope
        return await self.post("/v3/auth/tokens", json={"auth": auth})

    async def become(self, name: str, password: str, scope: object = None) -> str:
        """Log in and use the token from now on."""
        answer = await self.log_in(name, password, scope)
        assert answer.status_code == 201, answer.text
        token = answer.headers["x-subject-token"]
        self.headers["x-auth-token"] = token
        return token


def on(project: str) -> dict[str, object]:
    return {"project": {"name": project, "domain": {"id": "default"}}}


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Client]:
    """Not signed in."""
    config = load(
        StateFolder(tmp_path), {"identity": IdentityConfig}, environ={"AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4"}
    )
    store = await open_store(f"sqlite:///{tmp_path}/identity.sqlite?synchronous=off")
    assert SERVICE.tables is not None
    await create_schema(store, [kernel_model.metadata, SERVICE.tables])
    house = House(config, store, None, Rules(), "http://cloud.test")  # type: ignore[arg-type]
    house.state["secrets"] = PASSWORDS
    house.add(SERVICE)
    application = Application(house)
    assert SERVICE.start is not None
    assert SERVICE.bootstrap is not None
    await SERVICE.start(house)
    await SERVICE.bootstrap(house)
    await SERVICE.bootstrap(house)  # a second start changes nothing
    async with Client(transport=httpx.ASGITransport(application), base_url=URL) as client:
        client.house = house
        yield client
    await application.journal.close()
    await store.close()


@pytest.fixture
async def admin(cloud: Client) -> Client:
    """Signed in as the administrator, on the admin project."""
    await cloud.become("admin", "first", on("admin"))
    return cloud
