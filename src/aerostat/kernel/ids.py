"""Identifiers: dashed UUIDs for most rooms, 32 hex digits for identity, short names for generated things."""

import re
import secrets
import time
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


_last_tick = 0


def ascending_id() -> str:
    """A UUID (version 7) that is greater than every one this process made before: its text sorts by age."""
    global _last_tick
    # 48 bits of milliseconds, then 12 bits of their 4096th parts, as RFC 9562 §6.2 method 3 allows.
    tick = _last_tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
