"""What strangers wrote is shown to a terminal as text, and never as commands."""

import json
from pathlib import Path

import pytest

from aerostat.cli import main
from aerostat.cli.logs import as_text
from aerostat.cli.plain import plain

EVIL = "\x1b]0;mine\x07\x1b[2J\x9b31m\u202e"
WRITTEN_OUT = r"\x1b]0;mine\x07\x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize("text", ["", "a b", "two\n\tlines", "häuser 雲 ☁"])
def test_what_is_for_reading_stays(text: str) -> None:
    assert plain(text) == text


def test_what_is_not_is_written_out() -> None:
    assert plain(f"a{EVIL}\r\n") == f"a{WRITTEN_OUT}\\r\n"


@pytest.mark.parametrize("colours", [True, False])
def test_a_line_of_the_log(colours: bool) -> None:
    for field in ("event", "process", "level", "name", "exception"):
        line = json.dumps({"at": "2030-01-01T00:00:00.000000Z", "event": "x", field: EVIL})
        shown = as_text(line, colours=colours)
        assert "mine" in shown
        assert not any(bad in shown for bad in ("\x07", "\x1b]", "\x1b[2J", "\x9b", "\u202e"))
    assert as_text(f"broken {EVIL}", colours=colours) == f"broken {WRITTEN_OUT}"


def test_explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    class Answers:
        def __enter__(self) -> "Answers":
            return self

        def __exit__(self, *_: object) -> None: ...

        def get(self, *_: str) -> object:
            return {"timeline": [{"request_id": "r", "at": "", "action": EVIL, "verdict": "done"}]}

    monkeypatch.setattr("aerostat.cli.explain.Api.as_user", lambda _: Answers())
    assert main(["explain", "req-1", "--state", str(tmp_path)]) == 0
    assert WRITTEN_OUT in capsys.readouterr().out


def test_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([EVIL]) == 2
    assert WRITTEN_OUT in capsys.readouterr().err


def test_logs_of_somebody_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def closed(_: object) -> list[str]:
        raise PermissionError

    monkeypatch.setattr("aerostat.cli.logs.os.listdir", closed)
    assert main(["logs", "--state", str(tmp_path)]) == 1
    assert "another user's" in capsys.readouterr().err
