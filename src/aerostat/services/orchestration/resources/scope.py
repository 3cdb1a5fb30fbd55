"""Whose stack a path names, and where it really stands.

A stack is named by its name, its id, or both. What is not named by both is sent to the full path (302).
"""

from urllib.parse import quote

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term, admin, project_member, project_reader

from .. import model
from ..errors import EntityNotFound, WrongProject

MEMBER: Term = admin | project_member
READER: Term = admin | project_reader


def own_project(req: Request, project_id: str) -> str:
    """The path's project: the caller's own, or any for an administrator. Raises `WrongProject`."""
    if project_id != req.context.project_id and not req.context.is_admin:
        raise WrongProject
    return project_id


async def find_stack(req: Request, project_id: str, name: str, id: str) -> Row:
    """The stack of a full path; a deleted one can still be shown. Raises `EntityNotFound`."""
    own_project(req, project_id)
    row = await req.db.find(model.STACKS, id=id)
    if row is None or row.name != name or row.project_id != project_id:
        raise EntityNotFound(entity="Stack", name=f"{name}/{id}" if row is None else name)
    req.resource_id = id
    return row


async def find_living(req: Request, project_id: str, name: str, id: str) -> Row:
    row = await find_stack(req, project_id, name, id)
    if row.deleted_at is not None:
        raise EntityNotFound(entity="Stack", name=name)
    return row


async def identify(req: Request, project_id: str, identity: str) -> Row:
    """The stack of this name or id. Raises `EntityNotFound`."""
    own_project(req, project_id)
    row = await req.db.find(model.STACKS, project_id=project_id, live_name=identity)
    if row is None:
        row = await req.db.find(model.STACKS, id=identity)
    if row is None or row.project_id != project_id:
        raise EntityNotFound(entity="Stack", name=identity)
    return row


def stack_url(req: Request, stack: Row, *rest: str) -> str:
    path = "/".join(quote(part, safe="") for part in (stack.name, stack.id, *rest))
    return f"{req.base_url}{req.service.prefix}/v1/{stack.project_id}/stacks/{path}"


async def redirect(req: Request, project_id: str, identity: str, *rest: str) -> Response:
    """302 to the full path of the stack."""
    stack = await identify(req, project_id, identity)
    url = stack_url(req, stack, *rest)
    if req.query_string:
        url += "?" + req.query_string
    return Response(None, 302, {"Location": url})
