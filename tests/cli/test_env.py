"""`env`: what it prints is for a shell, whatever the values hold."""

import subprocess

import pytest

from aerostat.cli import main
from aerostat.cli.env import openrc
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder, write_private


@pytest.fixture
def folder(tmp_path):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    folder.ensure_secrets()
    return folder


def evaluated(text: str, *names: str) -> list[str]:
    show = "; ".join(f'printf "%s\\n" "${{{name}-unset}}"' for name in names)
    script = f'eval "$1"; {show}'
    given = {"OS_CLOUD": "other", "OS_TOKEN": "old", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-euc", script, "sh", text], env=given, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_shell_evaluates_it(folder, capsys):
    assert main(["env", "--state", str(folder.path)]) == 0
    names = (
        "OS_AUTH_URL",
        "OS_USERNAME",
        "OS_PASSWORD",
        "OS_PROJECT_NAME",
        "OS_REGION_NAME",
        "OS_CLOUD",
        "OS_TOKEN",
    )
    assert evaluated(capsys.readouterr().out, *names) == [
        "http://127.0.0.1:8780/identity/v3",
        "admin",
        folder.secrets().admin_password,
        "admin",
        "RegionOne",
        "unset",
        "unset",
    ]


def test_the_demo_user(folder, capsys):
    assert main(["env", "--state", str(folder.path), "--user", "demo"]) == 0
    out = capsys.readouterr().out
    assert evaluated(out, "OS_PASSWORD", "OS_PROJECT_NAME") == [folder.secrets().demo_password, "demo"]


def test_odd_passwords_survive_the_shell(folder):
    odd = "a'b\"c $HOME `id` \\\\"
    text = 'admin_password = "x"\ndemo_password = "y"\nservice_password = "z"\n'
    write_private(folder.secrets_file, text.replace('"x"', "'''" + odd + "'''"))
    assert evaluated(openrc(load(folder, environ={})), "OS_PASSWORD") == [odd]


def test_before_the_first_start_it_says_so(tmp_path, capsys):
    assert main(["env", "--state", str(tmp_path / "none")]) == 1
    assert "no cloud was started" in capsys.readouterr().err


def test_an_unknown_user_is_refused(folder, capsys):
    assert main(["env", "--state", str(folder.path), "--user", "eve"]) == 1
    assert "not of eve" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["stauts"]) == 2
    assert "did you mean status?" in capsys.readouterr().err
