"""Identity's settings."""

import msgspec


class IdentityConfig(msgspec.Struct, frozen=True, kw_only=True):
    token_lifetime_s: int = 14400
    """How long a token is good for."""
    allow_expired_window_s: int = 172800
    """How long after its end a token is still taken when a service vouches for its user (`X-Service-Token`)."""
    bcrypt_rounds: int = 12
    """The cost of a password check: each one more doubles it. Clouds for tests take 4."""
    refresh_s: float = 1.0
    """After this long another process's changes (revocations, roles, disabled users) are seen at the latest."""
