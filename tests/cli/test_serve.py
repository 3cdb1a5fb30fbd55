"""`serve` and its neighbours before anything is served: what is refused, waited for, and left behind."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from aerostat import app
from aerostat.cli import main, serve
from aerostat.cli.settings import room_sections
from aerostat.kernel import log
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder, StateFolderError, write_private

AWAY = '[kernel]\ndatabase_url = "postgresql://a:secret@127.0.0.1:1/x"\nbus_url = "amqp://a:secret@127.0.0.1:1/"\n'


@pytest.fixture
def away(tmp_path):
    """Settings of a control plane whose database and queue do not answer."""
    file = tmp_path / "aerostat.toml"
    write_private(file, AWAY)
    return ["--state", str(tmp_path / "s"), "--config", str(file)]


def state_of(words) -> Path:
    return Path(words[words.index("--state") + 1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve"], "which role? The host role is a process of its own: serve --role host"),
        (["serve", "--role", "api", "--role", "host"], "which role?"),
        (
            ["serve", "--role", "engine", "--workers", "2"],
            "--workers N is for the roles api, console and object",
        ),
        (["serve", "--role", "api"], "no cloud was started in"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(away, capsys, words, said):
    assert main([*words, *away]) == 1
    assert said in capsys.readouterr().err
    assert not state_of(away).exists()


@pytest.mark.parametrize("command", ["migrate", "bootstrap"])
def test_what_is_waited_for_is_said_once(away, capsys, monkeypatch, command):
    monkeypatch.setattr(app, "DATABASE_WAIT_S", 1.0)
    assert main([command, *away]) == 1
    waits, gives_up = capsys.readouterr().err.splitlines()
    assert waits == "aerostat: the database x at 127.0.0.1:1 does not answer; it is waited for, up to 1 s"
    assert "the database x at 127.0.0.1:1 does not answer" in gives_up
    assert not state_of(away).exists()


async def test_a_host_says_that_it_waits_for_the_queue(tmp_path, capsys):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    folder.settings.write_text(
        '[kernel]\nbus_url = "amqp://a:secret@127.0.0.1:1/"\ndrivers = {compute = "fake"}\n'
    )
    log.configure("host", file=folder.log / "host.jsonl")
    serving = asyncio.create_task(app.run_host(load(folder, room_sections())))
    said = ""
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0.05)
            said = capsys.readouterr().err
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    assert (
        said
        == "aerostat: the message queue at 127.0.0.1:1 does not answer; it is waited for, as long as it takes\n"
    )


def test_a_host_with_the_settings_of_the_control_plane_is_told_so(away, capsys, monkeypatch):
    monkeypatch.setattr(serve, "serve", lambda *args, **more: 0)
    assert main(["serve", "--role", "host", *away]) == 0
    assert f"this machine is compute host {socket.gethostname()} now" in capsys.readouterr().err
    state_of(away).joinpath("aerostat.toml").write_text(
        '[kernel]\nroles = ["host"]\nbus_url = "amqp://a@127.0.0.1/"\n'
    )
    assert main(["serve", *away[:2]]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_used_stays(tmp_path):
    def refused(folder, meanwhile):
        with contextlib.suppress(StateFolderError), folder.created() as keep:
            meanwhile(folder, keep)
            raise StateFolderError("no")
        return folder.path.exists()

    folder = StateFolder(tmp_path / "s")
    assert not refused(folder, lambda folder, keep: None)
    assert refused(folder, lambda folder, keep: keep())
    assert refused(folder, lambda folder, keep: None), "it was there before"
    assert refused(StateFolder(tmp_path / "t"), lambda folder, keep: folder.ensure_secrets())
    assert refused(StateFolder(tmp_path / "u"), lambda folder, keep: folder.database.touch())
