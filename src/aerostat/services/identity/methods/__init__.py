"""The ways to prove who one is. Each is a function from the body's part to a `Proof`; it raises `Unauthorized`."""

from collections.abc import Awaitable, Callable
from typing import Any

from aerostat.kernel.http import Request

from .application_credential import by_application_credential
from .oauth1 import by_oauth1
from .password import by_password
from .proof import Proof, refused
from .token import by_token
from .totp import by_totp

Method = Callable[[Request, Any], Awaitable[Proof]]

METHODS: dict[str, Method] = {
    "password": by_password,
    "token": by_token,
    "totp": by_totp,
    "application_credential": by_application_credential,
    "oauth1": by_oauth1,
}

__all__ = ["METHODS", "Method", "Proof", "refused"]
