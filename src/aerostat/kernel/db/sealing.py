"""Values that lie encrypted in the database: what users call secret, and what was made from it.

A column of type `Sealed` holds any JSON value, as `Json` does, as a Fernet message (https://github.com/fernet/spec).
The key is the cloud's own and lies in its state folder, so a copy of the database alone tells nothing. Sealed
columns cannot be searched. Values that hold nothing (`{}`, `[]`) are left as they are.
"""

import base64
import hashlib
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Text
from sqlalchemy.types import TypeDecorator

from .columns import decode_json, encode_json

_FIRST = "gAAAA"  # of every Fernet message, and of no JSON


class SealBroken(Exception):
    """A value was sealed with another key, or has been tampered with."""


class Seal:
    """Seals and opens values with a key made from `secret`, a text of at least 128 bits of chance."""

    def __init__(self, secret: str) -> None:
        self.fingerprint = hashlib.sha256(b"seal " + secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))

    def close(self, value: Any) -> str:
        encoded = encode_json(value)
        if not value:
            return encoded.decode()
        return self._fernet.encrypt(encoded).decode()

    def open(self, text: str) -> Any:
        """Raises `SealBroken`."""
        if not text.startswith(_FIRST):
            return decode_json(text)
        try:
            return msgspec.json.decode(self._fernet.decrypt(text))
        except InvalidToken:
            raise SealBroken(
                "a sealed value cannot be read: the key of this state folder (sealing_key in secrets.toml) is not"
                " the one that the database was written with"
            ) from None


class Sealed(TypeDecorator[Any]):
    """Any JSON value, encrypted with the seal that the store was opened with."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else seal_of(dialect).close(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else seal_of(dialect).open(value)


def seal_of(dialect: Any) -> Seal:
    """The store hangs it on its dialect, the one thing that a column type is shown."""
    seal = getattr(dialect, "seal", None)
    if not isinstance(seal, Seal):
        raise RuntimeError("a column is sealed, but the store was opened without a seal")
    return seal
