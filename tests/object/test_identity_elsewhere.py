"""A proxy that asks an identity service on another machine who a token stands for."""

import time
from typing import Any

import httpx
import pytest

from aerostat.kernel.context import AccessRule
from aerostat.kernel.errors import Unauthorized, Unavailable
from aerostat.services.object.proxy import identity

TOKEN: dict[str, Any] = {
    "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
    "project": {"id": "p1", "name": "one", "domain": {"id": "default", "name": "Default"}},
    "roles": [{"id": "r1", "name": "member"}],
    "expires_at": "2030-01-01T00:00:00.000000Z",
}


class Service:
    """Answers for the tokens it knows, and counts."""

    def __init__(self) -> None:
        self.tokens = {"good": TOKEN}
        self.asked = 0
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert request.url.path == "/identity/v3/auth/tokens"
        token = self.tokens.get(request.headers["x-subject-token"])
        if self.status != 200:
            return httpx.Response(self.status)
        return httpx.Response(200, json={"token": token}) if token else httpx.Response(404)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def ask(service: Service) -> identity.Identity:
    return identity.Identity("http://there/identity/v3/", 60.0, httpx.MockTransport(service))


async def test_a_token_is_asked_about_once(ask: identity.Identity, service: Service) -> None:
    context = await ask("good")
    assert await ask("good") is context
    assert (context.user_id, context.project_id, context.project_domain_id) == ("u1", "p1", "default")
    assert (context.roles, context.access_rules) == (("member",), None)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await ask("bad")
    assert service.asked == 2
    with pytest.raises(Unauthorized):
        await ask("bäd\n")
    assert service.asked == 2


async def test_what_is_remembered_ends(
    ask: identity.Identity, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask("good")
    service.tokens.clear()
    now_s = time.time()
    monkeypatch.setattr(identity.time, "time", lambda: now_s + 61)
    with pytest.raises(Unauthorized):
        await ask("good")


async def test_rules_of_a_token_come_along(ask: identity.Identity, service: Service) -> None:
    rule = {"id": "x", "service": "object-store", "method": "GET", "path": "/v1/**"}
    service.tokens["good"] = {**TOKEN, "application_credential": {"id": "a1", "access_rules": [rule]}}
    assert (await ask("good")).access_rules == (AccessRule("object-store", "GET", "/v1/**"),)


async def test_nobody_answers(ask: identity.Identity, service: Service) -> None:
    service.status = 500
    with pytest.raises(Unavailable):
        await ask("good")
    service.status = 200
    assert (await ask("good")).user_id == "u1"
