"""What a new password must be like, when the next one is due, and which ones came before.

https://docs.openstack.org/keystone/latest/admin/configuration.html#security-compliance-and-pci-dss
"""

from datetime import timedelta
from functools import lru_cache
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store

from . import model
from .config import IdentityConfig
from .errors import PasswordLocked, PasswordTooYoung, PasswordUsedBefore, WeakPassword
from .passwords import hash_password, is_password

_MATCHING_S = 0.1  # an operator's pattern must not let a user's password keep the process busy


def check_strength(password: str, config: IdentityConfig) -> None:
    """Raises `WeakPassword`."""
    if not config.password_regex:
        return
    try:
        strong = _pattern(config.password_regex).match(password, timeout=_MATCHING_S) is not None
    except TimeoutError:
        strong = False
    if not strong:
        raise WeakPassword(reason=config.password_regex_description or "it is too weak")


async def check_change(store: Store, user: Row, new: str, config: IdentityConfig) -> None:
    """Whether a user may exchange the own password for `new`. Raises `BadRequest`s."""
    if user.options.get("lock_password"):
        raise PasswordLocked()
    days = config.minimum_password_age_days
    if days and user.password_is_own and user.password_created_at is not None:
        left = user.password_created_at + timedelta(days=days) - now()
        if left > timedelta():
            raise PasswordTooYoung(min_age_days=days, days_left=left.days)
    check_strength(new, config)
    last = max(config.unique_last_password_count, 1)
    used = [user.password_hash, *await _old_hashes(store, user.id)]
    for one in used[:last]:
        if one is not None and await is_password(new, one, config.bcrypt_rounds):
            raise PasswordUsedBefore(unique_count=last)


async def columns_of(
    password: str | None, options: dict[str, Any], config: IdentityConfig, *, is_own: bool = False
) -> dict[str, Any]:
    """What a new password is in the user's row. `is_own`: the user chose it, and no administrator."""
    if password is None:
        return {"password_hash": None, "password_created_at": None, "password_expires_at": None}
    at = now()
    expires_at = None
    if config.password_expires_days:
        expires_at = at + timedelta(days=config.password_expires_days)
    must_change = config.change_password_upon_first_use and not options.get(
        "ignore_change_password_upon_first_use"
    )
    if must_change and not is_own:
        expires_at = at
    return {
        "password_hash": await hash_password(password, config.bcrypt_rounds),
        "password_created_at": at,
        "password_expires_at": expires_at,
        "password_is_own": is_own,
        "failed_log_ins": 0,
        "failed_at": None,
    }


async def keep_old(store: Store, user: Row, config: IdentityConfig) -> None:
    """Remember the hash that is about to be replaced, and no more of them than are asked for."""
    keep = config.unique_last_password_count - 1
    if user.password_hash is None or keep < 1:
        return
    async with store.transaction() as tx:
        await tx.insert(model.OLD_PASSWORDS, user_id=user.id, password_hash=user.password_hash)
        rows = await tx.all(model.OLD_PASSWORDS, {"user_id": user.id}, order="-created_at")
        if len(rows) > keep:
            await tx.delete(model.OLD_PASSWORDS, id=[row.id for row in rows[keep:]])


async def _old_hashes(store: Store, user_id: str) -> list[str]:
    rows = await store.all(model.OLD_PASSWORDS, {"user_id": user_id}, order="-created_at")
    return [row.password_hash for row in rows]


@lru_cache(maxsize=8)
def _pattern(text: str) -> Any:
    import regex  # 20 ms, for clouds that have a pattern

    return regex.compile(text)
