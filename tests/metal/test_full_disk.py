"""A cloud whose disk is full: what would be written is refused and may be asked for again, what is read goes on."""

import os
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metal.many_processes import OURS, User
from tests.servers import free_port
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of one's own is root's to mount"),
]

ROOM_MIB = 48
LIMIT_S = 30.0


class SmallCloud:
    """`serve --fake` with its state folder on a disk of a few MiB, which nobody else sees."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "s"
        self.state.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, "PYTHONPATH": OURS, "HOME": str(folder), "XDG_CONFIG_HOME": ""}
        serve = f"{sys.executable} -m aerostat serve --fake --state {self.state} --port {port}"
        mount = f"mount -t tmpfs -o size={ROOM_MIB}m none {self.state}"
        words = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {serve}"]
        self._printed = (folder / "printed").open("ab")
        self._process = subprocess.Popen(
            words, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._printed, stderr=self._printed
        )
        eventually(lambda: (self.inside / "run" / "cloud.ready").exists(), LIMIT_S, every_s=0.05)

    @property
    def inside(self) -> Path:
        """The state folder as its process sees it."""
        return Path(f"/proc/{self._process.pid}/root{self.state}")

    def user(self) -> User:
        secrets = tomllib.loads((self.inside / "secrets.toml").read_text())
        return User(self.url, "demo", secrets["demo_password"])

    def status(self) -> str:
        words = ["nsenter", f"--target={self._process.pid}", "--mount", sys.executable, "-m", "aerostat"]
        words += ["status", "--state", str(self.state)]
        done = subprocess.run(
            words, env=self._environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def fill(self) -> None:
        with (self.inside / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    def make_room(self) -> None:
        (self.inside / "ballast").unlink()

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(LIMIT_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._printed.close()


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with tempfile.TemporaryDirectory(prefix="as-small-") as folder:
        cloud = SmallCloud(Path(folder))
        try:
            yield cloud
        finally:
            cloud.close()


def test_a_full_disk_refuses_for_a_while(cloud: SmallCloud) -> None:
    demo = cloud.user()
    first = demo.create_server("first").json()["server"]["id"]
    demo.wait_all({first}, "ACTIVE", LIMIT_S)
    made = demo.http.post(
        "/image/v2/images", json={"name": "i", "disk_format": "raw", "container_format": "bare"}
    )
    image = made.json()["id"]
    cloud.fill()
    refused = demo.create_server("second")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5"), refused.text
    assert "database" in refused.text
    assert demo.http.delete(f"/compute/v2.1/servers/{first}").status_code == 503
    headers = {"content-type": "application/octet-stream"}
    path = f"/image/v2/images/{image}/file"
    assert demo.http.put(path, content=bytes(1 << 20), headers=headers).status_code == 503
    assert [one["status"] for one in demo.servers().values()] == ["ACTIVE"]
    demo.sign_in()
    assert "WRONG       disk: 0.0 GiB are free below" in cloud.status()
    cloud.make_room()
    assert demo.http.put(path, content=bytes(1 << 20), headers=headers).status_code == 204
    second = demo.create_server("second").json()["server"]["id"]
    demo.wait_all({first, second}, "ACTIVE", LIMIT_S)
    demo.delete_servers(LIMIT_S)
