"""`up`, `status` and `down` around stand-in processes: what the user sees, and what stays behind."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from aerostat.kernel.state_folder import StateFolder

# Runs the real command line, with other children than the real ones.
STAND_IN = """
import sys
from pathlib import Path
from aerostat.cli import main, parts
from aerostat.kernel.supervise import Child

BEHAVIOUR = {behaviour!r}
GOOD = "import json,sys,time,os; p=sys.argv[1]; open(p,'w').write(json.dumps(dict(pid=os.getpid(), facts="
GOOD += "dict(accelerator='tcg', accelerator_reason='hung')))); time.sleep(100)"
BAD = "import sys; sys.exit('no disk left')"
SLOW = "import time; time.sleep(100)"

async def children(config, confined):
    def child(name, program):
        file = parts.ready_file_of(config.folder, name)
        async def ready():
            return file.exists()
        argv = [sys.executable, "-c", program, str(file)]
        return Child(name=name, argv=argv, ready=ready, ready_timeout_s=20)
    programs = dict(good=GOOD, bad=BAD, slow=SLOW)
    return [child("cloud", programs[BEHAVIOUR])]

parts.children = children
sys.exit(main(sys.argv[1:]))
"""


class Cloud:
    def __init__(self, tmp_path: Path, behaviour: str = "good") -> None:
        self.folder = StateFolder(tmp_path / "s")
        self.home = tmp_path
        self.script = STAND_IN.format(behaviour=behaviour)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self, *words: str, handed: Sequence[int] = ()) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", self.script, *words, "--state", str(self.folder.path)],
            env={
                **os.environ,
                "HOME": str(self.home),
                "XDG_CONFIG_HOME": "",
                "AEROSTAT_COMMAND": "aerostat",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=handed,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, complaints = process.communicate(timeout=30)
        return process.returncode, out, complaints

    def up(self, *words: str) -> tuple[int, str, str]:
        return self.run("up", "--fake", "--port", str(self.port), *words)

    def status(self) -> dict:
        return json.loads(self.run("status", "-o", "json")[1])


@pytest.fixture
def cloud(tmp_path):
    cloud = Cloud(tmp_path)
    yield cloud
    cloud.run("down")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true, limit_s: float = 10.0) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.02)


def test_up_says_what_to_do_next_and_down_leaves_nothing(cloud):
    code, out, complaints = cloud.up("--detach")
    assert code == 0, complaints
    password = cloud.folder.secrets().admin_password
    assert f"http://127.0.0.1:{cloud.port}" in out
    assert password in out
    assert f'eval "$(aerostat env --state {cloud.folder.path})"' in out
    assert "aerostat-demo" in (cloud.home / ".config/openstack/clouds.yaml").read_text()

    found = cloud.status()
    assert found["running"]
    assert found["url"].endswith(str(cloud.port)), "the port is remembered"
    (child,) = found["processes"]
    assert (child["name"], child["state"]) == ("cloud", "running")
    assert is_alive(child["pid"])

    assert cloud.run("down")[0] == 0
    assert not is_alive(child["pid"])
    assert not is_alive(found["supervisor_pid"])
    assert not cloud.folder.control_socket.exists()
    assert cloud.run("status")[0] == 3

    code, out, _ = cloud.up("--detach")
    assert code == 0
    assert password not in out, "shown once"


def test_a_second_up_names_the_first(cloud):
    assert cloud.up("--detach")[0] == 0
    code, _, complaints = cloud.up("--detach")
    assert code == 1
    assert f"process {cloud.folder.owner_pid()} already runs a cloud" in complaints


def test_a_lock_of_who_started_it_is_not_kept(cloud, tmp_path):
    path = tmp_path / "lock of a script"
    with path.open("w") as script:
        fcntl.flock(script, fcntl.LOCK_EX)
        process = cloud.start("up", "--fake", "--port", str(cloud.port), "--detach", handed=[script.fileno()])
        assert process.wait(timeout=30) == 0
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_real_reason_of_a_failed_start(tmp_path):
    cloud = Cloud(tmp_path, "bad")
    code, out, complaints = cloud.up("--detach")
    assert (code, out) == (1, "")
    assert "no disk left" in complaints
    wait_until(lambda: cloud.folder.owner_pid() is None)
    assert cloud.up()[0] == 1, "in the foreground too"


def test_down_after_the_supervisor_was_killed(cloud):
    cloud.up("--detach")
    found = cloud.status()
    os.kill(found["supervisor_pid"], signal.SIGKILL)
    child = found["processes"][0]["pid"]
    wait_until(lambda: cloud.folder.owner_pid() is None)
    assert is_alive(child)
    code, out, _ = cloud.run("down")
    assert code == 0
    assert "is stopped" in out
    assert not is_alive(child)


def test_up_after_the_supervisor_was_killed(cloud):
    cloud.up("--detach")
    found = cloud.status()
    os.kill(found["supervisor_pid"], signal.SIGKILL)
    wait_until(lambda: cloud.folder.owner_pid() is None)
    assert cloud.up("--detach")[0] == 0
    assert not is_alive(found["processes"][0]["pid"])
    assert cloud.status()["running"]


def test_a_killed_child_comes_back(cloud):
    cloud.up("--detach")
    first = cloud.status()["processes"][0]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: cloud.status()["processes"][0]["pid"] not in (first, None))
    assert cloud.status()["processes"][0]["restarts"] == 1


def test_down_while_it_starts(tmp_path):
    cloud = Cloud(tmp_path, "slow")
    process = cloud.start("up", "--fake", "--port", str(cloud.port), "--detach")
    wait_until(cloud.folder.control_socket.exists)
    wait_until(lambda: cloud.status()["processes"])
    assert cloud.run("down")[0] == 0
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "told to stop" in complaints


def test_foreground_ends_with_ctrl_c(cloud):
    process = cloud.start("up", "--fake", "--port", str(cloud.port))
    wait_until(lambda: cloud.folder.owner_pid() is not None and cloud.status()["running"])
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "The cloud is ready" in out
    assert "the cloud is stopped" in complaints
    assert cloud.folder.owner_pid() is None


def test_a_port_in_use_is_said_before_anything_starts(cloud):
    with socket.socket() as other:
        other.bind(("127.0.0.1", cloud.port))
        other.listen()
        code, _, complaints = cloud.up("--detach")
    assert code == 1
    assert f"cannot listen on 127.0.0.1 port {cloud.port}: Address already in use" in complaints


def test_purge_deletes_only_a_state_folder(cloud, tmp_path):
    cloud.up("--detach")
    assert "nobody can be asked" in cloud.run("down", "--purge")[2]
    assert cloud.run("down", "--purge", "--yes")[0] == 0
    assert not cloud.folder.path.exists()
    cloud.folder.path.mkdir()
    (cloud.folder.path / "thesis.tex").write_text("")
    assert "does not look like" in cloud.run("down", "--purge", "--yes")[2]
    assert (cloud.folder.path / "thesis.tex").exists()


def test_port_0_is_a_free_one_that_is_remembered(cloud):
    code, out, complaints = cloud.run("up", "--fake", "--port", "0", "--detach")
    assert code == 0, complaints
    found = cloud.status()
    port = int(found["url"].rpartition(":")[2])
    assert port > 0
    assert f"port {port} is free" in complaints
    assert f"http://127.0.0.1:{port}\n" in out
    assert f"port = {port}" in cloud.folder.settings.read_text()


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_refused(cloud, port):
    code, _, complaints = cloud.run("up", "--fake", f"--port={port}")
    assert code == 2
    assert port in complaints
    assert not cloud.folder.path.exists()
