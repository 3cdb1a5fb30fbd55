"""Listings of an account: a container's bytes are those of its versions, too."""

from typing import TYPE_CHECKING

import msgspec

from ...http.constraints import listing_limit
from ...http.listing import ContainerRow, Listing, Row, SubdirRow, moment_of
from ...http.request import Handler, Request, is_true
from ...http.response import Response
from ...stores.listing import Asked, Subdir
from .names import container_of_versions, owner_of

if TYPE_CHECKING:
    from ...room import ObjectStore


class Accounts:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next

    async def show(self, request: Request) -> Response:
        """Also shows containers that are gone while versions of theirs are left, so that somebody sees them."""
        response = await self._next(request)
        if response.listing is None or (not response.listing.rows and not response.is_ok):
            return response
        assert request.account is not None
        query = request.query
        limit = listing_limit(request, self._room.settings.limits.account_listing_limit)
        is_reverse = is_true(query.get("reverse", ""))
        asked = Asked(
            limit=limit,
            marker=_hidden(query.get("marker")),
            end_marker=_hidden(query.get("end_marker")),
            prefix=container_of_versions(query.get("prefix", "")),
            delimiter=query.get("delimiter", ""),
            reverse=is_reverse,
        )
        found = await self._room.cluster.accounts.list(request.account, asked) if limit else None
        hidden = {owner_of(one.name): one for one in found or () if not isinstance(one, Subdir)}
        if not hidden:
            return response
        rows: list[Row] = []
        for row in response.listing.rows:
            if isinstance(row, ContainerRow) and (versions := hidden.pop(row.name, None)) is not None:
                row = msgspec.structs.replace(row, bytes=row.bytes + versions.bytes)
            rows.append(row)
        for name, versions in hidden.items():
            if versions.objects:
                rows.append(
                    ContainerRow(
                        name=name,
                        count=0,
                        bytes=versions.bytes,
                        last_modified=moment_of(versions.put_at),
                        storage_policy=self._room.policies.get(versions.policy).name,
                    )
                )
        rows.sort(key=lambda row: row.subdir if isinstance(row, SubdirRow) else row.name, reverse=is_reverse)
        response.listing = Listing("account", response.listing.name, rows[:limit])
        return response


def _hidden(name: str | None) -> str:
    return container_of_versions(name) if name else ""
