"""Whom the commands speak as: with OS_* in the environment no password of the state folder is read."""

from pathlib import Path

import pytest

from aerostat.cli.api import Api
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
