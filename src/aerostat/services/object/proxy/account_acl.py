"""Access control lists of whole accounts.

    X-Account-Access-Control: {"admin": […], "read-write": […], "read-only": […]}

https://docs.openstack.org/swift/latest/overview_acl.html#account-acls. Kept as a word of the store's own.
"""

import json

import msgspec

from ..http.response import Refusal

HEADER = "x-account-access-control"
KEPT = "x-account-sysmeta-core-access-control"
KINDS = ("admin", "read-write", "read-only")


class AccountAcl(msgspec.Struct, frozen=True, rename="kebab"):
    """Who may do what: names as ACLs of containers have them."""

    admin: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.admin or self.read_write or self.read_only)


def check(header: str) -> None:
    """Raises `Refusal` 400, with what is wrong about it."""
    if wrong := _fault(header):
        raise Refusal(400, f"X-Account-Access-Control invalid: {wrong}\n\nInput: {header}\n")


def _fault(header: str) -> str | None:
    if not header:
        return None
    try:
        found = msgspec.json.decode(header.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return f"Syntax error in input ({header!r})"
    for kind, names in found.items():
        if kind not in KINDS:
            return f"Key {json.dumps(kind)} not recognized"
        if not isinstance(names, list):
            return f"Value for key {json.dumps(kind)} must be a list"
        if not all(isinstance(name, str) for name in names):
            return f"Elements of {json.dumps(kind)} list must be strings"
    return None


def parse(kept: str | None) -> AccountAcl | None:
    """None where nobody is named."""
    if not kept:
        return None
    try:
        found = msgspec.json.decode(kept, type=AccountAcl)
    except msgspec.DecodeError:
        return None
    return None if found.is_empty else found


def shown(kept: str) -> str | None:
    """The header for owners, in ASCII; None where nobody is named."""
    found = parse(kept)
    if found is None:
        return None
    return json.dumps(msgspec.json.decode(kept), separators=(",", ":"), sort_keys=True)
