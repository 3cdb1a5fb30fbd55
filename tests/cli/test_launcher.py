"""The launcher in the repository's root: what it hands over, what it prepares, what it refuses.

Each test has a checkout of its own, with the launcher and tools that only write down how they were called.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parents[2] / "aerostat"

# Makes «.venv/bin/python», which prints its arguments: what `uv sync` and `python -m venv` would have left.
MAKE_VENV = """
mkdir -p "$CHECKOUT/.venv/bin"
printf '#!/bin/sh\\nfor word; do echo "[$word]"; done\\n' > "$CHECKOUT/.venv/bin/python"
chmod +x "$CHECKOUT/.venv/bin/python"
"""


class Checkout:
    """A folder with the launcher, and a `bin` of stand-ins that comes first in PATH."""

    def __init__(self, path: Path) -> None:
        self.path = path / "check out"
        self.bin = path / "bin"
        self.calls = path / "calls"
        self.path.mkdir()
        self.bin.mkdir()
        shutil.copy(LAUNCHER, self.path / "aerostat")
        (self.path / "pyproject.toml").write_text("[project]\n")
        self.tool("python3", "exit 0")
        self.tool("uv", MAKE_VENV)
        self.tool("dpkg-query", "printf installed")
        self.tool("apt-get", "exit 1")
        self.tool("id", "echo 0")

    def tool(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.calls}"\n{body}\n')
        path.chmod(0o755)

    def run(self, *words: str, start: str | None = None, cwd: str = "/") -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "CHECKOUT": str(self.path),
            "HOME": "/nonexistent",
            "CALLS": str(self.calls),
        }
        return subprocess.run(
            [start or str(self.path / "aerostat"), *words],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )

    def called(self, name: str) -> list[str]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_is_plain_posix_shell():
    for shell in ("dash", "bash"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", str(LAUNCHER)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(LAUNCHER)], check=True)


def test_hands_every_argument_over_as_it_is(checkout):
    done = checkout.run("ssh", "my server", "--", "echo", "a  b", "*", "--yes")
    assert done.returncode == 0
    words = ["-m", "aerostat", "ssh", "my server", "--", "echo", "a  b", "*", "--yes"]
    assert done.stdout.splitlines() == [f"[{word}]" for word in words]


def test_works_through_a_symlink_and_from_anywhere(checkout, tmp_path):
    (tmp_path / "links").mkdir()
    os.symlink("../check out/aerostat", tmp_path / "links" / "cloud")
    done = checkout.run("status", start="./cloud", cwd=str(tmp_path / "links"))
    assert done.stdout.splitlines() == ["[-m]", "[aerostat]", "[status]"]
    assert (checkout.path / ".venv").exists()


def test_prepares_once_and_again_only_when_the_requirements_change(checkout):
    assert checkout.run("status").returncode == 0
    assert "preparing" not in checkout.run("status").stderr
    assert len(checkout.called("uv")) == 1
    (checkout.path / "pyproject.toml").write_text("[project]\n# changed\n")
    checkout.run("status")
    assert len(checkout.called("uv")) == 2


def test_parts_are_added_when_first_needed_and_stay(checkout):
    checkout.run("status")
    assert "--group dev" not in checkout.called("uv")[-1]
    checkout.run("test", "kernel")
    assert "--group dev" in checkout.called("uv")[-1]
    checkout.run("check")
    assert len(checkout.called("uv")) == 2
    checkout.run("up")
    assert "--group dev" in checkout.called("uv")[-1]
    assert "--extra metal" in checkout.called("uv")[-1]
    checkout.run("up", "--fake")
    assert len(checkout.called("uv")) == 3


def test_fake_asks_for_no_system_packages(checkout):
    checkout.tool("dpkg-query", "exit 1")
    done = checkout.run("up", "--fake")
    assert done.returncode == 0
    assert checkout.called("dpkg-query") == checkout.called("apt-get") == []


APT = """
case "$*" in
    *--assume-no*)
        echo "Need to get 12.3 MB/45.6 MB of archives."
        echo "After this operation, 200 MB of additional disk space will be used." ;;
    *" install "*) ;;
    *) exit 1 ;;
esac
"""

ALL_BUT_TWO = 'case "$*" in *ovn-host | *qemu-utils) exit 1 ;; *) printf installed ;; esac'


def test_up_installs_what_is_missing_and_nothing_else(checkout):
    checkout.tool("dpkg-query", ALL_BUT_TWO)
    checkout.tool("apt-get", APT)
    done = checkout.run("up", "--yes", "--state", "S")
    assert done.returncode == 0
    assert "missing: qemu-utils ovn-host" in done.stderr
    assert "12.3 MB/45.6 MB to download, 200 MB on disk" in done.stderr
    installs = [line for line in checkout.called("apt-get") if "--assume-no" not in line]
    assert len(installs) == 1
    assert installs[0].endswith("--no-install-recommends install qemu-utils ovn-host")
    assert done.stdout.splitlines()[2:] == ["[up]", "[--yes]", "[--state]", "[S]"]


def test_up_without_yes_and_without_a_terminal_installs_nothing(checkout):
    checkout.tool("dpkg-query", ALL_BUT_TWO)
    checkout.tool("apt-get", APT)
    done = checkout.run("up")
    assert done.returncode == 1
    assert "say --yes" in done.stderr
    assert all("--assume-no" in line for line in checkout.called("apt-get"))
    assert done.stdout == ""


@pytest.mark.parametrize("words", [("serve", "--role", "host"), ("serve", "--role=host"), ("host", "join")])
def test_a_host_of_a_cloud_elsewhere_gets_the_binding_and_no_packages_to_run(checkout, words):
    checkout.tool("dpkg-query", 'case "$*" in *ovn-host | *gcc) exit 1 ;; *) printf installed ;; esac')
    checkout.tool("apt-get", APT)
    done = checkout.run(*words)
    assert done.returncode == 1
    assert done.stderr.endswith("apt-get install --no-install-recommends gcc\n"), done.stderr
    assert "--yes" not in done.stderr, "that is no option of this command"
    checkout.tool("dpkg-query", 'case "$*" in *ovn-host) exit 1 ;; *) printf installed ;; esac')
    assert checkout.run(*words).returncode == 0
    assert "--extra metal" in checkout.called("uv")[-1]
    checkout.tool("dpkg-query", "exit 1")
    assert checkout.run(*words).returncode == 0, "it is built"


def test_other_processes_of_a_cloud_on_many_machines_need_no_binding(checkout):
    for words in (("serve", "--role", "api"), ("host", "list"), ("serve", "--role", "host", "--help")):
        assert checkout.run(*words).returncode == 0
    assert "metal" not in "".join(checkout.called("uv"))


def test_another_user_than_root_is_told_the_command(checkout):
    checkout.tool("dpkg-query", ALL_BUT_TWO)
    checkout.tool("apt-get", APT)
    checkout.tool("id", "echo 1000")
    done = checkout.run("up", "--yes")
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends qemu-utils ovn-host" in done.stderr


def test_a_failed_installation_stops_there(checkout):
    checkout.tool("dpkg-query", ALL_BUT_TWO)
    checkout.tool(
        "apt-get", 'case "$*" in *--assume-no*) echo "Need to get 1 kB of archives." ;; *) exit 100 ;; esac'
    )
    done = checkout.run("up", "--yes")
    assert done.returncode == 1
    assert "could not install: qemu-utils ovn-host" in done.stderr
    assert checkout.called("uv") == []


def test_an_old_python_is_passed_over(checkout):
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python"):
        checkout.tool(name, "exit 1")
    done = checkout.run("status")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    checkout.tool("python3.13", "exit 0")
    assert checkout.run("status").returncode == 0
    assert f"--python {checkout.bin}/python3.13" in checkout.called("uv")[-1]


def test_without_uv_pip_does_it(checkout):
    (checkout.bin / "uv").unlink()
    venv_python = '#!/bin/sh\\necho "venv-python $*" >> "$CALLS"\\n'
    checkout.tool(
        "python3",
        f"""case "$*" in "-m venv "*) mkdir -p "$3/bin"
        printf '{venv_python}' > "$3/bin/python"; chmod +x "$3/bin/python" ;; esac""",
    )
    assert checkout.run("check").returncode == 0
    pip = "venv-python -m pip -qq --disable-pip-version-check install"
    assert checkout.called("venv-python")[-3:] == [
        f"{pip} --group {checkout.path}/pyproject.toml:dev",
        f"{pip} --editable {checkout.path}",
        "venv-python -m aerostat check",
    ]


def test_a_failed_preparation_is_tried_again(checkout):
    checkout.tool("uv", "echo no network >&2; exit 2")
    done = checkout.run("status")
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert "uv could not install" in done.stderr
    checkout.tool("uv", MAKE_VENV)
    assert checkout.run("status").returncode == 0
