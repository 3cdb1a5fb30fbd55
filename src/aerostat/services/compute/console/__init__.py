"""Consoles in the browser: one-time tokens, WebSockets to the guest's screen and serial line, two small pages."""

from .bridge import WEBSOCKETS
from .tokens import Kind, new_token, use_token

__all__ = ["WEBSOCKETS", "Kind", "new_token", "use_token"]
