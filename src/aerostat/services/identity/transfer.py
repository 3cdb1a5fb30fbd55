"""What a file may say of domains, projects, users, groups, roles and assignments, and writing it from the rows.

For moving from another cloud, or to one: ids and password hashes are kept, so things that belong to a project find it
again and users keep their passwords. `transfer_in.py` reads such a file.

A reference to something is its id, or its name where that is enough to tell it.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from aerostat.kernel.db import Store, Transaction

from . import model

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\S")]
LongName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
Options = dict[str, Any]


class Thing(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the others have in common. Without an id it is found by its name, or made with a new one."""

    id: Id | None = None
    extra: Options = field(default_factory=dict)


class Domain(Thing):
    name: Name
    description: str = ""
    enabled: bool = True
    tags: list[str] = field(default_factory=list)
    options: Options = field(default_factory=dict)


class Project(Thing):
    name: Name
    domain: str
    parent: str | None = None
    description: str = ""
    enabled: bool = True
    tags: list[str] = field(default_factory=list)
    options: Options = field(default_factory=dict)


class Role(Thing):
    name: LongName
    domain: str | None = None
    description: str | None = None
    options: Options = field(default_factory=dict)
    implies: list[str] = field(default_factory=list)


class User(Thing):
    name: LongName
    domain: str
    password_hash: str | None = None
    password_expires_at: datetime | None = None
    default_project: str | None = None
    description: str | None = None
    email: Annotated[str, Meta(max_length=255)] | None = None
    enabled: bool = True
    options: Options = field(default_factory=dict)


class Group(Thing):
    name: Name
    domain: str
    description: str = ""
    members: list[str] = field(default_factory=list)


class Assignment(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A role for a user or a group, on a project, a domain or the system (`system: true`)."""

    role: str
    user: str | None = None
    group: str | None = None
    project: str | None = None
    domain: str | None = None
    system: bool = False
    inherited: bool = False


class Document(Struct, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    domains: list[Domain] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)


async def written(store: Store) -> Document:
    """All that is there, as one moment had it. References are ids."""
    async with store.snapshot() as tx:
        places = await tx.all(model.PROJECTS, order="id")
        return Document(
            version=1,
            domains=[
                Domain(**_common(row), tags=row.tags, enabled=row.enabled, options=row.options)
                for row in places
                if row.is_domain
            ],
            roles=await _roles(tx),
            projects=[
                Project(
                    **_common(row),
                    domain=row.domain_id,
                    parent=row.parent_id,
                    tags=row.tags,
                    enabled=row.enabled,
                    options=row.options,
                )
                for row in places
                if not row.is_domain
            ],
            users=[
                User(
                    **_common(row),
                    domain=row.domain_id,
                    password_hash=row.password_hash,
                    password_expires_at=row.password_expires_at,
                    default_project=row.default_project_id,
                    email=row.email,
                    enabled=row.enabled,
                    options=row.options,
                )
                for row in await tx.all(model.USERS, order="id")
            ],
            groups=await _groups(tx),
            assignments=[_assignment(row) for row in await tx.all(model.ASSIGNMENTS, order="role_id")],
        )


def _common(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "description": row.description, "extra": row.extra}


async def _roles(tx: Transaction) -> list[Role]:
    implied: dict[str, list[str]] = {}
    for row in await tx.all(model.IMPLIED_ROLES, order="implied_role_id"):
        implied.setdefault(row.prior_role_id, []).append(row.implied_role_id)
    return [
        Role(
            **_common(row),
            domain=row.domain_id or None,
            options=row.options,
            implies=implied.get(row.id, []),
        )
        for row in await tx.all(model.ROLES, order="id")
    ]


async def _groups(tx: Transaction) -> list[Group]:
    members: dict[str, list[str]] = {}
    for row in await tx.all(model.MEMBERSHIPS, order="user_id"):
        members.setdefault(row.group_id, []).append(row.user_id)
    return [
        Group(**_common(row), domain=row.domain_id, members=members.get(row.id, []))
        for row in await tx.all(model.GROUPS, order="id")
    ]


def _assignment(row: Any) -> Assignment:
    actor = {row.actor_kind: row.actor_id}
    target: dict[str, Any] = {row.target_kind: True if row.target_kind == "system" else row.target_id}
    return Assignment(role=row.role_id, inherited=row.inherited, **actor, **target)
