"""Taking in a file of domains, projects, users, groups, roles and assignments: whole, or not at all.

What is there already is found by its id, else by its name, and becomes what the file says; what the file does not name
stays. So a file may be taken in twice, and nothing changes the second time.
"""

from collections import defaultdict
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec
from sqlalchemy import Table

from aerostat.kernel import ids
from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Store, Transaction

from . import model
from .passwords import check_form
from .transfer import Assignment, Document, Group, Project, Role, Thing, User

MOST_TOLD = 20


class Refused(Exception):
    """The file cannot be taken in; one reason a line."""


class Outcome(msgspec.Struct):
    """How many things were made, changed, and found as they should be."""

    made: int = 0
    changed: int = 0
    same: int = 0


def read(data: Any) -> Document:
    """Plain data as a document. Raises `Refused`."""
    try:
        return msgspec.convert(data, Document)
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from None


async def take_in(store: Store, document: Document, *, dry_run: bool = False) -> Outcome:
    """Make the rows what `document` says; with `dry_run` change nothing. Raises `Refused`; then nothing has changed."""
    intake = _Intake(document)
    try:
        async with store.transaction() as tx:
            await intake.run(tx)
            if intake.problems:
                raise Refused("\n".join(intake.told()))
            if dry_run:
                raise _Enough
    except _Enough:
        pass
    return intake.outcome


class _Enough(Exception):
    """Ends a transaction of which nothing is to stay."""


class _Known:
    """Things of one kind, by id and by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows: dict[str, Row] = {}
        self._aliases: dict[str, str] = {}  # ids of the file for things that are here under others
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._keys: dict[tuple[str, str], str] = {}

    def add(self, row: Row, alias: str | None = None) -> None:
        self.rows[row.id] = row
        self._names[row.name].add(row.id)
        self._keys[row.get("domain_id") or "", row.name] = row.id
        if alias is not None:
            self._aliases[alias] = row.id

    def same(self, thing: Any, domain_id: str) -> Row | None:
        """What is here for a thing of the file. Raises `Refused` when its id and its name mean two."""
        by_id = self.rows.get(thing.id) if thing.id is not None else None
        by_name = self.rows.get(self._keys.get((domain_id, thing.name), ""))
        if by_id is not None and by_name is not None and by_id.id != by_name.id:
            raise Refused(f"its id is that of {by_id.name}, its name that of {by_name.id}")
        if by_id is not None and (by_id.get("domain_id") or "") != domain_id:
            raise Refused(f"{by_id.id} is in another domain")
        return by_id or by_name

    def find(self, text: str) -> str:
        """The id that a reference means. Raises `Refused`."""
        if text in self._aliases:
            return self._aliases[text]
        if text in self.rows:
            return text
        named = self._names.get(text, set())
        if len(named) != 1:
            few = "several are called" if named else "there is no"
            raise Refused(
                f"{few} {self.kind} {text}" if not named else f"{few} {text}: say the {self.kind}'s id"
            )
        return next(iter(named))


class _Intake:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.outcome = Outcome()
        self.problems: list[str] = []
        self.domains, self.projects = _Known("domain"), _Known("project")
        self.users, self.groups, self.roles = _Known("user"), _Known("group"), _Known("role")
        self._ended: list[dict[str, str]] = []  # whose tokens end

    def told(self) -> list[str]:
        more = len(self.problems) - MOST_TOLD
        return [*self.problems[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]

    async def run(self, tx: Transaction) -> None:
        for row in await tx.all(model.PROJECTS):
            (self.domains if row.is_domain else self.projects).add(row)
        for known, table in (
            (self.users, model.USERS),
            (self.groups, model.GROUPS),
            (self.roles, model.ROLES),
        ):
            for row in await tx.all(table):
                known.add(row)
        await self._domains(tx)
        await self._roles(tx)
        await self._projects(tx)
        await self._users(tx)
        await self._groups(tx)
        await self._assignments(tx)
        for whose in self._ended:
            await tx.insert(model.REVOCATIONS, issued_before=now(), revoked_at=now(), **whose)

    async def _domains(self, tx: Transaction) -> None:
        for index, one in enumerate(self.document.domains):
            with self._at("domains", index, one.name):
                columns = {**_columns(one), "is_domain": True}
                await self._put(tx, self.domains, model.PROJECTS, one, columns, "", "domain_id")

    async def _roles(self, tx: Transaction) -> None:
        for index, one in enumerate(self.document.roles):
            with self._at("roles", index, one.name):
                domain_id = self.domains.find(one.domain) if one.domain else ""
                columns = {**_columns(one), "domain_id": domain_id}
                await self._put(tx, self.roles, model.ROLES, one, columns, domain_id)
        for index, one in enumerate(self.document.roles):
            for text in one.implies:
                with self._at("roles", index, one.name):
                    await self._imply(tx, one, text)

    async def _imply(self, tx: Transaction, one: Role, text: str) -> None:
        prior, following = self.roles.rows[self._own(self.roles, one)], self.roles.rows[self.roles.find(text)]
        if following.name == "admin":
            raise Refused("admin cannot be implied")
        if following.domain_id and not prior.domain_id:
            raise Refused(f"a role of all domains cannot imply one of a domain, {following.name}")
        link = {"prior_role_id": prior.id, "implied_role_id": following.id}
        await self._link(tx, model.IMPLIED_ROLES, link)

    async def _projects(self, tx: Transaction) -> None:
        for index in self._parents_first():
            one = self.document.projects[index]
            with self._at("projects", index, one.name):
                domain_id = self.domains.find(one.domain)
                top = one.parent is None or one.parent == one.domain
                parent_id = domain_id if top or one.parent is None else self._parent(one.parent, domain_id)
                columns = {**_columns(one), "domain_id": domain_id, "parent_id": parent_id}
                await self._put(tx, self.projects, model.PROJECTS, one, columns, domain_id, "project_id")

    def _parent(self, text: str, domain_id: str) -> str:
        if text == domain_id:
            return domain_id
        parent = self.projects.rows[self.projects.find(text)]
        if parent.domain_id != domain_id:
            raise Refused(f"its parent {parent.name} is in another domain")
        return str(parent.id)

    def _parents_first(self) -> list[int]:
        projects: list[Project] = self.document.projects
        places = {one.id or one.name: index for index, one in enumerate(projects)}
        graph = {
            index: [places[one.parent]] if one.parent in places else [] for index, one in enumerate(projects)
        }
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            names = " > ".join(projects[index].name for index in error.args[1])
            self.problems.append(f"projects: they lie in one another: {names}")
            return []

    async def _users(self, tx: Transaction) -> None:
        for index, one in enumerate(self.document.users):
            with self._at("users", index, one.name):
                domain_id = self.domains.find(one.domain)
                columns = self._columns_of_user(one, domain_id)
                await self._put(tx, self.users, model.USERS, one, columns, domain_id, "user_id")

    def _columns_of_user(self, one: User, domain_id: str) -> dict[str, Any]:
        columns = {**_columns(one), "domain_id": domain_id}
        columns["email"] = one.email
        columns["default_project_id"] = (
            self.projects.find(one.default_project) if one.default_project else None
        )
        if one.password_hash is not None:
            try:
                check_form(one.password_hash)
            except ValueError as error:
                raise Refused(f"its password_hash {error}") from None
            columns["password_hash"] = one.password_hash
            columns["password_expires_at"] = _utc(one.password_expires_at)
        return columns

    async def _groups(self, tx: Transaction) -> None:
        for index, one in enumerate(self.document.groups):
            with self._at("groups", index, one.name):
                domain_id = self.domains.find(one.domain)
                columns = {**_columns(one), "domain_id": domain_id}
                await self._put(tx, self.groups, model.GROUPS, one, columns, domain_id)
            await self._members(tx, index, one)

    async def _members(self, tx: Transaction, index: int, one: Group) -> None:
        for text in one.members:
            with self._at("groups", index, one.name):
                link = {"user_id": self.users.find(text), "group_id": self._own(self.groups, one)}
                await self._link(tx, model.MEMBERSHIPS, link)

    async def _assignments(self, tx: Transaction) -> None:
        for index, one in enumerate(self.document.assignments):
            with self._at("assignments", index):
                await self._link(tx, model.ASSIGNMENTS, self._assignment(one))

    def _assignment(self, one: Assignment) -> dict[str, Any]:
        actors = [
            (kind, text) for kind, text in (("user", one.user), ("group", one.group)) if text is not None
        ]
        targets: list[tuple[str, Any]] = [("project", one.project), ("domain", one.domain)]
        targets = [pair for pair in targets if pair[1] is not None] + (
            [("system", "all")] if one.system else []
        )
        if len(actors) != 1 or len(targets) != 1:
            raise Refused("it needs one of user and group, and one of project, domain and system")
        (actor_kind, actor), (target_kind, target) = actors[0], targets[0]
        known = {"user": self.users, "group": self.groups, "project": self.projects, "domain": self.domains}
        if one.inherited and target_kind == "system":
            raise Refused("nothing inherits from the system")
        return {
            "actor_kind": actor_kind,
            "actor_id": known[actor_kind].find(actor),
            "target_kind": target_kind,
            "target_id": target if target_kind == "system" else known[target_kind].find(target),
            "role_id": self.roles.find(one.role),
            "inherited": one.inherited,
        }

    async def _put(
        self,
        tx: Transaction,
        known: _Known,
        table: Table,
        one: Thing,
        columns: dict[str, Any],
        domain_id: str,
        revoked_by: str | None = None,
    ) -> None:
        """Make the row, or change what differs. `revoked_by`: how its tokens are named, if they end when it changes."""
        row = known.same(one, domain_id)
        if row is None:
            try:
                made = await tx.insert(table, id=one.id or ids.new_hex_id(), **columns)
            except Duplicate:
                raise Refused("its id or its name is taken by something of another kind") from None
            known.add(made, one.id)
            self.outcome.made += 1
            return
        if "options" in columns:
            columns["options"] = {**row.options, **columns["options"]}
        changes = {name: value for name, value in columns.items() if row[name] != value}
        known.add(Row({**row, **changes}), one.id)
        if not changes:
            self.outcome.same += 1
            return
        await tx.update(table, {"id": row.id}, **changes)
        self.outcome.changed += 1
        if revoked_by is not None and ("password_hash" in changes or changes.get("enabled") is False):
            self._ended.append({revoked_by: row.id})

    async def _link(self, tx: Transaction, table: Table, link: dict[str, Any]) -> None:
        if await tx.find(table, **link) is not None:
            self.outcome.same += 1
            return
        await tx.insert(table, **link)
        self.outcome.made += 1

    def _own(self, known: _Known, one: Any) -> str:
        if one.id is not None:
            return known.find(one.id)
        domain_id = self.domains.find(one.domain) if one.domain else ""
        row = known.same(one, domain_id)
        if row is None:
            raise Refused("it was refused itself")
        return str(row.id)

    def _at(self, kind: str, index: int, name: str = "") -> "_Place":
        return _Place(self.problems, f"{kind}[{index}]" + (f" ({name})" if name else ""))


class _Place:
    """Notes what is refused inside, with the place in the file, and goes on: the person sees all of it at once."""

    def __init__(self, problems: list[str], place: str) -> None:
        self._problems = problems
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, Refused):
            self._problems.append(f"{self._place}: {error}")
            return True
        return False


def _columns(one: Any) -> dict[str, Any]:
    """The fields that are columns under their own name."""
    names = ("name", "description", "enabled", "tags", "options", "extra")
    return {name: getattr(one, name) for name in names if hasattr(one, name)}


def _utc(at: datetime | None) -> datetime | None:
    if at is None or at.tzinfo is None:
        return at
    try:
        return at.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise Refused("its password_expires_at is out of range") from None
