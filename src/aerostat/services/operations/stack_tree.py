"""What became of a stack and of all that it made, as a tree: the record tells of each thing by itself.

Things that the stack has no more (a rollback deleted them) are found by the requests that made them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.model import operations

KIND = "orchestration_stacks"
BAD = ("failed", "refused")
MOST_OF_THING = 12  # records of one thing; what went wrong is kept, then the latest
MOST_GONE = 30  # things that are no more part of the stack
MOST_ROWS = 5000
MOST_REQUESTS = 5  # the latest of those that changed the stack
MOST_DEPTH = 5

Node = dict[str, Any]


async def stack_tree(req: Request, stack_id: str, rows: Iterable[Row], project_id: str | None) -> Node | None:
    """The tree of a stack whose own records are `rows`; None when there is no such stack to be seen.

    `{"stack", "status", "failure", "resources": [{"name", "type", "status", "reason", "id", "records", "left_out",
    "resources"}], "gone": [{"id", "name", "records", "left_out"}]}`; records are rows of the operation record.
    """
    client = req.client("orchestration")
    try:
        stack = await client.find_stack(stack_id)
        resources = await client.list_resources(stack, nested_depth=MOST_DEPTH) if stack else []
    except RoomError:
        return None
    if stack is None:
        return None
    rows = list(rows)
    records = await _records(req, rows, resources, project_id)
    members = _members(resources, stack_id, records)
    for own in {stack_id, *(one["physical_resource_id"] for one in resources)}:
        records.pop(own, None)
    gone = [_told(found) | {"id": id, "name": _name(found)} for id, found in records.items()]
    return {
        "stack": stack["stack_name"],
        "status": stack["stack_status"],
        "failure": _failure(stack, rows),
        "resources": members,
        "gone": gone[-MOST_GONE:],
    }


async def _records(
    req: Request, rows: list[Row], resources: Iterable[Mapping[str, Any]], project_id: str | None
) -> dict[str, list[Row]]:
    """Records by what they are about, oldest first."""
    table = operations
    requests = list(dict.fromkeys(row.request_id for row in rows))[-MOST_REQUESTS:]
    ids = [one["physical_resource_id"] for one in resources if one["physical_resource_id"]]
    found: dict[str, Row] = {}
    for condition in (table.c.request_id.in_(requests), table.c.subject_id.in_(ids)):
        statement = select(table).where(condition, table.c.subject_id.isnot(None))
        if project_id is not None:
            statement = statement.where(table.c.project_id == project_id)
        for row in await req.db.fetch(statement.order_by(table.c.id.desc()).limit(MOST_ROWS)):
            found[row.id] = row
    by_subject: dict[str, list[Row]] = {}
    for row in sorted(found.values(), key=lambda row: str(row.id)):
        by_subject.setdefault(row.subject_id, []).append(row)
    return by_subject


def _members(resources: list[dict[str, Any]], stack_id: str, records: Mapping[str, list[Row]]) -> list[Node]:
    """The resources of one stack, each with those of the stack that it is; what failed comes first."""
    nodes = []
    for one in resources:
        if _stack_of(one) != stack_id:
            continue
        id = one["physical_resource_id"]
        node = {
            "name": one["resource_name"],
            "type": one["resource_type"],
            "status": one["resource_status"],
            "reason": one["resource_status_reason"],
            "id": id,
            **_told(records.get(id, [])),
        }
        below = _members(resources, id, records) if id and id != stack_id else []
        if below:
            node["resources"] = below
        nodes.append(node)
    return sorted(nodes, key=lambda node: not node["status"].endswith("FAILED"))


def _stack_of(resource: Mapping[str, Any]) -> str:
    href = next(link["href"] for link in resource["links"] if link["rel"] == "stack")
    return str(href).rstrip("/").rsplit("/", 1)[-1]


def _told(rows: list[Row]) -> Node:
    bad = [row for row in rows if row.verdict in BAD][-MOST_OF_THING:]
    others = [row for row in rows if row.verdict not in BAD]
    room = MOST_OF_THING - len(bad)
    kept = {row.id for row in (*bad, *(others[-room:] if room else ()))}
    return {"records": [row for row in rows if row.id in kept], "left_out": len(rows) - len(kept)}


def _name(rows: list[Row]) -> str | None:
    return next((row.subject_name for row in reversed(rows) if row.subject_name), None)


def _failure(stack: Mapping[str, Any], rows: list[Row]) -> str | None:
    """Why it is not as it was wanted: said by the stack, or by the record when it was rolled back since."""
    if stack["stack_status"].endswith("FAILED"):
        return str(stack["stack_status_reason"])
    if stack["stack_status"].startswith("ROLLBACK"):
        return next((row.reason for row in reversed(rows) if row.verdict == "failed" and row.reason), None)
    return None
