"""The operation record, readable: what happened to a thing or in a request, step by step, and why.

Not an upstream API: `aerostat explain` and the dashboard read it. A user sees the records of the own project, an
administrator all.
"""

from typing import Any

from aerostat.kernel import operation
from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, envelopes
from aerostat.kernel.http.versions import Versions
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import Service, iso_micro_z

_SHOWN = (
    "request_id",
    "action",
    "step",
    "verdict",
    "reason",
    "data",
    "took_ms",
    "subject_kind",
    "subject_id",
)


class Explanation(Resource):
    @route("GET", "/v1/explain/{id}")
    async def explain(self, req: Request, id: str) -> dict[str, Any]:
        """The timeline of a request (`req-…`) or of a resource by its id, oldest first."""
        await req.house.dispatch.journal.flush()
        project_id = None if req.context.is_admin else req.context.project_id
        asked = {"request_id": id} if id.startswith("req-") else {"subject_id": id}
        rows = await operation.list_for(req.db, **asked, project_id=project_id)
        if not rows:
            raise NotFound(
                f"There is no record of {id}: it is another project's, too old, or was never here."
            )
        return {
            "id": id,
            "timeline": [{"at": iso_micro_z(row.at), **{key: row[key] for key in _SHOWN}} for row in rows],
        }


SERVICE = Service(
    "operations",
    type="operations",
    project="aerostat",
    prefix="/aerostat",
    catalog=None,
    versions=Versions(),
    envelope=envelopes.plain,
    resources=[Explanation],
    description="What happened, and why",
)
