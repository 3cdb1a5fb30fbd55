"""Finds out which cloud a command is about: its folder, its settings, the rooms' sections."""

import argparse
import importlib
import os
from pathlib import Path
from typing import Any

import msgspec

from aerostat.kernel.config import Config, load
from aerostat.kernel.state_folder import StateFolder


def folder_of(args: argparse.Namespace) -> StateFolder:
    return StateFolder.chosen(args.state)


def file_of(args: argparse.Namespace) -> Path | None:
    """The settings file, where it is not the folder's own."""
    named = args.config or os.environ.get("AEROSTAT_CONFIG")
    return Path(named).expanduser() if named else None


def kernel_settings_of(args: argparse.Namespace, **overrides: Any) -> Config:
    """Only the kernel's section: enough to find the cloud, and quick to have."""
    return load(folder_of(args), file=file_of(args), **overrides)


def settings_of(args: argparse.Namespace, **overrides: Any) -> Config:
    """All sections of the cloud that `args` names, each checked."""
    return load(folder_of(args), room_sections(), file=file_of(args), **overrides)


def room_sections() -> dict[str, type[msgspec.Struct]]:
    """The settings struct of each room: the one that its `config.py` defines."""
    import aerostat.services

    found: dict[str, type[msgspec.Struct]] = {}
    for file in sorted(Path(aerostat.services.__path__[0]).glob("*/config.py")):
        module = importlib.import_module(f"aerostat.services.{file.parent.name}.config")
        for value in vars(module).values():
            ours = isinstance(value, type) and value.__module__ == module.__name__
            if ours and issubclass(value, msgspec.Struct) and value.__name__.endswith("Config"):
                found[file.parent.name] = value
    return found
