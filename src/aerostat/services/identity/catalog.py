"""The catalog: every service with its endpoints, as tokens carry it and `/v3/auth/catalog` shows it."""

from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Store

from . import model


async def build_catalog(store: Store, context: Context) -> list[dict[str, Any]]:
    """Services with their enabled endpoints. URLs that need a project are left out of tokens that have none."""
    endpoints: dict[str, list[dict[str, Any]]] = {}
    for row in await store.all(model.ENDPOINTS, {"enabled": True}):
        url = _filled(row.url, context)
        if url is not None:
            endpoints.setdefault(row.service_id, []).append(
                {
                    "id": row.id,
                    "interface": row.interface,
                    "region": row.region_id,
                    "region_id": row.region_id,
                    "url": url,
                }
            )
    return [
        {"id": row.id, "type": row.type, "name": row.name or "", "endpoints": endpoints.get(row.id, [])}
        for row in await store.all(model.SERVICES, {"enabled": True}, order="type")
    ]


def _filled(url: str, context: Context) -> str | None:
    if "(" not in url:
        return url
    for form in ("%({})s", "$({})s"):
        for name, value in (
            ("project_id", context.project_id),
            ("tenant_id", context.project_id),
            ("user_id", context.user_id),
        ):
            mark = form.format(name)
            if mark in url:
                if value is None:
                    return None
                url = url.replace(mark, value)
    return url
