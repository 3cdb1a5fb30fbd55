"""Identity's settings."""

from typing import Literal

import msgspec


class IdentityConfig(msgspec.Struct, frozen=True, kw_only=True):
    token_lifetime_s: int = 14400
    """How long a token is good for."""
    allow_expired_window_s: int = 172800
    """How long after its end a token is still taken when a service vouches for its user (`X-Service-Token`)."""
    receipt_lifetime_s: int = 300
    """How long somebody who proved one factor of several has for the others."""
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
    slow_after_failures: int = 5
    """After so many wrong passwords in a row each further one makes the account wait, 1 s, 2 s … 30 s. 0: never."""
    lockout_failure_attempts: int = 0
    """So many wrong passwords in a row lock the account. 0: never."""
    lockout_duration_s: int = 1800
    """How long an account stays locked. 0: until an administrator gives it a new password or enables it anew."""
    password_expires_days: int = 0
    """So long after it was set a password must be changed. 0: never."""
    unique_last_password_count: int = 0
    """A new password must differ from so many of the last ones, the present one included. 0: from the present one."""
    minimum_password_age_days: int = 0
    """A user may not change a self-chosen password again before that. 0: at any time."""
    change_password_upon_first_use: bool = False
    """A password that an administrator set must be changed by the user before it lets in."""
    password_regex: str = ""
    """What a password must match, whole. Empty: anything goes."""
    password_regex_description: str = ""
    """What users are told when theirs does not match."""
    disable_user_account_days_inactive: int = 0
    """An account that nobody used for so long counts as disabled. 0: never."""
    totp_previous_windows: int = 1
    """How many passcodes before the present one are taken, for clocks that are late (30 s each)."""
    max_redelegation_count: int = 3
    """How often a trust may be handed on."""
    oauth1_request_token_lifetime_s: int = 28800
    """How long an OAuth request may wait for its user. 0: for ever."""
    oauth1_access_token_lifetime_s: int = 86400
    """How long an OAuth access token is good for. 0: until it is deleted."""
