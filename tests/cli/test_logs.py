"""`logs`: several streams as one, by time, for one request, and as they grow."""

import json

import pytest

from aerostat.cli import main
from aerostat.cli.logs import Tail, as_text, merged
from aerostat.kernel.state_folder import StateFolder


@pytest.fixture
def folder(tmp_path):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    return folder


def line(second: float, event: str, **more) -> str:
    at = f"2030-01-01T00:00:{second:09.6f}Z"
    return json.dumps({"at": at, "level": "info", "event": event, **more}, separators=(",", ":")) + "\n"


def test_streams_are_merged_by_time_and_moved_files_too(folder):
    (folder.log / "host.1.jsonl").write_text(line(1, "a"))
    (folder.log / "host.jsonl").write_text(line(3, "c") + line(5, "e"))
    (folder.log / "control.jsonl").write_text(line(2, "b") + line(4, "d"))
    assert [json.loads(found.text)["event"] for found in merged(folder.log)] == list("abcde")


def test_only_the_lines_of_one_request(folder, capsys):
    (folder.log / "control.jsonl").write_text(
        line(1, "mine", request_id="req-1") + line(2, "other", request_id="req-2")
    )
    (folder.log / "host.jsonl").write_text(line(3, "theirs", server={"id": "srv-9"}, request_id="req-1"))
    assert main(["logs", "req-1", "--state", str(folder.path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [text.split()[-2] if "server=" not in text else "theirs" for text in out] == ["mine", "theirs"]
    assert main(["logs", "srv-9", "--state", str(folder.path), "-o", "json"]) == 0
    assert [json.loads(text)["event"] for text in capsys.readouterr().out.splitlines()] == ["theirs"]


def test_the_last_lines(folder, capsys):
    (folder.log / "control.jsonl").write_text("".join(line(n, f"event-{n}") for n in range(9)))
    main(["logs", "-n", "2", "--state", str(folder.path)])
    assert [text.split()[-1] for text in capsys.readouterr().out.splitlines()] == ["event-7", "event-8"]


def test_following_sees_new_streams_and_files_that_moved_aside(folder):
    control = folder.log / "control.jsonl"
    control.write_text(line(1, "old"))
    tail = Tail(folder.log, None)
    with control.open("a") as stream:
        stream.write(line(2, "before the move"))
    control.rename(folder.log / "control.1.jsonl")
    control.write_text(line(4, "after the move"))
    (folder.log / "host.jsonl").write_text(line(3, "new stream") + '{"at":"half a li')
    events = [json.loads(found.text)["event"] for found in tail.fresh()]
    assert events == ["before the move", "new stream", "after the move"]
    assert tail.fresh() == []
    with (folder.log / "host.jsonl").open("a") as stream:
        stream.write('ne"}\n')
    assert [found.text for found in tail.fresh()] == ['{"at":"half a line"}']


def test_a_broken_line_is_shown_as_it_is(folder, capsys):
    (folder.log / "control.jsonl").write_text("not json\n" + line(1, "whole"))
    assert main(["logs", "--state", str(folder.path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "not json"


def test_people_see_time_level_event_and_values():
    record = {"at": "2030-01-01T10:11:12.345678Z", "level": "error", "event": "it broke", "process": "host"}
    text = as_text(json.dumps({**record, "why": "no room", "exception": "T\n  x\n"}), colours=False)
    assert text == '10:11:12.345 host       error   it broke why="no room"\n    T\n      x'
    assert "\033[31mit broke" in as_text(json.dumps(record), colours=True)
