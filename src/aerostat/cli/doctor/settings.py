"""What checks ask of a folder's settings: whether they can be read, and what kind of folder it is."""

import msgspec

from aerostat.kernel.config import Config, ConfigError, load
from aerostat.kernel.state_folder import StateFolder


def find_settings(folder: StateFolder) -> Config | None:
    """The kernel's section; None where it cannot be read, which a check of its own says."""
    try:
        return load(folder)
    except (ConfigError, msgspec.MsgspecError):
        return None


def is_host(config: Config) -> bool:
    """Whether the folder is a compute host's and nothing more."""
    return tuple(config.kernel.roles) == ("host",)


def has_joined(folder: StateFolder) -> bool:
    """Whether the folder is that of a compute host of a cloud elsewhere: what `up` makes and needs is not its own."""
    config = find_settings(folder)
    return config is not None and is_host(config)


def expects_api(folder: StateFolder, config: Config) -> bool:
    """Whether somebody should answer at the public address: a cloud on many machines, or one that runs here."""
    if is_host(config):
        return False
    return not config.kernel.embedded or folder.owner_pid() is not None
