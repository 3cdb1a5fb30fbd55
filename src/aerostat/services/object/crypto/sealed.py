"""Short texts that only the holder of a key reads, and that nobody changes unseen: AES-256-GCM.

    v1.SECRET_ID.BASE64(nonce, ciphertext, tag)

What it is for goes into the tag, so that an ETag is not taken for a key, nor one header for another.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = "v1"
_NONCE_BYTES = 12


class Unreadable(Exception):
    """It is not sealed with this key, or not whole."""


def seal(key: bytes, secret_id: str, purpose: str, content: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, content, purpose.encode())
    return f"{VERSION}.{secret_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def is_sealed(text: str) -> bool:
    return text.startswith(f"{VERSION}.") and text.count(".") == 2


def secret_id_of(text: str) -> str:
    """Raises `Unreadable`."""
    if not is_sealed(text):
        raise Unreadable("it is not sealed as this version does")
    return text.split(".", 2)[1]


def unseal(key: bytes, purpose: str, text: str) -> bytes:
    """Raises `Unreadable`."""
    try:
        packed = base64.urlsafe_b64decode(text.split(".", 2)[2])
        return AESGCM(key).decrypt(packed[:_NONCE_BYTES], packed[_NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError, IndexError):
        raise Unreadable("the key does not fit, or it is damaged") from None
