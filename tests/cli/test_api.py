"""Whom the commands speak as: with OS_* in the environment no password of the state folder is read."""

from pathlib import Path

import httpx
import pytest

from aerostat.cli.api import Api, ApiFailed
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder, StateFolderError


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load(StateFolder(tmp_path / "nobody-may-look"))
    monkeypatch.setenv("OS_AUTH_URL", f"{config.kernel.public_url}/identity/v3")
    monkeypatch.setenv("OS_USERNAME", "demo")
    monkeypatch.setenv("OS_PROJECT_NAME", "demo")
    monkeypatch.setenv("OS_PASSWORD", "hers")
    assert Api.as_user(config).user_name == "demo"


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/identity/v3"])
def test_else_it_is_the_folder_s_administrator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    folder = StateFolder(tmp_path / "s")
    monkeypatch.setenv("OS_AUTH_URL", url)
    monkeypatch.setenv("OS_USERNAME", "demo")
    monkeypatch.setenv("OS_PASSWORD", "hers")
    with pytest.raises(StateFolderError, match="no cloud was started"):
        Api.as_user(load(folder))
    folder.create()
    folder.ensure_secrets()
    assert Api.as_user(load(folder)).user_name == "admin"


def test_a_token_that_ends_is_renewed_and_the_rest_is_told() -> None:
    """Some commands take longer than a token lives."""
    asked: list[str] = []
    tokens = iter(("old", "new"))

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("/auth/tokens"):
            endpoint = {"interface": "public", "url": "http://cloud/compute/v2.1"}
            body = {"token": {"catalog": [{"type": "compute", "endpoints": [endpoint]}]}}
            return httpx.Response(201, json=body, headers={"X-Subject-Token": next(tokens)})
        if request.headers["X-Auth-Token"] == "old":
            return httpx.Response(401)
        if request.url.path.endswith("/busy"):
            return httpx.Response(409, json={"conflictingRequest": {"message": "It is busy.", "code": 409}})
        return httpx.Response(200, json={"servers": []})

    values = dict.fromkeys(
        ("OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME"),
        "x",
    )
    api = Api({**values, "OS_AUTH_URL": "http://cloud/identity/v3"})
    api._http = httpx.Client(transport=httpx.MockTransport(answer))
    with api:
        assert api.get("compute", "/servers") == {"servers": []}
        assert [path.rpartition("/")[2] for path in asked] == ["tokens", "servers", "tokens", "servers"]
        with pytest.raises(ApiFailed) as caught:
            api.get("compute", "/busy")
    assert (caught.value.status, caught.value.words, caught.value.is_passing) == (409, "It is busy.", False)
