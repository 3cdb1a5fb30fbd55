"""Password hashes: made with bcrypt, checked in every form that Keystone stores, in threads of their own.

The forms are passlib's: https://passlib.readthedocs.io/en/stable/modular_crypt_format.html. A hash is slow on purpose,
so it gets a few threads for itself: logging in holds up neither other requests nor other work in threads.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import bcrypt

from aerostat.kernel.errors import Unavailable

T = TypeVar("T")
_BCRYPT_READS_BYTES = 72
_MOST_ROUNDS = 20
_MOST_SCRYPT_BYTES = 256 << 20
_BCRYPT = re.compile(r"\$2[abxy]?\$(?P<rounds>\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_SHA256 = re.compile(
    r"\$bcrypt-sha256\$(?:v=(?P<version>2),t=(?P<kind>2[ab]),r=(?P<rounds>\d{1,2})|(?P<old_kind>2[ab]),(?P<old_rounds>\d{1,2}))"
    r"\$(?P<salt>[./A-Za-z0-9]{22})\$(?P<digest>[./A-Za-z0-9]{31})"
)
_SCRYPT = re.compile(
    r"\$scrypt\$ln=(?P<log_n>\d{1,2}),r=(?P<r>\d{1,5}),p=(?P<p>\d{1,5})"
    r"\$(?P<salt>[./+A-Za-z0-9]*)\$(?P<digest>[./+A-Za-z0-9]+)"
)
_PBKDF2 = re.compile(
    r"\$pbkdf2-sha512\$(?P<rounds>\d{1,8})\$(?P<salt>[./+A-Za-z0-9]*)\$(?P<digest>[./+A-Za-z0-9]+)"
)

_CORES = max(1, (os.cpu_count() or 1) - 1)  # one is left for everything else
_MOST_WAITING = 100 * _CORES

_threads = ThreadPoolExecutor(_CORES, "passwords")
_waiting = 0


async def hash_password(password: str, rounds: int) -> str:
    """The hash to store. `rounds` is bcrypt's cost, a power of two."""
    return await _in_thread(_hashed, password.encode(), rounds)


async def is_password(password: str, stored: str | None, rounds: int) -> bool:
    """Whether `password` is the one behind `stored`. Without a stored hash the same time is spent on a refusal."""
    hashed = stored or f"$2b${rounds:02d}${'.' * 53}"
    return await _in_thread(_matches, password.encode(), hashed) and stored is not None


def check_form(stored: str) -> None:
    """Raises ValueError, with the reason, for a hash that nobody could log in with or that would cost too much."""
    if match := _BCRYPT.fullmatch(stored):
        fits = 4 <= int(match["rounds"]) <= _MOST_ROUNDS
    elif match := _BCRYPT_SHA256.fullmatch(stored):
        fits = 4 <= int(match["rounds"] or match["old_rounds"]) <= _MOST_ROUNDS
    elif match := _SCRYPT.fullmatch(stored):
        log_n, r, p = int(match["log_n"]), int(match["r"]), int(match["p"])
        fits = 1 <= log_n <= 30 and r >= 1 and 1 <= p <= 16 and 128 * r << log_n <= _MOST_SCRYPT_BYTES
    elif match := _PBKDF2.fullmatch(stored):
        fits = 1 <= int(match["rounds"]) <= 10_000_000
    else:
        raise ValueError("is none of bcrypt, bcrypt_sha256, scrypt, pbkdf2_sha512")
    if not fits:
        raise ValueError("costs more than a log-in may, or less than its form allows")
    if not stored.startswith(("$2", "$bcrypt")):
        _bytes(match["salt"]), _bytes(match["digest"])


class ProvenSecrets:
    """Secrets that matched their hash a while ago, so that a program that logs in again and again pays it once.

    What is kept is a digest under a key of this process, of the secret and the stored hash: neither can be had from it,
    and a secret whose row was changed or deleted is never asked for again. The least used go first.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._key = os.urandom(32)
        self._kept: OrderedDict[bytes, None] = OrderedDict()

    async def matches(self, secret: str, stored: str | None, rounds: int) -> bool:
        """As `is_password`."""
        digest = hmac.digest(self._key, f"{stored}\0{secret}".encode(), "sha256")
        if stored is not None and digest in self._kept:
            self._kept.move_to_end(digest)
            return True
        if not await is_password(secret, stored, rounds):
            return False
        self._kept[digest] = None
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return True


async def _in_thread(call: Callable[..., T], *args: Any) -> T:
    """Raises `Unavailable` when so many wait already that this one would wait for long."""
    global _waiting
    if _waiting >= _MOST_WAITING:
        raise Unavailable("Too many log-ins at once. Please try again later.")
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, call, *args)
    finally:
        _waiting -= 1


def _hashed(raw: bytes, rounds: int) -> str:
    """bcrypt reads 72 bytes and stops at a zero byte; what it would not read whole goes in as a digest."""
    options = bcrypt.gensalt(rounds)
    if len(raw) <= _BCRYPT_READS_BYTES and b"\0" not in raw:
        return bcrypt.hashpw(raw, options).decode()
    salt = options[-22:]
    hashed = bcrypt.hashpw(_digested(raw, salt), options).decode()
    return f"$bcrypt-sha256$v=2,t=2b,r={rounds}${salt.decode()}${hashed[-31:]}"


def _matches(raw: bytes, stored: str) -> bool:
    if stored.startswith("$2"):
        return bcrypt.checkpw(raw[:_BCRYPT_READS_BYTES], stored.encode())
    if match := _BCRYPT_SHA256.fullmatch(stored):
        salt = match["salt"].encode()
        digest = _digested(raw, salt) if match["version"] else base64.b64encode(hashlib.sha256(raw).digest())
        kind, rounds = match["kind"] or match["old_kind"], int(match["rounds"] or match["old_rounds"])
        return bcrypt.checkpw(digest, f"${kind}${rounds:02d}${match['salt']}{match['digest']}".encode())
    if match := _SCRYPT.fullmatch(stored):
        expected = _bytes(match["digest"])
        made = hashlib.scrypt(
            raw,
            salt=_bytes(match["salt"]),
            n=1 << int(match["log_n"]),
            r=int(match["r"]),
            p=int(match["p"]),
            maxmem=2 * _MOST_SCRYPT_BYTES,
            dklen=len(expected),
        )
        return hmac.compare_digest(made, expected)
    if match := _PBKDF2.fullmatch(stored):
        expected = _bytes(match["digest"])
        made = hashlib.pbkdf2_hmac(
            "sha512", raw, _bytes(match["salt"]), int(match["rounds"]), dklen=len(expected)
        )
        return hmac.compare_digest(made, expected)
    raise ValueError("a stored password hash has a form that is not known")


def _digested(raw: bytes, salt: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, raw, "sha256"))


def _bytes(text: str) -> bytes:
    """passlib's base64: a dot for the plus, no padding."""
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)
