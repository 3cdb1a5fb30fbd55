"""Assignments as they take effect: groups taken apart into users, inheritance laid out, implied roles added.

Works on rows that were read before, each table once, so that a long list costs no more questions than a short one.
"""

from collections.abc import Iterable, Iterator

import msgspec

from aerostat.kernel.db import Row, Store

from . import model


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """One role of one user in one place, and the assignment it comes from."""

    user_id: str
    target_kind: str
    target_id: str
    role_id: str
    source: Row
    is_implied: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.user_id, self.target_kind, self.target_id, self.role_id


class Lookup:
    """What assignments are laid out with."""

    def __init__(
        self,
        memberships: Iterable[Row],
        projects: Iterable[Row],
        roles: Iterable[Row],
        implied: Iterable[Row],
    ) -> None:
        self._members: dict[str, list[str]] = {}
        for row in memberships:
            self._members.setdefault(row.group_id, []).append(row.user_id)
        self._in_domain: dict[str, list[str]] = {}
        self._children: dict[str, list[str]] = {}
        for row in projects:
            if not row.is_domain:
                self._in_domain.setdefault(row.domain_id, []).append(row.id)
                self._children.setdefault(row.parent_id, []).append(row.id)
        # A domain's own role stands for those it implies, and for nothing by itself.
        self._global = {row.id for row in roles if not row.domain_id}
        self._implied: dict[str, list[str]] = {}
        for row in implied:
            self._implied.setdefault(row.prior_role_id, []).append(row.implied_role_id)

    def lay_out(self, assignments: Iterable[Row]) -> Iterator[Effective]:
        """Each user, place and role once; what is assigned directly goes before what follows from other things."""
        seen: set[tuple[str, str, str, str]] = set()
        for row in sorted(assignments, key=_is_indirect):
            for one in self._of(row):
                if one.key not in seen:
                    seen.add(one.key)
                    yield one

    def _of(self, row: Row) -> Iterator[Effective]:
        for role_id in self._with_implied(row.role_id):
            for user_id in (
                self._members.get(row.actor_id, ()) if row.actor_kind == "group" else (row.actor_id,)
            ):
                for kind, id in self._places(row):
                    yield Effective(
                        user_id=user_id,
                        target_kind=kind,
                        target_id=id,
                        role_id=role_id,
                        source=row,
                        is_implied=role_id != row.role_id,
                    )

    def _with_implied(self, role_id: str) -> list[str]:
        reached, waiting = {role_id: None}, [role_id]
        while waiting:
            for following in self._implied.get(waiting.pop(), ()):
                if following not in reached:
                    reached[following] = None
                    waiting.append(following)
        return [id for id in reached if id in self._global]

    def _places(self, row: Row) -> list[tuple[str, str]]:
        if not row.inherited:
            return [(row.target_kind, row.target_id)]
        if row.target_kind == "domain":
            return [("project", id) for id in self._in_domain.get(row.target_id, ())]
        found, waiting = [], [row.target_id]
        while waiting:
            below = self._children.get(waiting.pop(), [])
            found += below
            waiting += below
        return [("project", id) for id in found]


def _is_indirect(row: Row) -> tuple[bool, bool]:
    return bool(row.inherited), row.actor_kind == "group"


async def read_lookup(store: Store) -> Lookup:
    return Lookup(
        await store.all(model.MEMBERSHIPS),
        await store.all(model.PROJECTS),
        await store.all(model.ROLES),
        await store.all(model.IMPLIED_ROLES),
    )
