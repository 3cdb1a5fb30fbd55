"""Namespaces as far as the caller may know of them, and what policy says of what they hold."""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Rule

from ... import model
from ...errors import ReadOnly
from .errors import NamespaceNotFound

NAMESPACES = "/metadefs/namespaces"
NAMESPACE = NAMESPACES + "/{namespace_name}"
READ_ONLY = ("self", "schema", "created_at", "updated_at")

_SEEN = "role:admin or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"


def readers(*names: str) -> tuple[Rule, ...]:
    """Rules for what everybody may look at in a namespace that they see."""
    return tuple(Rule(name=name, text=_SEEN) for name in names)


def admins(*names: str) -> tuple[Rule, ...]:
    return tuple(Rule(name=name, text="rule:metadef_admin") for name in names)


async def find_namespace(req: Request, name: str) -> Row:
    """Raises `NamespaceNotFound` for what is not there, and for what is private to others."""
    row = await req.db.find(model.METADEF_NAMESPACES, namespace=name)
    if row is None or not _is_visible(req, row):
        raise NamespaceNotFound(namespace=name)
    return row


def check(req: Request, rule: str, namespace: Row) -> None:
    """Raises `Forbidden`; `NamespaceNotFound` when policy hides the namespace itself from the caller."""
    target = target_of(namespace)
    if not req.allows(rule, target) and not req.allows("get_metadef_namespace", target):
        raise NamespaceNotFound(namespace=namespace.namespace)
    req.check(rule, target)


def target_of(namespace: Row) -> dict[str, Any]:
    return {"project_id": namespace.owner, "visibility": namespace.visibility}


def check_writable(body: Mapping[str, Any]) -> None:
    """Raises `ReadOnly` for what a client cannot say of a definition."""
    for name in READ_ONLY:
        if name in body:
            raise ReadOnly(name=name)


def _is_visible(req: Request, row: Row) -> bool:
    return req.context.is_admin or row.visibility == "public" or row.owner == req.context.project_id
