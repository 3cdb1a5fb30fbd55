"""The kernel's wall, seen by a client of the toy room."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel.config import load
from aerostat.kernel.fields import Field
from aerostat.kernel.resource import Resource
from aerostat.kernel.state_folder import StateFolder

from .toy_room import BALLOONS, PEOPLE, TOY, open_toy


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    house, application = await open_toy(f"sqlite:///{tmp_path}/toy.sqlite", load(StateFolder(tmp_path)))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://cloud.test", headers={"x-auth-token": "alice"}
    ) as session:
        session.house = house  # type: ignore[attr-defined]
        yield session
    await house.store.close()


def at(version: str) -> dict[str, str]:
    return {"OpenStack-API-Version": f"toy {version}"}


async def make(client: httpx.AsyncClient, name: str, **headers: str) -> Any:
    answer = await client.post("/toy/v1/balloons", json={"balloon": {"name": name}}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["balloon"]


async def test_create_show_update_delete(client: httpx.AsyncClient) -> None:
    made = await make(client, "one")
    assert made == {"id": made["id"], "name": "one", "tenant_id": "p1"}
    url = f"/toy/v1/balloons/{made['id']}"
    assert (await client.get(url)).json()["balloon"]["name"] == "one"
    assert (await client.put(url, json={"balloon": {"name": "two"}})).json()["balloon"]["name"] == "two"
    assert (await client.delete(url)).status_code == 204
    gone = await client.get(url)
    assert gone.status_code == 404
    assert gone.json()["itemNotFound"]["code"] == 404


async def test_the_older_path_with_a_tenant_in_it_leads_to_the_same(client: httpx.AsyncClient) -> None:
    made = await make(client, "one")
    assert (await client.get(f"/toy/v1/p1/balloons/{made['id']}")).status_code == 200


async def test_a_stranger_is_told_nothing(client: httpx.AsyncClient) -> None:
    made = await make(client, "one")
    url = f"/toy/v1/balloons/{made['id']}"
    assert (await client.get(url, headers={"x-auth-token": "bob"})).status_code == 404
    assert (await client.get("/toy/v1/balloons", headers={"x-auth-token": "bob"})).json() == {"balloons": []}
    assert (await client.get(url, headers={"x-auth-token": "root"})).status_code == 200


async def test_what_belongs_to_a_project_is_not_made_without_one(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/toy/v1/balloons", json={"balloon": {"name": "one"}}, headers={"x-auth-token": "warden"}
    )
    assert answer.status_code == 403, answer.text
    assert "project" in answer.text


async def test_without_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.get("/toy/v1/balloons", headers={"x-auth-token": "nobody"})
    assert answer.status_code == 401
    assert "keystone" in answer.headers["www-authenticate"].lower()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"",
        b'{"balloon": null}',
        b'{"balloon": {}}',
        b'{"balloon": {"name": 7}}',
        b'{"balloon": {"name": ""}}',
        b'{"balloon": {"name": "a name far too long"}}',
        b'{"balloon": {"name": "x", "odd": 1}}',
        b'{"balloon": {"name": "x"}, "more": 1}',
        b'{"balloon": ' + b"[" * 100_000,
        b'{"balloon": {"name": "\xff"}}',
    ],
)
async def test_odd_bodies_are_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/toy/v1/balloons", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["badRequest"]["message"]


async def test_a_large_body_is_refused_before_it_is_whole(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 65536

    answer = await client.post("/toy/v1/balloons", content=endless())
    assert answer.status_code == 413


async def test_microversions_change_fields(client: httpx.AsyncClient) -> None:
    old = await client.post("/toy/v1/balloons", json={"balloon": {"name": "a", "colour": "red"}})
    assert old.status_code == 400
    new = await client.post(
        "/toy/v1/balloons", json={"balloon": {"name": "a", "colour": "red"}}, headers=at("1.2")
    )
    assert new.json()["balloon"]["colour"] == "red"
    assert new.headers["openstack-api-version"] == "toy 1.2"
    missing = await client.post("/toy/v1/balloons", json={"balloon": {"name": "b"}}, headers=at("latest"))
    assert missing.status_code == 400
    url = f"/toy/v1/balloons/{new.json()['balloon']['id']}"
    assert (await client.get(f"{url}/shadow")).status_code == 404
    assert (await client.get(f"{url}/shadow", headers=at("1.1"))).json() == {"shadow": "a"}
    assert (await client.get(url, headers=at("1.9"))).status_code == 406
    assert (await client.get(url, headers=at("one"))).status_code == 400


async def test_pages_walk_through_everything_once(client: httpx.AsyncClient) -> None:
    names = [(await make(client, f"n{index}"))["name"] for index in range(7)]
    seen, url = [], "/toy/v1/balloons?limit=3&sort_key=name&sort_dir=asc"
    for _ in range(4):
        page = (await client.get(url)).json()
        seen += [one["name"] for one in page["balloons"]]
        if "balloons_links" not in page:
            break
        url = page["balloons_links"][0]["href"]
    assert seen == names


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "marker=absent", "sort_key=odd", "sort_key=name&sort_dir=up"]
)
async def test_odd_pages_are_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/toy/v1/balloons?{query}")).status_code == 400


async def test_filters(client: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await make(client, name)
    found = (await client.get("/toy/v1/balloons?name=a&name=c&sort_key=name&sort_dir=asc")).json()["balloons"]
    assert [one["name"] for one in found] == ["a", "c"]


async def test_actions(client: httpx.AsyncClient) -> None:
    url = f"/toy/v1/balloons/{(await make(client, 'a'))['id']}/action"
    answer = await client.post(url, json={"inflate": 3})
    assert (answer.status_code, answer.json()) == (202, {"name": "a", "litres": 3})
    for odd in ({}, {"inflate": 0}, {"deflate": None}, {"inflate": 1, "b": 2}, [], "inflate"):
        assert (await client.post(url, json=odd)).status_code == 400


async def test_a_field_that_only_some_may_see(client: httpx.AsyncClient) -> None:
    made = await make(client, "a")
    url = f"/toy/v1/balloons/{made['id']}"
    assert "toy:secret" not in made
    assert "toy:secret" in (await client.get(url, headers={"x-auth-token": "root"})).json()["balloon"]


async def test_conflicts_and_defects_come_in_the_envelope(client: httpx.AsyncClient) -> None:
    await make(client, "a")
    conflict = await client.post("/toy/v1/balloons", json={"balloon": {"name": "a"}})
    assert conflict.json() == {
        "conflictingRequest": {"code": 409, "message": "There is a balloon called a already."}
    }
    defect = await client.get("/toy/v1/boom")
    assert defect.status_code == 500
    assert defect.headers["x-openstack-request-id"] in defect.json()["computeFault"]["message"]
    assert "a defect" not in defect.text


async def test_paths_and_methods_that_are_not_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).status_code == 404
    assert (await client.get("/toy/v1/odd")).status_code == 404
    refused = await client.delete("/toy/v1/balloons")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


async def test_rooms_call_each_other_by_the_same_way(client: httpx.AsyncClient) -> None:
    from aerostat.kernel.client import RoomError

    away = RoomError(503, "away", "Unavailable", "network")
    assert away.headers["Retry-After"], "who was told to come again says so"

    house = client.house  # type: ignore[attr-defined]
    caller = house.client("toy", PEOPLE["alice"])
    made = (await caller.post("/v1/balloons", {"balloon": {"name": "a"}}))["balloon"]
    assert (await caller.get("/v1/balloons", name="a"))["balloons"] == [made]
    with pytest.raises(RoomError) as refused:
        await caller.post("/v1/balloons", {"balloon": {"name": "a"}})
    assert refused.value.status == 409


def test_a_stored_field_finds_its_column() -> None:
    class Renamed(Resource):
        table = BALLOONS
        size = Field(int)

    with pytest.raises(TypeError, match=r"Renamed\.size: no column size in toy_balloons"):
        Renamed(TOY)

    class Elsewhere(Resource):
        table = BALLOONS
        size = Field(int, stored=False, filter=True)

    with pytest.raises(TypeError, match=r"Elsewhere\.size: lists are filtered by columns"):
        Elsewhere(TOY)

    class Made(Resource):
        table = BALLOONS
        size = Field(int, stored=False)
        shade = Field(str, column="colour")
        label = Field(str, compute=lambda row, req: row["name"].upper())

    assert [field.name for field in Made(TOY).fields] == ["size", "shade", "label"]
