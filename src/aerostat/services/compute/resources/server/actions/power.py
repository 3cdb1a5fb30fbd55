"""Start, stop, reboot, pause, unpause, suspend and resume.

Wire: https://docs.openstack.org/api-ref/compute/#servers-run-an-action-servers-action
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.resource import action

from ....flows import power_server as flows
from ...schemas import closed
from ...terms import MEMBER
from ..lookup import begin, check_has_host


@action("os-start", policy="os_compute_api:servers:start", default=MEMBER)
async def start(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "start", flows.start_server, what="start")


@action("os-stop", policy="os_compute_api:servers:stop", default=MEMBER)
async def stop(req: Request, server: Row, _: Any) -> None:
    check_has_host(server)
    await begin(req, server, "stop", flows.stop_server, what="stop")


@action(
    "reboot",
    policy="os_compute_api:servers:reboot",
    default=MEMBER,
    body=closed({"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, "type"),
)
async def reboot(req: Request, server: Row, body: dict[str, str]) -> None:
    check_has_host(server)
    if body["type"].upper() == "HARD":
        flow, waits = flows.reboot_hard_server, server.state == "rebooting"
        await begin(req, server, "reboot_hard", flow, what="reboot", supersede=waits)
    else:
        await begin(req, server, "reboot", flows.reboot_server, what="reboot")


@action("pause", policy="os_compute_api:os-pause-server:pause", default=MEMBER)
async def pause(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "pause", flows.pause_server, what="pause")


@action("unpause", policy="os_compute_api:os-pause-server:unpause", default=MEMBER)
async def unpause(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "unpause", flows.unpause_server, what="unpause")


@action("suspend", policy="os_compute_api:os-suspend-server:suspend", default=MEMBER)
async def suspend(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "suspend", flows.suspend_server, what="suspend")


@action("resume", policy="os_compute_api:os-suspend-server:resume", default=MEMBER)
async def resume(req: Request, server: Row, _: Any) -> None:
    await begin(req, server, "resume", flows.resume_server, what="resume")
