"""Periodic upkeep of the compute room."""

from .expiry import console_tokens, deleted_servers
from .interfaces import refresh_interfaces

SWEEPERS = (refresh_interfaces, console_tokens, deleted_servers)
