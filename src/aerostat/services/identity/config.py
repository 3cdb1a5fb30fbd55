"""Identity's settings."""

from typing import Literal

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
    enforcement_model: Literal["flat", "strict_two_level"] = "flat"
    """How unified limits of a domain and of its projects bind each other."""
    max_project_tree_depth: int = 5
    """How deep projects may lie in one another, their domain counted."""
    list_limit: int = 0
    """A list has at most so many entries, and says so with `truncated`; 0 is no limit."""
