"""Agents: what works on each host, and when it was last heard of.

https://docs.openstack.org/api-ref/network/v2/#agents
"""

from datetime import datetime, timedelta
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import Conflict
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, admin
from aerostat.kernel.resource import Conditions

from .. import model
from ..errors import AgentNotFound
from ..resource import NetworkResource

DOWN_AFTER = timedelta(seconds=75)


def _when(moment: datetime) -> str:
    """Times of agents have a blank where others have a T."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class Agent(NetworkResource):
    singular, plural = "agent", "agents"
    table = model.AGENTS
    not_found = AgentNotFound
    project_column = None
    verbs = ("list", "show", "update", "delete")
    standard = ("id",)
    odd_filters = frozenset({"alive"})
    policy = Policy("{verb}_agent", verbs={"list": "get", "show": "get"}, default=admin)

    agent_type = Field(str)
    binary = Field(str)
    topic = Field(str)
    host = Field(str)
    availability_zone = Field(str)
    admin_state_up = Field(bool, update="optional")
    description = Field(str, update="optional", length=(0, 255), nullable=True)
    configurations = Field(dict)
    created_at = Field(str, compute=lambda row, req: _when(row.created_at))
    started_at = Field(str, compute=lambda row, req: _when(row.started_at))
    heartbeat_timestamp = Field(str, compute=lambda row, req: _when(row.heartbeat_timestamp))
    alive = Field(bool, compute=lambda row, req: is_alive(row))
    resource_versions = Field(dict, compute=lambda row, req: {})
    resources_synced = Field(bool, compute=lambda row, req: None)

    def visible(self, req: Request) -> Conditions:
        return []

    def filters(self, req: Request) -> Conditions:
        conditions = super().filters(req)
        if "alive" in req.query:
            latest = model.AGENTS.c.heartbeat_timestamp
            limit = clock.now() - DOWN_AFTER
            conditions.append(latest > limit if req.flag("alive") else latest <= limit)
        return conditions

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if changes:
            if changes.get("description", "") is None:
                changes["description"] = ""
            await req.db.update(model.AGENTS, {"id": row.id}, **changes)
        return await req.db.get(model.AGENTS, id=row.id)

    async def delete(self, req: Request, row: Row) -> None:
        if is_alive(row):
            raise Conflict(f"Agent {row.id} is alive: only an agent that is gone can be deleted")
        await req.db.delete(model.AGENTS, id=row.id)


def is_alive(row: Row) -> bool:
    return bool(clock.now() - row.heartbeat_timestamp < DOWN_AFTER)
