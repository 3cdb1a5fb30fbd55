"""The catalog: every service with its endpoints, as tokens carry it and `/v3/auth/catalog` shows it."""

from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Store

from . import model


class Catalog:
    """Services and endpoints, read once and kept until somebody says `forget`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, list[Row]] = {}

    async def seen_by(self, context: Context) -> list[dict[str, Any]]:
        """Services with their endpoints. URLs that need a project are left out for those who have none."""
        kept = self._kept  # what is read now belongs into this one, even if it is dropped meanwhile
        if not kept:
            endpoints = await self._store.all(model.ENDPOINTS, {"enabled": True})
            services = await self._store.all(model.SERVICES, {"enabled": True}, order="type")
            kept |= {"endpoints": endpoints, "services": services}
        shown: dict[str, list[dict[str, Any]]] = {row.id: [] for row in kept["services"]}
        for row in kept["endpoints"]:
            url = _filled(row.url, context)
            if url is not None and row.service_id in shown:
                shown[row.service_id].append(
                    {
                        "id": row.id,
                        "interface": row.interface,
                        "region": row.region_id,
                        "region_id": row.region_id,
                        "url": url,
                    }
                )
        return [
            {"id": row.id, "type": row.type, "name": row.name or "", "endpoints": shown[row.id]}
            for row in kept["services"]
        ]

    def forget(self) -> None:
        """Something in identity changed: read it anew."""
        self._kept = {}


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
