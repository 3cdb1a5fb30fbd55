"""What a guest wrote to its serial line, and the addresses of its consoles.

Wire: https://docs.openstack.org/api-ref/compute/#show-console-output-os-getconsoleoutput-action
"""

from typing import Any
from urllib.parse import quote

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from ....console import Kind, new_token
from ....room import room_of
from ...schemas import closed
from ...terms import MEMBER
from ..lookup import check_has_host, check_state

RULE = "os_compute_api:os-remote-consoles"
MOST_BYTES = 102_400

# What we have, by protocol and type.
_KINDS: dict[tuple[str, str], Kind] = {("vnc", "novnc"): "vnc", ("serial", "serial"): "serial"}

_LENGTH = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$", "minimum": -1}


@action(
    "os-getConsoleOutput",
    policy="os_compute_api:os-console-output",
    default=MEMBER,
    status=200,
    body=closed({"length": _LENGTH}),
)
async def get_console_output(req: Request, server: Row, body: dict[str, Any]) -> dict[str, str]:
    """The last `length` lines; everything that is kept without it."""
    host = room_of(req.house).host(check_has_host(server), req.request_id)
    text = await host.console_log(server.id, MOST_BYTES)
    length = body.get("length")
    count = -1 if length is None else int(length)
    if count >= 0:
        text = "\n".join(text.splitlines()[-count:]) if count else ""
    return {"output": text}


async def console_url(req: Request, server: Row, protocol: str, kind: str) -> str:
    """The address of a console. Raises `BadRequest` for kinds we have not, 409 when there is nothing to see."""
    found = _KINDS.get((protocol, kind))
    if found is None:
        raise BadRequest(f"Unavailable console type {kind}.")
    check_has_host(server)
    check_state(
        server, "get_console", "active", "paused", "rebooting", "rebooting_hard", "snapshotting", "resized"
    )
    token = await new_token(req.db, server, found, room_of(req.house).config.console_token_s)
    room = f"{req.house.config.kernel.console_url or req.base_url}{req.service.prefix}"
    if found == "serial":
        return f"{room.replace('http', 'ws', 1)}/console/serial?token={token}"
    path = quote(f"{req.service.prefix[1:]}/console/websockify?token={token}", safe="")
    return f"{room}/console/vnc.html?path={path}"


def _legacy(name: str, rule: str, protocol: str, *kinds: str) -> Any:
    """One action per protocol, as it was before 2.6."""

    @action(
        name,
        policy=rule,
        default=MEMBER,
        until="2.5",
        status=200,
        body=closed({"type": {"enum": list(kinds)}}, "type"),
    )
    async def get(req: Request, server: Row, body: dict[str, str]) -> dict[str, Any]:
        return {
            "console": {"type": body["type"], "url": await console_url(req, server, protocol, body["type"])}
        }

    return get


get_vnc_console = _legacy("os-getVNCConsole", RULE, "vnc", "novnc", "xvpvnc")
get_serial_console = _legacy("os-getSerialConsole", RULE, "serial", "serial")
get_spice_console = _legacy("os-getSPICEConsole", RULE, "spice", "spice-html5")
