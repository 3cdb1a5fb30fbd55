"""Periodic upkeep of the compute room."""

from . import console_tokens, deleted_servers, interfaces

SWEEPERS = (interfaces.SWEEPER, console_tokens.SWEEPER, deleted_servers.SWEEPER)
