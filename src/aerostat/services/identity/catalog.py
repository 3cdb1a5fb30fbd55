"""The catalog: every service with its endpoints, as tokens carry it and `/v3/auth/catalog` shows it.

A project that endpoints are associated with, by themselves or by endpoint groups, sees those and no others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Store

from . import model


class Catalog:
    """Services and endpoints, read once and kept until somebody says `forget`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, list[Row]] = {}
        self._associated: dict[str, set[str]] = {}

    async def seen_by(self, context: Context) -> list[dict[str, Any]]:
        """Services with their endpoints. URLs that need a project are left out for those who have none."""
        kept, associated = await self._read()
        only = associated.get(context.project_id or "")
        shown: dict[str, list[dict[str, Any]]] = {row.id: [] for row in kept["services"]}
        for row in kept["endpoints"]:
            if only is not None and row.id not in only:
                continue
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
            if only is None or shown[row.id]
        ]

    async def associated(self, project_id: str) -> set[str]:
        """Ids of the endpoints that a project is associated with; empty also when it therefore sees all."""
        return (await self._read())[1].get(project_id, set())

    def forget(self) -> None:
        """Something in identity changed: read it anew."""
        self._kept, self._associated = {}, {}

    async def _read(self) -> tuple[dict[str, list[Row]], dict[str, set[str]]]:
        # What is read now belongs into these, even if they are dropped meanwhile.
        kept, associated = self._kept, self._associated
        if not kept:
            endpoints = await self._store.all(model.ENDPOINTS, {"enabled": True})
            services = await self._store.all(model.SERVICES, {"enabled": True}, order="type")
            groups = {row.id: row for row in await self._store.all(model.ENDPOINT_GROUPS)}
            for pair in await self._store.all(model.PROJECT_ENDPOINT_GROUPS):
                inside = filtered(endpoints, groups[pair.endpoint_group_id].filters)
                associated.setdefault(pair.project_id, set()).update(row.id for row in inside)
            for pair in await self._store.all(model.PROJECT_ENDPOINTS):
                associated.setdefault(pair.project_id, set()).add(pair.endpoint_id)
            kept |= {"endpoints": endpoints, "services": services}
        return kept, associated


def filtered(endpoints: Sequence[Row], filters: Mapping[str, str]) -> list[Row]:
    """The endpoints that an endpoint group's filters let through: `{"interface": "public", "region_id": "x"}`."""
    return [row for row in endpoints if all(row[key] == value for key, value in filters.items())]


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
