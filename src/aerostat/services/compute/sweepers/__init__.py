"""Periodic upkeep of the compute room."""

from . import console_tokens, deleted_servers, interfaces, late_ports

SWEEPERS = (interfaces.SWEEPER, console_tokens.SWEEPER, deleted_servers.SWEEPER, late_ports.SWEEPER)
