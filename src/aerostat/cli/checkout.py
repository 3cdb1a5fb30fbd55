"""Finds the source checkout that we run from; `test`, `check` and `docs` are about it."""

import importlib.util
from pathlib import Path

import aerostat
from aerostat.cli import CommandError


def checkout() -> Path:
    """The folder with pyproject.toml and the tests; raises `CommandError` when we run from an installed
    wheel.
    """
    for folder in Path(aerostat.__file__).resolve().parents:
        if (folder / "pyproject.toml").is_file() and (folder / "tests").is_dir():
            return folder
    raise CommandError("this needs a checkout of the source: clone it and call ./aerostat there")


def need(*modules: str) -> None:
    """Raise `CommandError` unless the development tools are installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise CommandError(
                f"{module} is not installed; ./aerostat installs it, or: pip install --group dev -e ."
            )
