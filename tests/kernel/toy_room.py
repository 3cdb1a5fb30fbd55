"""A room small enough to read at a glance, with one resource of each sort, for the kernel's own tests."""

from typing import Any

from sqlalchemy import Column, MetaData, String, UniqueConstraint

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, create_schema, created_at, new_table, open_store, updated_at, uuid_id
from aerostat.kernel.errors import Conflict
from aerostat.kernel.fields import Field
from aerostat.kernel.house import House
from aerostat.kernel.http import Request, envelopes, paging
from aerostat.kernel.http.app import Application
from aerostat.kernel.http.versions import Versions
from aerostat.kernel.model import metadata as kernel_tables
from aerostat.kernel.policy import Policy, Rule, Rules, admin, owner
from aerostat.kernel.resource import Resource, action, route
from aerostat.kernel.service import Service
from tests.people import sign_in_as

TABLES = MetaData()
BALLOONS = new_table(
    TABLES,
    "toy_balloons",
    uuid_id(),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("colour", String(20), nullable=True),
    Column("secret", String(20), nullable=True),
    created_at(),
    updated_at(),
    UniqueConstraint("project_id", "name"),
)


class BalloonExists(Conflict):
    message = "There is a balloon called %(name)s already."


@action(
    "inflate",
    policy="toy:inflate",
    default=admin | owner("project_id"),
    body={"type": "integer", "minimum": 1},
)
async def inflate(req: Request, balloon: Row, litres: int) -> dict[str, Any]:
    return {"name": balloon.name, "litres": litres}


class Balloon(Resource):
    path = "/balloons/{id}"
    singular, plural = "balloon", "balloons"
    table = BALLOONS
    policy = Policy("toy:balloons:{verb}", default=admin | owner("project_id"))
    actions = (inflate,)

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 10), filter=True)
    colour = Field(str, create="optional", choices=("red", "blue"), since="1.2", filter=True).changed(
        "1.3", create="required"
    )
    secret = Field(str, policy="toy:see_secret", wire="toy:secret")
    project_id = Field(str, wire="tenant_id")

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        if await req.db.count(BALLOONS, name=new["name"], project_id=req.context.project_id):
            raise BalloonExists(name=new["name"])
        return await super().create(req, new)

    @route("GET", "/balloons/{id}/shadow", since="1.1")
    async def shadow(self, req: Request, id: str) -> dict[str, Any]:
        return {"shadow": (await self.find(req, id)).name}

    @route("GET", "/boom", public=True)
    async def boom(self, req: Request) -> None:
        raise RuntimeError("a defect")


TOY = Service(
    "toy",
    type="toy",
    project="toy",
    prefix="/toy",
    catalog="/toy/v1",
    versions=Versions(
        "toy", minimum="1.0", changes=[("1.1", "shadows"), ("1.2", "colours"), ("1.3", "must")]
    ),
    envelope=envelopes.compute,
    resources=[Balloon],
    tables=TABLES,
    bases=("/v1", "/v1/{own_project_id}"),
    client=lambda caller: caller,
    paging=paging.COMPUTE,
)

PEOPLE = {
    "alice": Context(request_id="", user_id="alice", project_id="p1", roles=("member", "reader")),
    "bob": Context(request_id="", user_id="bob", project_id="p2", roles=("member", "reader")),
    "robot": Context(request_id="", user_id="robot", project_id="p9", roles=("service",)),
    "root": Context(request_id="", user_id="root", project_id="p0", roles=("admin",)),
    "warden": Context(request_id="", user_id="root", system_scope="all", roles=("admin",)),
}


async def open_toy(database_url: str, config: Any) -> tuple[House, Application]:
    store = await open_store(database_url)
    await create_schema(store, [kernel_tables, TABLES])
    house = House(config, store, None, Rules(), "http://cloud.test")  # type: ignore[arg-type]
    house.rules.declare([Rule(name="toy:see_secret", text="role:admin")])
    house.add(TOY)
    house.authenticate = sign_in_as(PEOPLE)
    return house, Application(house)
