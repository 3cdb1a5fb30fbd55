"""Quotas: how much a project may have. Use is counted from the rows themselves, so no counter can drift.

A room lists what it limits, once: `QUOTAS = Quotas("volume", Quota("volumes", 10, count_volumes), …)`, and
checks in the transaction that inserts the rows. A limit comes from the project's own row, else from the row
of `EVERYONE`, else from the code; -1 is no limit. Before all of these go unified limits, which the identity room
keeps for every room: a room that obeys them asks for them before its transaction and hands them to `check`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .db import Store, Transaction
from .errors import OverQuota
from .model import quota_limits

UNLIMITED = -1
EVERYONE = "*"  # in the place of a project id: the default limits an operator has set

Count = Callable[[Transaction, str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Quota:
    """One limited resource; `await count(tx, project_id)` answers how much of it the project has now."""

    name: str
    default: int
    count: Count


@dataclass(frozen=True, slots=True)
class UnifiedLimits:
    """What the identity room limits one project to; resources that are not registered there are in neither.

    `own` is the project's own limit of each resource, else the registered default. `shared` bounds what `projects`
    have together: those of the project's domain, where limits are shared (`strict_two_level`).
    """

    own: Mapping[str, int]
    shared: Mapping[str, int] = field(default_factory=dict)
    projects: tuple[str, ...] = ()


class Quotas:
    """The limits of one room. `error` is the room's own `OverQuota`, raised with resource, asked, used,
    limit.
    """

    def __init__(self, service: str, *quotas: Quota, error: Callable[..., Exception] = OverQuota) -> None:
        self.service = service
        self.error = error
        self._quotas = {quota.name: quota for quota in quotas}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._quotas)

    async def check(
        self,
        tx: Transaction,
        project_id: str,
        asked: Mapping[str, int],
        unified: UnifiedLimits | None = None,
    ) -> None:
        """Raise the room's `OverQuota` unless `asked` more of each resource still fits.

        Call it in the transaction that then inserts the rows: until that ends no other check for the project
        goes on, so two at once cannot both take the last place. `unified` limits go before the room's own.
        """
        shared = unified.shared if unified is not None else {}
        # Who shares a limit waits for each other: one lock for all of them, by whichever of their ids is the least.
        sharers = sorted({project_id, *(unified.projects if unified is not None and shared else ())})
        await tx.lock(f"quota.{self.service}.{sharers[0]}")
        limits = await self.limits(tx, project_id) | dict(unified.own if unified is not None else {})
        for name, count in asked.items():
            if count <= 0:
                continue
            bounds = [(limits[name], [project_id]), (shared.get(name, UNLIMITED), sharers)]
            for limit, among in bounds:
                if limit == UNLIMITED:
                    continue
                used = sum([await self._quotas[name].count(tx, one) for one in among])
                if used + count > limit:
                    raise self.error(resource=name, asked=count, used=used, limit=limit)

    async def limits(self, db: Store | Transaction, project_id: str = EVERYONE) -> dict[str, int]:
        """Limit of each resource for the project; for `EVERYONE`, the defaults in force."""
        rows = await db.all(quota_limits, {"service": self.service, "project_id": (EVERYONE, project_id)})
        limits = {quota.name: quota.default for quota in self._quotas.values()}
        for row in sorted(rows, key=lambda row: bool(row.project_id != EVERYONE)):
            if row.resource in limits:
                limits[row.resource] = row.limit
        return limits

    async def projects(self, db: Store | Transaction) -> list[str]:
        """Projects with limits of their own; `EVERYONE` is among them if an operator set defaults."""
        rows = await db.all(quota_limits, {"service": self.service}, order="project_id")
        return list(dict.fromkeys(row.project_id for row in rows))

    async def usage(self, tx: Transaction, project_id: str) -> dict[str, int]:
        """How much of each resource the project has now."""
        return {quota.name: await quota.count(tx, project_id) for quota in self._quotas.values()}

    async def set_limits(self, tx: Transaction, project_id: str, limits: Mapping[str, int]) -> None:
        """Give the project limits of its own; resources that are not named keep theirs."""
        for name, limit in limits.items():
            if name not in self._quotas:
                raise KeyError(f"{self.service} has no quota named {name}")
            key: dict[str, Any] = {"project_id": project_id, "service": self.service, "resource": name}
            if not await tx.update(quota_limits, key, limit=limit):
                await tx.insert(quota_limits, **key, limit=limit)

    async def reset(self, tx: Transaction, project_id: str) -> None:
        """Back to the defaults."""
        await tx.delete(quota_limits, project_id=project_id, service=self.service)
