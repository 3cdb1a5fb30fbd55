"""Events from other services about servers: here, that something of a port changed.

Wire: /os-server-external-events,
https://docs.openstack.org/api-ref/compute/#create-external-events-os-server-external-events
"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from .schemas import UUID, closed
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-server-external-events:create"
_NAMES = ["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted",
          "volume-extended", "power-update", "accelerator-request-bound"]  # fmt: skip
_EVENTS = closed(
    {
        "events": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {
                    "name": {"type": "string", "enum": _NAMES},
                    "server_uuid": UUID,
                    "status": {"type": "string", "enum": ["failed", "completed", "in-progress"]},
                    "tag": {"type": "string", "maxLength": 255},
                },
                "name",
                "server_uuid",
            ),
        }
    },
    "events",
)


class ExternalEvents(Resource):
    extra_rules = rules((_RULE, ADMIN))

    @route("POST", "/os-server-external-events", policy=_RULE, body=_EVENTS)
    async def take(self, req: Request) -> Response:
        """Answers each event with a code; 207 when some servers are not there."""
        taken = []
        for event in req.body["events"]:
            server = await req.db.find(model.SERVERS, id=event["server_uuid"])
            shown: dict[str, Any] = {"status": "completed", **event}
            if server is None or server.state == "deleted":
                shown |= {"status": "failed", "code": 404}
            elif server.host is None:
                shown |= {"status": "failed", "code": 422}
            else:
                shown["code"] = 200
                if event["name"].startswith("network-"):
                    await req.db.update(model.SERVERS, {"id": server.id}, interfaces_stale=True)
            taken.append(shown)
        codes = {event["code"] for event in taken}
        if codes == {404}:
            raise NotFound("No instances found for any event")
        return Response({"events": taken}, 200 if codes == {200} else 207)
