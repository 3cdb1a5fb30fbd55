"""What happened to a thing or in a request, step by step, and why.

Not an upstream API: `aerostat explain` and the dashboard read it. A user sees the records of the own project, an
administrator all.
"""

from typing import Any

from sqlalchemy import select

from aerostat.kernel import operation
from aerostat.kernel.db import Row
from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.model import operations
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro_z

from ..stack_tree import KIND, stack_tree

MOST_NAMESAKES = 5
_NOBODYS = ""  # a token without a project has no records; no project would mean all of them
_SHOWN = (
    "request_id",
    "actor",
    "action",
    "step",
    "verdict",
    "reason",
    "data",
    "took_ms",
    "subject_kind",
    "subject_id",
    "subject_name",
)


class Explanation(Resource):
    @route("GET", "/v1/explain/{id}")
    async def explain(self, req: Request, id: str) -> dict[str, Any]:
        """What is recorded of a request (`req-…`) or of a resource by its id or name, oldest first.

        Of a stack also, as `stack`, what became of each thing that it made.
        """
        await req.house.dispatch.journal.flush()
        project_id = None if req.context.is_admin else req.context.project_id or _NOBODYS
        rows: list[Row] = []
        if id.startswith("req-"):
            rows = await operation.list_for(req.db, request_id=id, project_id=project_id)
        else:
            for subject_id in (id, *await self._named(req, id, project_id)):
                rows += await operation.list_for(req.db, subject_id=subject_id, project_id=project_id)
        if not rows:
            raise NotFound(
                f"There is no record of {id}: it is another project's, too old, or was never here."
            )
        answer: dict[str, Any] = {"id": id, "timeline": [_shown(row) for row in rows]}
        stack_ids = list(dict.fromkeys(row.subject_id for row in rows if row.subject_kind == KIND))
        if not id.startswith("req-") and stack_ids and "orchestration" in req.house.services:
            tree = await stack_tree(req, stack_ids[-1], rows, project_id)
            if tree is not None:
                answer["stack"] = _readable(tree)
        return answer

    async def _named(self, req: Request, name: str, project_id: str | None) -> list[str]:
        """Ids of the things that were called so, the latest ones."""
        table = operations
        statement = select(table.c.subject_id).where(
            table.c.subject_name == name, table.c.subject_id.isnot(None)
        )
        if project_id is not None:
            statement = statement.where(table.c.project_id == project_id)
        rows = await req.db.fetch(statement.order_by(table.c.id.desc()).limit(200))
        return list(dict.fromkeys(row.subject_id for row in rows))[:MOST_NAMESAKES][::-1]


def _shown(row: Row) -> dict[str, Any]:
    return {"at": iso_micro_z(row.at), **{key: row[key] for key in _SHOWN}}


def _readable(node: dict[str, Any]) -> dict[str, Any]:
    """The tree with its records as they are shown."""
    shown = {**node}
    if "records" in node:
        shown["records"] = [_shown(row) for row in node["records"]]
    for key in ("resources", "gone"):
        if key in node:
            shown[key] = [_readable(one) for one in node[key]]
    return shown
