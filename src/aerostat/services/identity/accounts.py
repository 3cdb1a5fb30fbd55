"""When an account lets somebody in: enabled, used lately, not locked, not slowed down after wrong passwords.

Failures are counted in the user's row, so all processes count together. A right password is refused while the account
waits, with the same words as a wrong one; so guessing many at once is no way around it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store

from . import model
from .config import IdentityConfig

_LONGEST_WAIT_S = 30


def is_enabled(user: Mapping[str, Any], config: IdentityConfig) -> bool:
    """Whether the account is on, and was not forgotten about (`disable_user_account_days_inactive`)."""
    days = config.disable_user_account_days_inactive
    if not user["enabled"] or not days or user["options"].get("ignore_user_inactivity"):
        return bool(user["enabled"])
    used_at: datetime = user["last_active_at"] or user["created_at"]
    return (now().date() - used_at.date()).days < days


def is_waiting(user: Row, config: IdentityConfig) -> bool:
    """Whether nobody may log in now, because there were too many wrong passwords."""
    if user.failed_at is None or user.options.get("ignore_lockout_failure_attempts"):
        return False
    failures = user.failed_log_ins
    if _locks(failures, config):
        return not _is_lock_over(user, config)
    if not config.slow_after_failures or failures < config.slow_after_failures:
        return False
    wait_s = min(2 ** (failures - config.slow_after_failures), _LONGEST_WAIT_S)
    return bool(now() < user.failed_at + timedelta(seconds=wait_s))


def is_expired(user: Row) -> bool:
    """Whether the password must be changed before it lets in."""
    if user.password_expires_at is None or user.options.get("ignore_password_expiry"):
        return False
    return bool(user.password_expires_at <= now())


async def note_failure(store: Store, user: Row, config: IdentityConfig) -> None:
    """One wrong password more; the first, if the last ones led to a lock that is over."""
    over = _locks(user.failed_log_ins, config) and _is_lock_over(user, config)
    users = model.USERS.c
    statement = (
        update(model.USERS)
        .where(users.id == user.id)
        .values(failed_log_ins=1 if over else users.failed_log_ins + 1, failed_at=now())
    )
    async with store.transaction() as tx:
        await tx.execute(statement)


async def note_success(store: Store, user: Row) -> None:
    """Forget the failures."""
    if user.failed_log_ins:
        await store.update(model.USERS, {"id": user.id}, failed_log_ins=0, failed_at=None)


async def note_use(store: Store, user: Row, config: IdentityConfig) -> None:
    """Remember the day, if accounts that nobody uses are disabled; once a day."""
    last = user.last_active_at
    if config.disable_user_account_days_inactive and (last is None or last.date() != now().date()):
        await store.update(model.USERS, {"id": user.id}, last_active_at=now())


def _locks(failures: int, config: IdentityConfig) -> bool:
    return bool(config.lockout_failure_attempts) and failures >= config.lockout_failure_attempts


def _is_lock_over(user: Row, config: IdentityConfig) -> bool:
    if not config.lockout_duration_s:
        return False
    return bool(now() >= user.failed_at + timedelta(seconds=config.lockout_duration_s))
