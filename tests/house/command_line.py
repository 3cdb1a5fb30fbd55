"""The official `openstack` command, as a user types it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aerostat.testing import Cloud

LIMIT_S = 90


def openstack(cloud: Cloud, *words: str, user: str = "demo") -> str:
    """What `openstack WORDS` prints; fails with its own words if it does not succeed."""
    beside = Path(sys.executable).with_name("openstack")
    program = str(beside) if beside.exists() else shutil.which("openstack")
    if program is None:
        pytest.skip("python-openstackclient is not installed")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    auth = {f"OS_{key.upper()}": value for key, value in cloud.auth_of(user).items()}
    done = subprocess.run(
        [program, *words],
        env={
            **inherited,
            **cloud.environment,
            **auth,
            "XDG_CONFIG_HOME": os.devnull,
        },  # not the user's clouds.yaml
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
