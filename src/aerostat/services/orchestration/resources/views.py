"""Stacks as clients see them."""

from datetime import datetime
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.service import iso_z

from ..reading import OpenStack
from ..template.snippets import MOST_CHARACTERS, size_of
from .scope import stack_url

View = dict[str, Any]


def link(href: str, rel: str = "self") -> View:
    return {"href": href, "rel": rel}


def shown_time(moment: datetime | None) -> str | None:
    return iso_z(moment) if moment is not None else None


def stack_summary(req: Request, row: Row, *, with_project: bool = False) -> View:
    """One stack in a list."""
    shown = {
        "id": row.id,
        "links": [link(stack_url(req, row))],
        "stack_name": row.name,
        "description": row.description,
        "stack_status": row.state,
        "stack_status_reason": row.state_reason,
        "creation_time": shown_time(row.created_at),
        "updated_time": shown_time(row.changed_at),
        "deletion_time": shown_time(row.deleted_at),
        "stack_owner": row.user_name,
        "parent": row.parent_id,
        "stack_user_project_id": row.project_id,
        "tags": row.tags,
    }
    if with_project:
        shown["project"] = row.project_id
    return shown


async def stack_view(req: Request, stack: OpenStack, *, outputs: bool = True) -> View:
    """One stack whole. Outputs cost calls to other rooms; clients may go without."""
    row = stack.stack
    shown = stack_summary(req, row)
    shown |= {
        "template_description": stack.plan.template.description,
        "parameters": stack.plan.parameters.texts(),
        "disable_rollback": row.disable_rollback,
        "timeout_mins": row.timeout_mins,
        "notification_topics": [],
        "capabilities": [],
    }
    if outputs:
        shown["outputs"] = await _outputs(stack)
    return shown


async def _outputs(stack: OpenStack) -> list[View]:
    """All outputs, as far as an answer can hold them; each can be asked for by itself."""
    views, characters = [], 0
    for name in stack.plan.template.outputs:
        if characters > MOST_CHARACTERS:
            description = stack.plan.template.outputs[name].description
            problem = "The outputs of this stack are too large to be shown together."
            view = {
                "output_key": name,
                "output_value": None,
                "description": description,
                "output_error": problem,
            }
        else:
            view = await output_view(stack, name)
            characters += size_of(view["output_value"])
        views.append(view)
    return views


async def output_view(stack: OpenStack, name: str) -> View:
    definition = stack.plan.template.outputs[name]
    value, problem = await stack.output(name)
    shown = {"output_key": name, "output_value": value, "description": definition.description}
    if problem is not None:
        shown["output_error"] = problem
    return shown
