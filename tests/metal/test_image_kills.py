"""A cloud's process is killed again and again while images come in: each is whole, or queued without any bytes.

At each kill several uploads are under way, at different places. What was acknowledged is there, and nothing lies on the
disk that belongs to no image. `KILLS` and `KILLS_SEED` make it longer, or another one.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.metal.many_processes import OURS
from tests.servers import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.metal

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
AT_ONCE = 4
MIB = 1 << 20
SIZES = (1, 700_000, 3 * MIB, 20 * MIB)
LONGEST_S = 0.8
LIMIT_S = 40.0
SWEPT_LIMIT_S = 150.0
"""The sweeper comes once a minute, to what has been silent for as long as the setting says."""
BYTES = {"content-type": "application/octet-stream"}


class Cloud:
    def __init__(self, folder: Path) -> None:
        self.state = folder / "s"
        self.port = free_port()
        self._printed = (folder / "printed").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "PYTHONPATH": OURS,
            "AEROSTAT_IMAGE_TEST_IMAGE": "false",
            "AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4",
            "AEROSTAT_IMAGE_UPLOAD_SILENCE_S": "3",
        }

    def start(self) -> None:
        (self.state / "run" / "cloud.ready").unlink(missing_ok=True)
        words = ("serve", "--fake", "--state", str(self.state), "--port", str(self.port))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aerostat", *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=self._printed,
        )
        eventually(lambda: (self.state / "run" / "cloud.ready").exists(), LIMIT_S, every_s=0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(LIMIT_S)

    @contextlib.contextmanager
    def session(self) -> Iterator[httpx.Client]:
        """As the user `demo`."""
        secret = tomllib.loads((self.state / "secrets.toml").read_text())["demo_password"]
        user = {"name": "demo", "password": secret, "domain": {"id": "default"}}
        login = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "demo", "domain": {"id": "default"}}},
        }
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=LIMIT_S) as session:
            answer = session.post("/identity/v3/auth/tokens", json={"auth": login})
            answer.raise_for_status()
            session.headers["x-auth-token"] = answer.headers["x-subject-token"]
            yield session

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.state / "images").rglob("*") if path.is_file())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.kill()


class Image:
    def __init__(self, cloud: Cloud, seed: int) -> None:
        self._cloud = cloud
        self.data = random.Random(seed).randbytes(random.Random(seed).choice(SIZES))
        body = {"disk_format": "raw", "container_format": "bare"}
        with cloud.session() as session:
            self.id = str(session.post("/image/v2/images", json=body).json()["id"])
        self.path = f"/image/v2/images/{self.id}"
        self.is_acknowledged = False

    def upload(self, started: threading.Barrier) -> None:
        def pieces() -> Iterator[bytes]:
            started.wait(LIMIT_S)
            for at in range(0, len(self.data), 65536):
                yield self.data[at : at + 65536]

        with contextlib.suppress(httpx.TransportError), self._cloud.session() as session:
            answer = session.put(f"{self.path}/file", content=pieces(), headers=BYTES)
            assert answer.status_code == 204, answer.text
            self.is_acknowledged = True

    def check(self, session: httpx.Client) -> str:
        """Its state, which is that of its bytes."""
        shown = session.get(self.path).json()
        status = str(shown["status"])
        answer = session.get(f"{self.path}/file")
        if status == "active":
            assert answer.content == self.data
            assert shown["os_hash_value"] == hashlib.sha512(self.data).hexdigest()
        else:
            assert status in ("queued", "saving")
            assert answer.status_code == 204
            assert not self.is_acknowledged
        return status


def test_uploads_are_whole_or_not_there(cloud: Cloud) -> None:
    chance = random.Random(SEED)
    images: list[Image] = []
    states: set[str] = set()
    for turn in range(KILLS):
        fresh = [Image(cloud, SEED * 1000 + turn * AT_ONCE + number) for number in range(AT_ONCE)]
        started = threading.Barrier(AT_ONCE + 1)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            uploads = [threads.submit(image.upload, started) for image in fresh]
            started.wait(LIMIT_S)
            time.sleep(LONGEST_S * chance.random() ** 2)
            cloud.kill()
            cloud.start()
            for upload in uploads:
                upload.result(LIMIT_S)
        images += fresh
        with cloud.session() as session:
            states |= {image.check(session) for image in fresh}
    assert len(states) > 1, "the kills came all too early, or all too late"

    def is_swept() -> bool:
        with cloud.session() as session:
            return all(image.check(session) != "saving" for image in images) and cloud.files() == sorted(
                image.id for image in images if image.check(session) == "active"
            )

    eventually(is_swept, SWEPT_LIMIT_S, every_s=2.0, why=f"only whole images are kept: {cloud.files()}")
    with cloud.session() as session:
        for image in images:
            if image.check(session) == "queued":
                image.upload(threading.Barrier(1))
                assert image.check(session) == "active"
    assert cloud.files() == sorted(image.id for image in images)
