"""Clients that others wrote, from their packages, against a store of its own: what goes in comes out again.

`swift` (python-swiftclient), rclone and restic; each by its command, as a user has it.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from aerostat.cli import main
from aerostat.cli.up import find_free_port

pytestmark = pytest.mark.metal

KEY = "a key of this test"
SETTINGS = f"""
[object.middleware.tempauth.users."test:tester"]
key = "{KEY}"
groups = [".admin"]
"""
LIMIT_S = 120
SWIFT = [sys.executable, "-m", "swiftclient.shell"]


class Store:
    """A running store, and how clients are told of it."""

    def __init__(self, state: Path, port: int) -> None:
        self.auth = f"http://127.0.0.1:{port}/auth/v1.0"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
            "HOME": str(state),
            "ST_AUTH": self.auth,
            "ST_USER": "test:tester",
            "ST_KEY": KEY,
        }

    def run(self, *command: str, **also: str) -> str:
        done = subprocess.run(
            command, env={**self.environment, **also}, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state, port = tmp_path / "s", find_free_port("127.0.0.1")
    state.mkdir(mode=0o700)
    (state / "aerostat.toml").write_text(SETTINGS)
    devices = [str(tmp_path / f"d{number}") for number in (1, 2, 3)]
    words = [
        "object",
        "up",
        "--detach",
        "--state",
        str(state),
        "--port",
        str(port),
        "--replicas",
        "2",
        "--devices",
        *devices,
    ]
    assert main(words) == 0
    try:
        yield Store(state, port)
    finally:
        assert main(["object", "down", "--state", str(state)]) == 0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Small, large, empty, in folders, with names that need quoting."""
    root = tmp_path / "files"
    for name, size in {
        "small": 100,
        "empty": 0,
        "a folder/ü & ?#%.bin": 70_000,
        "a folder/below/large": 9 << 20,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return root


def sums(root: Path) -> Mapping[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_alone_in_three_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As README and examples have it: what `up` prints works as it stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("what is to be kept")
    state = str(tmp_path / "s")
    port = find_free_port("127.0.0.1")
    assert main(["object", "up", "--detach", "--state", state, "--port", str(port)]) == 0
    try:
        printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  try ")]
        words = shlex.split(printed[0].removeprefix("  try "))
        assert words[0] == "swift"
        assert words[-3:] == ["upload", "things", "README.md"]
        for ending in (
            ["upload", "things", "README.md"],
            ["download", "things", "README.md", "-o", "copy.md"],
        ):
            subprocess.run([*SWIFT, *words[1:-3], *ending], check=True, timeout=LIMIT_S)
        assert (tmp_path / "copy.md").read_text() == "what is to be kept"
    finally:
        assert main(["object", "down", "--state", state]) == 0


def test_swift(store: Store, files: Path, tmp_path: Path) -> None:
    """Large files in segments, static and dynamic."""
    back = tmp_path / "back"
    for number, how in enumerate((["--use-slo"], ["--use-dlo"], [])):
        container = f"c{number}"
        store.run(*SWIFT, "upload", *how, "-S", str(2 << 20), "--object-name", "", container, str(files))
        assert len(store.run(*SWIFT, "list", container).splitlines()) == len(sums(files))
        shutil.rmtree(back, ignore_errors=True)
        store.run(*SWIFT, "download", container, "-D", str(back), "--remove-prefix", "--prefix", "")
        assert sorted(sums(back).values()) == sorted(sums(files).values())
        assert "Objects: 4" in store.run(*SWIFT, "stat", container)
        store.run(*SWIFT, "delete", container)
    assert "swift" in store.run(*SWIFT, "capabilities")
    left = store.run(*SWIFT, "list").split()
    assert left == ["c0_segments", "c1_segments", "c2_segments"], "which the client leaves"
    assert [store.run(*SWIFT, "list", container) for container in left] == ["", "", ""]


@pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not installed")
def test_rclone(store: Store, files: Path, tmp_path: Path) -> None:
    remote = {
        "RCLONE_CONFIG_OURS_TYPE": "swift",
        "RCLONE_CONFIG_OURS_AUTH": store.auth,
        "RCLONE_CONFIG_OURS_USER": "test:tester",
        "RCLONE_CONFIG_OURS_KEY": KEY,
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_SWIFT_CHUNK_SIZE": "2Mi",
    }
    store.run("rclone", "sync", str(files), "ours:things", **remote)
    store.run("rclone", "check", "--download", str(files), "ours:things", **remote)
    store.run("rclone", "copy", "ours:things", "ours:copies", **remote)
    back = tmp_path / "back"
    store.run("rclone", "sync", "ours:copies", str(back), **remote)
    assert sums(back) == sums(files)
    (files / "small").unlink()
    store.run("rclone", "sync", str(files), "ours:things", **remote)
    assert len(store.run("rclone", "lsf", "-R", "--files-only", "ours:things", **remote).splitlines()) == 3
    store.run("rclone", "purge", "ours:things", **remote)


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed")
def test_restic(store: Store, files: Path, tmp_path: Path) -> None:
    remote = {
        "RESTIC_REPOSITORY": "swift:backups:/here",
        "RESTIC_PASSWORD": "secret",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    store.run("restic", "init", **remote)
    store.run("restic", "backup", str(files), **remote)
    (files / "small").write_bytes(b"changed")
    store.run("restic", "backup", str(files), **remote)
    store.run("restic", "check", "--read-data", **remote)
    back = tmp_path / "back"
    store.run("restic", "restore", "latest", "--target", str(back), **remote)
    assert sums(back / files.relative_to("/")) == sums(files)
    store.run("restic", "forget", "--keep-last", "1", "--prune", **remote)
    store.run("restic", "check", "--read-data", **remote)
