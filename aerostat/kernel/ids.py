"""Identifiers: dashed UUIDs for most rooms, 32 hex digits for identity, short names for generated things."""

import re
import secrets
import uuid

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def new_id() -> str:
    """A random UUID with dashes."""
    return str(uuid.uuid4())


def new_hex_id() -> str:
    """A random UUID as 32 hexadecimal digits."""
    return uuid.uuid4().hex


def short_id(length: int = 12) -> str:
    """Random lower-case letters and digits, safe in names of every service."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def is_uuid(text: object) -> bool:
    """Whether `text` is a UUID, with or without dashes."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None
