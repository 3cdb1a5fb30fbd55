"""The project that a path names is the caller's own, on every call there is. An administrator may name any."""

import re

import httpx
import pytest

from aerostat.services.orchestration import SERVICE

from .conftest import World

CALLS = sorted(
    {
        (endpoint.method, endpoint.path)
        for endpoint in SERVICE.router.endpoints
        if "{project_id}" in endpoint.path
    }
)


async def ask(world: World, method: str, path: str, who: str) -> httpx.Response:
    """On the project `p2`, which is Bob's."""
    path = re.sub(r"\{[a-z_]+\}", "x", path.replace("{project_id}", "p2"))
    return await world.client.request(method, f"/orchestration{path}", json={}, headers={"x-auth-token": who})


def test_there_are_such_calls() -> None:
    assert len(CALLS) > 30


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_another_project_is_forbidden(world: World, method: str, path: str) -> None:
    refused = await ask(world, method, path, "alice")
    assert refused.status_code == 403, refused.text
    told = refused.json()
    assert (told["code"], told["title"]) == (403, "Forbidden")
    if path.endswith("/services"):  # only administrators may ask: refused for that, whatever the project
        assert told["error"]["type"] == "PolicyNotAuthorized"
    else:
        assert told["error"]["type"] == "HTTPForbidden"
        assert (await ask(world, method, path, "bob")).status_code != 403
    assert (await ask(world, method, path, "root")).status_code != 403
