"""Remote consoles: an address that opens a server's screen or serial line in a browser, once asked for.

Wire: https://docs.openstack.org/api-ref/compute/#create-console
"""

from functools import cache
from pathlib import Path
from typing import Any

from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .schemas import closed
from .server.actions.console import RULE, console_url
from .server.lookup import find_for
from .terms import MEMBER, rules

PAGES = Path(__file__).parent.parent / "console"

# The page carries its script and style itself, and talks to nobody but us.
_SECURITY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:"
)

_ASKED = closed(
    {
        "remote_console": closed(
            {
                "protocol": {"enum": ["vnc", "spice", "rdp", "serial", "mks"]},
                "type": {
                    "enum": [
                        "novnc",
                        "xvpvnc",
                        "spice-html5",
                        "spice-direct",
                        "rdp-html5",
                        "serial",
                        "webmks",
                    ]
                },
            },
            "protocol",
            "type",
        )
    },
    "remote_console",
)


class RemoteConsole(Resource):
    """`POST /servers/{id}/remote-consoles`, every kind in one call since 2.6."""

    extra_rules = rules((RULE, MEMBER))

    @route("POST", "/servers/{server_id}/remote-consoles", since="2.6", body=_ASKED)
    async def create_console(self, req: Request, server_id: str) -> dict[str, Any]:
        asked = req.body["remote_console"]
        server = await find_for(req, server_id, RULE)
        url = await console_url(req, server, asked["protocol"], asked["type"])
        return {"remote_console": {"protocol": asked["protocol"], "type": asked["type"], "url": url}}


class ConsolePages(Resource):
    """The page that an address leads to. It loads nothing from elsewhere, and is nothing without a token."""

    below_bases = False

    @route("GET", "/console/{page}", public=True)
    async def show_page(self, req: Request, page: str) -> Response:
        if page not in ("vnc.html", "serial.html"):
            raise BadRequest("There is no such page.")
        headers = {"Content-Security-Policy": _SECURITY, "Referrer-Policy": "no-referrer"}
        return Response(_page(page), 200, headers=headers, content_type="text/html; charset=utf-8")


@cache
def _page(name: str) -> bytes:
    return (PAGES / name).read_bytes()
