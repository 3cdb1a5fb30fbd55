"""The log: what a line carries, what it never carries, where it goes."""

import asyncio
import errno
import io
import json
import logging
import os

import pytest
import structlog

from aerostat.kernel import log


@pytest.fixture
def lines():
    """Configure to a text stream; call the result for the lines so far."""
    stream = io.StringIO()
    log.configure("engine", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def test_a_line_says_when_who_and_what(lines):
    log.get_logger("room").info("server.created", host="h1", size=3)
    (line,) = lines()
    assert list(line)[:4] == ["at", "level", "event", "process"]
    assert line["at"].endswith("Z")
    assert (line["process"], line["source"], line["event"]) == ("engine", "room", "server.created")
    assert (line["host"], line["size"]) == ("h1", 3)


async def test_bound_values_stand_on_lines_of_awaited_calls_and_tasks_only(lines):
    logger = log.get_logger()

    async def inner():
        await asyncio.sleep(0)
        logger.info("inside")

    with log.bound(request_id="req-1", project_id="p"):
        await asyncio.gather(inner(), inner())
        assert log.bound_values() == {"request_id": "req-1", "project_id": "p"}
    logger.info("outside")
    inside, also_inside, outside = lines()
    assert inside["request_id"] == also_inside["request_id"] == "req-1"
    assert "request_id" not in outside


def test_secrets_never_reach_a_line(lines):
    body = {"server": {"adminPass": "s3cret", "name": "n"}, "list": [{"private_key": "s3cret"}]}
    log.get_logger().info(
        "asked",
        password="s3cret",
        headers={"X-Auth-Token": "s3cret", "Accept": "*"},
        body=body,
        api_secret="s3cret",
    )
    (line,) = lines()
    assert "s3cret" not in json.dumps(line)
    assert line["body"]["server"] == {"adminPass": "***", "name": "n"}
    assert line["headers"]["Accept"] == "*"
    assert body["server"]["adminPass"] == "s3cret", "the caller's own data must stay whole"


def test_nothing_is_formatted_below_the_level(lines):
    class Costly:
        def __str__(self):
            raise AssertionError("formatted")

    log.get_logger().debug("hidden", value=Costly())
    logging.getLogger("library").debug("hidden %s", Costly())
    assert lines() == []


def test_other_libraries_come_the_same_way(lines):
    logging.getLogger("uvicorn.error").warning("lost %s", "it")
    wrong = logging.LogRecord("x", logging.INFO, __file__, 1, "%d wrong", ("format",), None)
    logging.getLogger().handlers[0].handle(wrong)
    first, second = lines()
    assert (first["event"], first["level"], first["source"]) == ("lost it", "warning", "uvicorn.error")
    assert "wrong" in second["event"]


def test_an_exception_is_on_its_line(lines):
    try:
        raise ValueError("why")
    except ValueError:
        log.get_logger().exception("broke")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: why\n")


def test_a_value_that_json_does_not_know_is_shown_as_text(lines):
    log.get_logger().info("odd", value=io, raw=b"\xff")
    assert "module 'io'" in lines()[0]["value"]


def test_a_file_moves_aside_when_full(tmp_path):
    path = tmp_path / "api.jsonl"
    log.configure("api", file=path, stream=io.StringIO(), limit_bytes=500)
    for number in range(6):
        log.get_logger().info("line", number=number, filler="x" * 200)
    kept = [*(tmp_path / "api.1.jsonl").read_text().splitlines(), *path.read_text().splitlines()]
    assert [json.loads(line)["number"] for line in kept] == list(range(6))[-len(kept) :]
    assert path.stat().st_mode & 0o777 == 0o600
    structlog.reset_defaults()


def test_a_full_disk_costs_lines_only(tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "api.jsonl"
    log.configure("api", file=path, stream=io.StringIO())
    with monkeypatch.context() as full:
        full.setattr(os, "write", no_room)
        log.get_logger().info("first")
        log.get_logger().info("second")
    log.get_logger().info("third")
    lost, third = map(json.loads, path.read_text().splitlines())
    assert (lost["event"], lost["lines"], third["event"]) == ("log.lines_lost", 2, "third")
    structlog.reset_defaults()


def test_on_a_terminal_people_can_read_it():
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    log.configure("api", stream=screen)
    log.get_logger().info("server.created", token="s3cret", host="h1")
    assert "server.created" in screen.getvalue()
    assert "s3cret" not in screen.getvalue()
    assert not screen.getvalue().startswith("{")
    structlog.reset_defaults()


def test_as_a_guest_lines_go_to_logging_from_a_level_on(caplog, monkeypatch):
    structlog.reset_defaults()
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    log.hand_over("warning")
    try:
        log.get_logger().info("request", status=200)
        log.get_logger().warning("host.lost", host="h1", password="x")
    finally:
        structlog.reset_defaults()
    (record,) = caplog.records
    assert record.name == "aerostat"
    assert record.getMessage() == "host.lost {'host': 'h1', 'password': '***'}"


def test_what_another_library_met_and_lives_with_is_one_line(lines):
    try:
        raise OSError("no route")
    except OSError:
        logging.getLogger("asyncpg.pool").warning("Failed to restore", exc_info=True)
        logging.getLogger("asyncpg.pool").error("Failed for good", exc_info=True)
    warned, failed = lines()
    assert (warned["error"], "exception" in warned) == ("OSError: no route", False)
    assert "Traceback" in failed["exception"]


def test_what_is_said_reaches_the_person_whose_log_is_a_file(tmp_path, capsys, lines):
    log.say("seen on the stream")
    assert lines()[0]["event"] == "seen on the stream"
    log.configure("migrate", file=tmp_path / "migrate.jsonl", only_file=True)
    log.say("the database is waited for", reason="refused")
    assert capsys.readouterr().err == "aerostat: the database is waited for\n"
    assert json.loads((tmp_path / "migrate.jsonl").read_text())["reason"] == "refused"
