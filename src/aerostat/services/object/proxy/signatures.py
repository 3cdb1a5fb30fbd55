"""Signatures with a key of an account or a container: temporary URLs, and forms that browsers send."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..room import ObjectStore

DIGESTS = ("sha1", "sha256", "sha512")
OLD_DIGESTS = ("sha1",)
"""Still taken, and told of as such."""
_KEYS = ("temp-url-key", "temp-url-key-2")
_BY_LENGTH = {40: "sha1", 64: "sha256", 128: "sha512"}
_HEX = re.compile(r"[0-9a-fA-F]+")

TEMPORARY = ".wsgi.tempurl"
"""The name of whoever comes by a temporary URL."""

Scope = Literal["account", "container"]


async def keys(room: "ObjectStore", account: str, container: str) -> list[tuple[bytes, Scope]]:
    """Those of the account and of the container; what they sign is good for no more than that."""
    found: list[tuple[bytes, Scope]] = []
    if (of_account := await room.infos.account(account)) is not None:
        found += [(key, "account") for key in _keys(of_account.headers, "account")]
    if (of_container := await room.infos.container(account, container)) is not None:
        found += [(key, "container") for key in _keys(of_container.headers, "container")]
    return found


def _keys(headers: Any, kind: str) -> Iterable[bytes]:
    for name in _KEYS:
        if value := headers.get(f"x-{kind}-meta-{name}"):
            yield value.encode("utf-8", "surrogateescape")


def read(signature: str) -> tuple[str, str]:
    """The digest's name and the signature in hexadecimal, from hexadecimal or `NAME:BASE64`. Raises ValueError."""
    name, colon, text = signature.partition(":")
    if colon:
        try:
            raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "==")
        except binascii.Error:
            raise ValueError("no signature") from None
        return name, raw.hex()
    if not _HEX.fullmatch(signature) or len(signature) not in _BY_LENGTH:
        raise ValueError("no signature")
    return _BY_LENGTH[len(signature)], signature.lower()
