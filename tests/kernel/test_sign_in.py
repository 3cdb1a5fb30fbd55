"""Who the kernel takes a request to be from: the user's token, a service's beside it, a project in the path."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from aerostat.kernel.config import load
from aerostat.kernel.context import AccessRule, Context
from aerostat.kernel.errors import Unauthorized
from aerostat.kernel.house import House
from aerostat.kernel.state_folder import StateFolder

from .toy_room import PEOPLE, open_toy

ENDED = "ended"  # a token that was alice's
ONLY_BALLOONS = (AccessRule("toy", "GET", "/v1/balloons"),)
SECRET = "toy:secret"


async def authenticate(token: str, *, allow_expired: bool = False) -> Context:
    if token == ENDED and allow_expired:
        return PEOPLE["alice"]
    if token == "bound":
        return Context(
            request_id="", user_id="alice", project_id="p1", roles=("member",), access_rules=ONLY_BALLOONS
        )
    if token not in PEOPLE:
        raise Unauthorized
    return PEOPLE[token]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house, _ = await open_toy(f"sqlite:///{tmp_path}/toy.sqlite", load(StateFolder(tmp_path)))
    house.authenticate = authenticate
    yield house
    await house.dispatch.journal.close()
    await house.store.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(house.dispatch)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test/toy") as session:
        yield session


async def get(client: httpx.AsyncClient, path: str, user: str, service: str | None = None) -> httpx.Response:
    beside = {} if service is None else {"x-service-token": service}
    return await client.get(path, headers={"x-auth-token": user, **beside})


async def make_balloon(client: httpx.AsyncClient) -> str:
    body = {"balloon": {"name": "one"}}
    made = await client.post("/v1/balloons", json=body, headers={"x-auth-token": "alice"})
    return f"/v1/balloons/{made.json()['balloon']['id']}"


async def test_rules_see_the_roles_of_the_service(client: httpx.AsyncClient, house: House) -> None:
    house.rules.override({"toy:see_secret": "service_roles:service"})
    url = await make_balloon(client)
    assert SECRET not in (await get(client, url, "alice")).json()["balloon"]
    assert SECRET in (await get(client, url, "alice", "robot")).json()["balloon"]
    assert SECRET not in (await get(client, url, "root")).json()["balloon"]


async def test_a_service_is_still_not_its_user(client: httpx.AsyncClient) -> None:
    url = await make_balloon(client)
    assert (await get(client, url, "bob", "robot")).status_code == 404


@pytest.mark.parametrize("service", ["nobody", ENDED, "bob", "root"])
async def test_only_a_service_may_stand_beside(client: httpx.AsyncClient, service: str) -> None:
    assert (await get(client, "/v1/balloons", "alice", service)).status_code == 401


async def test_a_service_alone_is_nobody(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/balloons", headers={"x-service-token": "robot"})
    assert answer.status_code == 401


async def test_a_service_vouches_for_a_token_that_has_ended(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/v1/balloons", ENDED)).status_code == 401
    assert (await get(client, "/v1/balloons", ENDED, "robot")).status_code == 200
    assert (await get(client, "/v1/balloons", "nobody", "robot")).status_code == 401


async def test_access_rules_bound_what_is_asked_directly(client: httpx.AsyncClient) -> None:
    url = await make_balloon(client)
    assert (await get(client, "/v1/balloons", "bound")).status_code == 200
    assert (await get(client, url, "bound")).status_code == 401
    assert (await get(client, url, "bound", "robot")).status_code == 200


async def test_a_room_asking_another_is_a_service(client: httpx.AsyncClient, house: House) -> None:
    house.rules.override({"toy:see_secret": "service_roles:service"})
    url = await make_balloon(client)
    assert SECRET in (await house.client("toy", PEOPLE["alice"]).get(url))["balloon"]


async def test_rules_know_the_project_by_its_older_name(client: httpx.AsyncClient, house: House) -> None:
    house.rules.override({"toy:see_secret": "tenant_id:%(project_id)s"})
    assert SECRET in (await get(client, await make_balloon(client), "alice")).json()["balloon"]


async def test_who_is_not_signed_in_is_told_where_to(client: httpx.AsyncClient, house: House) -> None:
    house.sign_in_path = "/door"
    answer = await client.get("/v1/balloons")
    assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud.test/door"'


async def test_a_project_in_the_path_is_the_token_s_own(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/v1/p1/balloons", "alice")).status_code == 200
    for user in ("bob", "root"):
        answer = await get(client, "/v1/p1/balloons", user)
        assert answer.status_code == 400
        assert answer.json()["badRequest"]["message"] == "Malformed request url"
