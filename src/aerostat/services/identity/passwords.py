"""Password hashes: bcrypt, in a thread so that a slow hash never holds up another request."""

import asyncio
import base64
import hashlib

import bcrypt

_BCRYPT_READS_BYTES = 72


async def hash_password(password: str, rounds: int) -> str:
    """The hash to store. `rounds` is bcrypt's cost, a power of two."""
    return (await asyncio.to_thread(bcrypt.hashpw, _fitted(password), bcrypt.gensalt(rounds))).decode()


async def is_password(password: str, stored: str | None, rounds: int) -> bool:
    """Whether `password` is the one behind `stored`. Without a stored hash the same time is spent on a refusal."""
    hashed = stored or f"$2b${rounds:02d}${'.' * 53}"
    matches = await asyncio.to_thread(bcrypt.checkpw, _fitted(password), hashed.encode())
    return matches and stored is not None


def _fitted(password: str) -> bytes:
    """bcrypt reads 72 bytes and stops at a zero byte; anything it would not read whole is hashed first."""
    raw = password.encode()
    if len(raw) <= _BCRYPT_READS_BYTES and b"\0" not in raw:
        return raw
    return base64.b64encode(hashlib.sha384(raw).digest())
