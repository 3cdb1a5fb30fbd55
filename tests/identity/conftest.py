"""A house with only the identity room, bootstrapped, and a client of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.config import load
from aerostat.kernel.db import Seal, create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.ids import new_hex_id
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

    async def become_admin(self) -> str:
        """Again, when the last token has ended."""
        return await self.become("admin", PASSWORDS["admin_password"], on("admin"))

    async def make(self, path: str, **values: object) -> dict[str, Any]:
        """POST one thing and answer it without its envelope."""
        name = path.rsplit("/", 1)[-1].removesuffix("s")
        answer = await self.post(f"/v3/{path}", json={name: values})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()[name]
        return made

    async def role_id(self, name: str) -> str:
        return str((await self.get(f"/v3/roles?name={name}")).json()["roles"][0]["id"])

    async def grant(self, user_id: str, role: str, place: str) -> None:
        """`place` is `projects/<id>`, `domains/<id>` or `system`."""
        answer = await self.put(f"/v3/{place}/users/{user_id}/roles/{await self.role_id(role)}")
        assert answer.status_code == 204, answer.text

    async def persona(self, role: str, place: str, domain: str = "default") -> "Persona":
        """A new user with one role on one place, signed in there."""
        name = f"{role} {new_hex_id()}"
        user = await self.make("users", name=name, password="pw", domain_id=domain)
        await self.grant(user["id"], role, place)
        kind, _, id = place.partition("/")
        scope = {"system": {"all": True}} if kind == "system" else {kind.removesuffix("s"): {"id": id}}
        return await self.signed_in(user["id"], scope)

    async def signed_in(self, user_id: str, scope: object) -> "Persona":
        answer = await self.post("/v3/auth/tokens", json=password_auth(user_id, "pw", scope))
        assert answer.status_code == 201, answer.text
        return Persona(self, user_id, answer.headers["x-subject-token"], scope)


class Persona:
    """One signed-in user beside others, on the same client."""

    def __init__(self, client: Client, id: str, token: str, scope: object = None) -> None:
        self.client = client
        self.id = id
        self.token = token
        self.scope = scope

    async def request(self, method: str, path: str, json: object = None) -> httpx.Response:
        headers = {"x-auth-token": self.token}
        return await self.client.request(method, f"/v3/{path}", json=json, headers=headers)

    async def status(self, method: str, path: str, json: object = None) -> int:
        return (await self.request(method, path, json)).status_code


def password_auth(user_id: str, password: str, scope: object = None) -> dict[str, Any]:
    identity = {"methods": ["password"], "password": {"user": {"id": user_id, "password": password}}}
    return {"auth": {"identity": identity, **({"scope": scope} if scope is not None else {})}}


def on(project: str) -> dict[str, object]:
    return {"project": {"name": project, "domain": {"id": "default"}}}


@pytest.fixture
def settings() -> dict[str, object]:
    """Of identity; a test that wants others names them: `@pytest.mark.parametrize("settings", [{…}])`."""
    return {}


@pytest.fixture
async def cloud(tmp_path: Path, settings: dict[str, object]) -> AsyncIterator[Client]:
    """Not signed in."""
    given = {"bcrypt_rounds": 4, **settings}
    environ = {f"AEROSTAT_IDENTITY_{name.upper()}": str(value) for name, value in given.items()}
    config = load(StateFolder(tmp_path), {"identity": IdentityConfig}, environ=environ)
    store = await open_store(f"sqlite:///{tmp_path}/identity.sqlite?synchronous=off", Seal("third"))
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
