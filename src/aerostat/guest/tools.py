"""Running the tools that make the image; they say what they do only when they fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

LIMIT_S = 600.0
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class GuestBuildError(Exception):
    """The image could not be built; the text says why, and what to do where that is known."""


def check_tools(tools: Mapping[str, str]) -> None:
    """Raise if one of `tools` (name → Debian package) is not on this machine."""
    packages = sorted({package for tool, package in tools.items() if shutil.which(tool, path=_PATH) is None})
    if packages:
        raise GuestBuildError(f"Building the test guest needs these packages: {' '.join(packages)}")


def run(
    *command: str | Path,
    cwd: Path | None = None,
    input_: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command and give what it wrote. Raises `GuestBuildError` with the end of its complaint."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            input=input_,
            env={**os.environ, "PATH": _PATH, "LC_ALL": "C", **(env or {})},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GuestBuildError(f"{words[0]} took more than {LIMIT_S:.0f} s") from None
    if done.returncode:
        raise GuestBuildError(f"{' '.join(words[:3])} failed: {done.stderr.strip()[-400:]}")
    return done.stdout
