"""Root secrets, and the keys that come from them: one for each path, kept nowhere.

    key of a path = HMAC-SHA256(root secret, path)

Every root secret has an id. New things are written with the active one; those of old ones stay readable as long as
the secret is told. They stand in the settings, or in a TOML file that is read again when it changes, so that a running
store takes another active secret:

    active = "2026"
    [secrets]
    2025 = "…"            # base64 of 32 bytes or more
    2026 = "…"
"""

import base64
import hmac
import os
import re
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import structlog

from aerostat.kernel.config import ConfigError

LEAST_BYTES = 32
LOOK_AGAIN_S = 1.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

log = structlog.get_logger(__name__)


class SecretError(ConfigError):
    """Root secrets that cannot be used; the text tells no secret."""


class UnknownSecret(Exception):
    """Something was written with a root secret that is not told. `secret_id` says which."""

    def __init__(self, secret_id: str) -> None:
        super().__init__(secret_id)
        self.secret_id = secret_id


class Keymaster:
    """See the module. Its secrets have no way into a log: it shows ids only."""

    def __init__(self, secrets: Mapping[str, str], active: str | None, file: Path | None = None) -> None:
        """`secrets`: base64 by id. `active` may be left out where there is one. Raises `SecretError`, OSError."""
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._looked_s = 0.0
        if file is not None:
            self._stamp = _stamp(file)
            secrets, active = _read(file)
        self._secrets, self.active = _checked(secrets, active)

    @property
    def ids(self) -> list[str]:
        return sorted(self._secrets)

    def active_id(self) -> str:
        """The one to write with, as it is now."""
        self._look()
        return self.active

    def key(self, secret_id: str, path: str) -> bytes:
        """32 bytes, the same for the same path. Raises `UnknownSecret`."""
        secret = self._secrets.get(secret_id)
        if secret is None:
            self._looked_s = 0.0
            self._look()
            secret = self._secrets.get(secret_id)
        if secret is None:
            raise UnknownSecret(secret_id)
        return hmac.digest(secret, path.encode("utf-8", "surrogateescape"), "sha256")

    def _look(self) -> None:
        """Whether the file has changed. One that makes no sense is told in the log, and the old one stands."""
        now_s = time.monotonic()
        if self._file is None or now_s - self._looked_s < LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        try:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._secrets, self.active = _checked(*_read(self._file))
            log.info("root secrets read again", ids=self.ids, active=self.active)
        except (OSError, SecretError) as error:
            log.error(
                "root secrets cannot be read; the old ones stand", file=str(self._file), reason=str(error)
            )


def _stamp(file: Path) -> tuple[int, int, int]:
    status = os.stat(file)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(file: Path) -> tuple[Mapping[str, str], str | None]:
    try:
        content = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SecretError(f"{file} is no TOML.") from None
    secrets = content.get("secrets", {})
    if not isinstance(secrets, dict):
        raise SecretError(f"{file} has no table [secrets].")
    return secrets, content.get("active")


def _checked(secrets: Mapping[str, str], active: str | None) -> tuple[dict[str, bytes], str]:
    found = {}
    for secret_id, text in secrets.items():
        if not _ID.fullmatch(secret_id):
            raise SecretError(
                f"{secret_id!r} is no id of a root secret: letters, digits, dash and underscore are."
            )
        try:
            secret = base64.b64decode(text, validate=True)
        except (ValueError, TypeError):
            raise SecretError(f"The root secret {secret_id} is not base64.") from None
        if len(secret) < LEAST_BYTES:
            raise SecretError(f"The root secret {secret_id} has fewer than {LEAST_BYTES} bytes.")
        found[secret_id] = secret
    if active is None and len(found) == 1:
        (active,) = found
    if active is None or active not in found:
        raise SecretError(f"There is no root secret of the active id {active}.")
    return found, active
