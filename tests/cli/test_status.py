"""`status` of processes that no supervisor keeps."""

import json
import os
import signal
import subprocess
import sys

import pytest

from aerostat.cli import api, main
from aerostat.cli import status as status_command
from aerostat.cli.api import Api
from aerostat.cli.served import state_of
from aerostat.kernel.state_folder import StateFolder
from tests.waiting import eventually


@pytest.fixture
def folder(tmp_path):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    folder.ensure_secrets()
    return folder


def status(folder, capsys):
    code = main(["status", "--state", str(folder.path), "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_nothing_runs(folder, capsys):
    code, found = status(folder, capsys)
    assert (code, found["running"], found["processes"]) == (3, False, [])


def test_processes_without_a_supervisor(folder, capsys):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            (folder.run / "engine.ready").write_text(json.dumps({"pid": process.pid, "facts": {}}))
            (folder.run / "api.ready").write_text(json.dumps({"pid": 2**22 + 1, "facts": {}}))
            code, found = status(folder, capsys)
            assert (code, {one["name"]: one["state"] for one in found["processes"]}) == (
                0,
                {"engine": "running", "api": "ended"},
            )
            os.kill(process.pid, signal.SIGSTOP)
            eventually(lambda: state_of(process.pid) == "suspended", 5.0, every_s=0.01)
            code, found = status(folder, capsys)
            assert (code, found["processes"][1]["state"]) == (3, "suspended")
        finally:
            process.kill()


def test_something_is_wrong_with_a_cloud_that_runs(folder, capsys):
    (folder.run / "api.ready").write_text(json.dumps({"pid": os.getpid(), "facts": {}}))
    assert main(["status", "--state", str(folder.path)]) == 0
    folder.database.write_text("no database at all " * 1000)
    assert main(["status", "--state", str(folder.path)]) == 1
    assert "WRONG       database" in capsys.readouterr().out


def test_all_that_the_api_is_asked_for_is_asked_with_one_log_in(folder, capsys, monkeypatch):
    """Each check that asked the API signed in for itself."""

    class OneCloud(Api):
        sessions = 0

        def _sign_in(self):
            OneCloud.sessions += 1

        def get(self, service, path, **more):
            down = {"host": "node-1", "state": "down", "remark": "silent for 60 s"}
            return {"hosts": [down], "servers": [{}, {}], "networks": [{}]}

    monkeypatch.setattr(api, "Api", OneCloud)
    monkeypatch.setattr(status_command, "ask", lambda folder, what: answer)
    answer = {
        "state": "running",
        "pid": os.getpid(),
        "fake": True,
        "began_at": 0.0,
        "processes": [],
        "facts": {},
    }
    lock = folder.lock()
    try:
        code, found = status(folder, capsys)
    finally:
        lock.release()
    assert OneCloud.sessions == 1
    assert found["counts"] == {"servers": 2, "networks": 1}
    assert (code, any("1 of 1 hosts are down: node-1" in one for one in found["wrong"])) == (1, True)


def test_what_the_cloud_stands_on_is_away(folder, capsys):
    folder.settings.write_text(
        '[kernel]\ndatabase_url = "postgresql://a:b@127.0.0.1:1/x"\nbus_url = "amqp://a:b@127.0.0.1:1/"\n'
        'public_url = "http://127.0.0.1:1"\n'
    )
    main(["status", "--state", str(folder.path)])
    text = capsys.readouterr().out
    assert "WRONG       database: the database x at 127.0.0.1:1 does not answer" in text
    assert "WRONG       queue: the message queue at 127.0.0.1:1 does not answer" in text
    assert "WRONG       api: the API at " in text
