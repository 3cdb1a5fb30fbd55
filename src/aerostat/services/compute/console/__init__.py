"""Consoles in the browser: one-time tokens, WebSockets to the guest's screen and serial line, two small pages."""

from .bridge import WEBSOCKETS
from .tokens import Kind, find_console, new_token, use_up

__all__ = ["WEBSOCKETS", "Kind", "find_console", "new_token", "use_up"]
