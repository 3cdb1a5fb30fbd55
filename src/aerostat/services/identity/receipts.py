"""Receipts: what somebody gets who proved some of the factors that the account asks for, and shows beside the rest.

https://docs.openstack.org/keystone/latest/admin/auth-receipts.html. Sealed with the token keys, and no token: what is
in it begins with a word that no token begins with.
"""

from typing import TYPE_CHECKING

import msgspec

from aerostat.kernel.clock import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import Unauthorized

from . import methods

if TYPE_CHECKING:
    from .tokens import Tokens

_MARK = b"receipt:"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    user_id: str
    methods: tuple[str, ...]
    issued_at: float
    expires_at: float


class MoreFactorsNeeded(Exception):
    """Not an error: what was proved is right, and not all of it."""

    def __init__(self, user: Row, receipt: Receipt, rules: list[list[str]]) -> None:
        super().__init__("more factors are needed")
        self.user = user
        self.receipt = receipt
        self.rules = rules


def issue(user: Row, proved: tuple[str, ...], lifetime_s: int) -> Receipt:
    at = clock.timestamp()
    return Receipt(user_id=user.id, methods=proved, issued_at=at, expires_at=at + lifetime_s)


def seal(tokens: "Tokens", receipt: Receipt) -> str:
    return tokens.keys.seal(_MARK + msgspec.msgpack.encode(receipt))


def read(tokens: "Tokens", text: str, user: Row) -> tuple[str, ...]:
    """What the user had proved when the receipt was made. Raises `Unauthorized`."""
    raw = tokens.keys.unseal(text)
    if not raw.startswith(_MARK):
        raise Unauthorized("Could not find auth receipt.")
    receipt = msgspec.msgpack.decode(raw[len(_MARK) :], type=Receipt)
    if receipt.user_id != user.id or receipt.expires_at <= clock.timestamp():
        raise Unauthorized("Could not find auth receipt.")
    return receipt.methods


def rules_of(user: Row) -> list[list[str]]:
    """The sets of methods any of which the account asks for; empty if one method is enough.

    Methods that are not known here are left out: a rule of nothing else must not lock anybody out.
    """
    options = user.options
    if options.get("multi_factor_auth_enabled") is False:
        return []
    asked = options.get("multi_factor_auth_rules") or []
    known = [[name for name in rule if name in methods.METHODS] for rule in asked]
    return [rule for rule in known if rule]
