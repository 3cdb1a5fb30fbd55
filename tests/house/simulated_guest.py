"""What a guest would do with its user data: a shell script whose one `curl` calls back.

Hung onto a fake cloud by `boot_guests`; each server that starts then runs it beside the cloud.
"""

import base64
import shlex
from typing import Any

import httpx

from aerostat.services.compute.host.protocol import DomainSpec
from aerostat.services.compute.model import SERVERS
from aerostat.testing import Cloud


def boot_guests(cloud: Cloud) -> list[int]:
    """Let every guest that starts from now on run its user data; gives the statuses of their calls as they come."""
    statuses: list[int] = []

    async def run(spec: DomainSpec) -> None:
        server = await cloud.house.store.get(SERVERS, id=spec.id)
        if server.user_data:
            script = base64.b64decode(server.user_data).decode()
            statuses.extend([await call(line) for line in script.splitlines() if line.startswith("curl ")])

    cloud.house.state["compute"].fake_world.on_start = run
    return statuses


async def call(line: str) -> int:
    """Do what a line with curl in it would; answers the HTTP status."""
    words = iter(shlex.split(line)[1:])
    asked: dict[str, Any] = {"method": "GET", "headers": {}}
    for word in words:
        if word == "-X":
            asked["method"] = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            asked["headers"][name.strip()] = value.strip()
        elif word.startswith("--data"):
            asked["content"] = next(words)
        elif not word.startswith("-"):
            asked["url"] = word
    async with httpx.AsyncClient() as client:
        return (await client.request(**asked)).status_code
