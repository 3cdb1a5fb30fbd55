"""How much of images a project may have: its unified limits, which the identity room keeps.

https://docs.openstack.org/glance/latest/admin/quotas.html. A resource that has no registered limit is not limited. Use
is counted from the rows. As upstream does it, a size is looked at before the bytes come, and not while: a project over
its limit sends no more, and one just below it may come to be over it by one image.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import func, select

from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Transaction
from aerostat.kernel.http import Request
from aerostat.kernel.quota import UNLIMITED, UnifiedLimits
from aerostat.services.identity.client import IdentityClient

from . import model
from .errors import OverLimit

_MIB = 1 << 20


async def _size_total(tx: Transaction, project_id: str) -> int:
    images, copies = model.IMAGES, model.LOCATIONS
    joined = select(func.coalesce(func.sum(images.c.size), 0).label("total")).where(
        images.c.owner == project_id, images.c.id == copies.c.image_id, copies.c.state == "kept"
    )
    return int((await tx.fetch(joined))[0].total) // _MIB


async def _stage_total(tx: Transaction, project_id: str) -> int:
    images = model.IMAGES
    staged = select(func.coalesce(func.sum(images.c.staged_bytes), 0).label("total")).where(
        images.c.owner == project_id, images.c.status.in_(("uploading", "importing"))
    )
    return int((await tx.fetch(staged))[0].total) // _MIB


async def _count_total(tx: Transaction, project_id: str) -> int:
    return await tx.count(model.IMAGES, owner=project_id)


async def _count_uploading(tx: Transaction, project_id: str) -> int:
    images = model.IMAGES
    at_work = select(func.count().label("total")).where(
        images.c.owner == project_id,
        images.c.status.in_(("saving", "uploading", "importing")) | (images.c.import_task.is_not(None)),
    )
    return int((await tx.fetch(at_work))[0].total)


USES: Mapping[str, Callable[[Transaction, str], Awaitable[int]]] = {
    "image_size_total": _size_total,
    "image_stage_total": _stage_total,
    "image_count_total": _count_total,
    "image_count_uploading": _count_uploading,
}
"""By the name of a limit; sizes are in MiB."""


async def check(req: Request, project_id: str | None, **asked: int) -> None:
    """Raises `OverLimit` unless `asked` more of each resource still fits: `image_count_uploading=1`.

    0 asks whether there is more than may be already.
    """
    limits = await limits_of(req, project_id)
    if limits is not None:
        async with req.db.snapshot() as tx:
            await check_in(tx, project_id, limits, **asked)


async def check_in(
    tx: Transaction, project_id: str | None, limits: UnifiedLimits | None, **asked: int
) -> None:
    """As `check`, in a transaction that then takes what was asked for: until it ends no other goes on."""
    if project_id is None or limits is None:
        return
    await tx.lock(f"quota.image.{min((project_id, *limits.projects))}")
    for name, more in asked.items():
        bounds = ((limits.own, (project_id,)), (limits.shared, limits.projects))
        for limit, among in ((of.get(name, UNLIMITED), among) for of, among in bounds):
            if limit == UNLIMITED:
                continue
            used = sum([await USES[name](tx, one) for one in among])
            if used + more > limit:
                raise OverLimit(name=name, asked=more, used=used, limit=limit)


async def usage(req: Request) -> dict[str, Any]:
    """By resource what the caller's project has and may have; nothing, where nothing is limited."""
    project_id = req.context.project_id
    limits = await limits_of(req, project_id)
    if project_id is None or limits is None:
        return {}
    async with req.db.snapshot() as tx:
        return {
            name: {"usage": await use(tx, project_id), "limit": limits.own[name]}
            for name, use in USES.items()
            if name in limits.own
        }


async def limits_of(req: Request, project_id: str | None) -> UnifiedLimits | None:
    """None where nobody keeps any. Asked for before a transaction."""
    if project_id is None or "identity" not in req.house.services:
        return None
    identity: IdentityClient = req.house.client("identity", internal_context(req.request_id, "image"))
    return await identity.limits_of("image", project_id)
