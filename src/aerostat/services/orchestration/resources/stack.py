"""Stacks. https://docs.openstack.org/api-ref/orchestration/v1/#stacks"""

import re
from typing import Any

from sqlalchemy import Text, and_, func, or_, select, type_coerce
from sqlalchemy.sql import ColumnElement

from aerostat.kernel import ids
from aerostat.kernel.db import Row
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import next_url, read_page
from aerostat.kernel.resource import Resource, route

from .. import model
from ..config import OrchestrationConfig
from ..errors import (
    BadBody,
    ImmutableParameterModified,
    RequestLimitExceeded,
    StackExists,
    StackValidationFailed,
)
from ..plans import Plan, Source, identity_of, load_plan, load_source
from ..preview import preview_changes, preview_resources
from ..reading import open_stack
from ..stacks import ask, ask_delete, ask_stop, ask_update, insert_stack
from ..states import action_of
from ..validation import check_plan
from .body import (
    read_body,
    read_changed_source,
    read_flag,
    read_source,
    read_tags,
    read_timeout,
)
from .scope import MEMBER, READER, find_living, find_stack, own_project, redirect, stack_url
from .views import link, stack_summary, stack_view

_BASE = "/v1/{project_id}/stacks"
_ONE = _BASE + "/{stack_name}/{stack_id}"
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,254}")
_SORTABLE = {
    "stack_name": "name",
    "name": "name",
    "stack_status": "state",
    "status": "state",
    "creation_time": "created_at",
    "created_at": "created_at",
    "updated_time": "changed_at",
    "updated_at": "changed_at",
}
_ACTIONS = ("suspend", "resume", "check", "cancel_update", "cancel_without_rollback")


class Stack(Resource):
    below_bases = False

    # Making

    @route("POST", _BASE, status=201, policy="stacks:create", default=MEMBER)
    async def create(self, req: Request, project_id: str) -> Response:
        own_project(req, project_id)
        body = await read_body(req)
        name = _read_name(body)
        adopted = _read_adopted(body)
        if adopted is not None and not body.get("template"):
            body["template"] = adopted["template"]
            body.setdefault("files", adopted.get("files"))
            body.setdefault("environment", adopted.get("environment"))
        source = read_source(body)
        options: dict[str, Any] = {
            "timeout_mins": read_timeout(body),
            "disable_rollback": read_flag(body, "disable_rollback") is not False,
            "tags": read_tags(body),
        }
        await self._check_room(req, project_id, name)
        id = ids.new_id()
        await self._checked(req, source, {"name": name, "id": id, "project_id": project_id})
        async with req.db.transaction() as tx:
            stack = await insert_stack(
                tx,
                req.house,
                req.context,
                source,
                id=id,
                name=name,
                adopted=adopted["resources"] if adopted is not None else None,
                **options,
            )
        url = stack_url(req, stack)
        return Response(
            {"stack": {"id": stack.id, "links": [link(url)]}}, 201, {"Location": url}, resource_id=stack.id
        )

    @route("POST", _BASE + "/preview", policy="stacks:preview", default=MEMBER)
    async def preview(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        body = await read_body(req)
        name = _read_name(body)
        source = read_source(body)
        plan = await self._checked(req, source, {"name": name, "id": "None", "project_id": project_id})
        shown = {
            "id": "None",
            "links": [link(f"{req.url}/{name}/None")],
            "stack_name": name,
            "description": source.template.description,
            "template_description": source.template.description,
            "parameters": plan.parameters.texts(),
            "disable_rollback": read_flag(body, "disable_rollback") is not False,
            "timeout_mins": read_timeout(body),
            "tags": read_tags(body),
            "stack_owner": req.context.user_name,
            "stack_user_project_id": project_id,
            "parent": None,
            "capabilities": [],
            "notification_topics": [],
            "creation_time": None,
            "updated_time": None,
            "deletion_time": None,
            "resources": preview_resources(
                req.house, plan, {"name": name, "id": "None", "project_id": project_id}
            ),
        }
        return {"stack": shown}

    async def _check_room(self, req: Request, project_id: str, name: str) -> None:
        if await req.db.count(model.STACKS, project_id=project_id, live_name=name):
            raise StackExists(name=name)
        most = req.house.config.section(OrchestrationConfig).most_stacks
        if (
            0
            <= most
            <= await req.db.count(model.STACKS, project_id=project_id, parent_id=None, deleted_at=None)
        ):
            raise RequestLimitExceeded(
                reason=f"You have reached the maximum stacks per tenant, {most}. Please delete some stacks."
            )

    async def _checked(self, req: Request, source: Source, stack: dict[str, Any]) -> Plan:
        plan = Plan(source, identity_of(req.house, stack))
        await check_plan(req.house, req.context, plan)
        return plan

    # Looking

    @route("GET", _BASE, policy="stacks:index", default=READER)
    async def list(self, req: Request, project_id: str) -> dict[str, Any]:
        page, conditions = await self._page(req, own_project(req, project_id))
        everyone = req.flag("global_tenant")
        answer: dict[str, Any] = {
            "stacks": [stack_summary(req, row, with_project=everyone) for row in page.rows]
        }
        if page.next_marker:
            answer["links"] = [link(next_url(req, page), "next")]
        if req.flag("with_count"):
            counted = (
                select(func.count().label("total")).select_from(model.STACKS).where(and_(True, *conditions))
            )
            answer["count"] = (await req.db.fetch(counted))[0].total
        return answer

    @route("GET", _BASE + "/detail", policy="stacks:detail", default=READER)
    async def detail(self, req: Request, project_id: str) -> dict[str, Any]:
        page, _ = await self._page(req, own_project(req, project_id))
        views = []
        for row in page.rows:
            if row.deleted_at is not None:
                views.append(stack_summary(req, row))
            else:
                views.append(
                    await stack_view(req, await open_stack(req.house, req.context, row), outputs=False)
                )
        return {"stacks": views}

    async def _page(self, req: Request, project_id: str) -> tuple[Page, Any]:
        conditions = _conditions(req, project_id)
        page = await read_page(req, self.paging, model.STACKS, conditions, sortable=_SORTABLE)
        return page, conditions

    @route("GET", _BASE + "/{identity}", policy="stacks:lookup", default=READER)
    async def lookup(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity)

    @route("DELETE", _BASE + "/{identity}", policy="stacks:lookup")
    async def lookup_for_delete(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity)

    @route("PUT", _BASE + "/{identity}", policy="stacks:lookup")
    async def lookup_for_update(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity)

    @route("PATCH", _BASE + "/{identity}", policy="stacks:lookup")
    async def lookup_for_patch(self, req: Request, project_id: str, identity: str) -> Response:
        return await redirect(req, project_id, identity)

    @route("GET", _ONE, policy="stacks:show", default=READER)
    async def show(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> dict[str, Any]:
        row = await find_stack(req, project_id, stack_name, stack_id)
        opened = await open_stack(req.house, req.context, row)
        return {"stack": await stack_view(req, opened, outputs=req.flag("resolve_outputs", True))}

    @route("GET", _ONE + "/template", policy="stacks:template", default=READER)
    async def template(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        row = await find_stack(req, project_id, stack_name, stack_id)
        return (await load_source(req.db, row.template_id)).template.data

    @route("GET", _ONE + "/environment", policy="stacks:environment", default=READER)
    async def environment(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        row = await find_stack(req, project_id, stack_name, stack_id)
        return _hiding(await load_source(req.db, row.template_id))

    @route("GET", _ONE + "/files", policy="stacks:files", default=READER)
    async def files(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        row = await find_stack(req, project_id, stack_name, stack_id)
        return (await load_source(req.db, row.template_id)).files

    # Changing

    @route("PUT", _ONE, status=202, policy="stacks:update", default=MEMBER)
    async def update(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> None:
        row = await find_living(req, project_id, stack_name, stack_id)
        body = await read_body(req)
        await self._change(req, row, body, read_source(body), tags=read_tags(body))

    @route("PATCH", _ONE, status=202, policy="stacks:update_patch", default=MEMBER)
    async def update_existing(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> None:
        row = await find_living(req, project_id, stack_name, stack_id)
        body = await read_body(req)
        source = read_changed_source(body, await load_source(req.db, row.template_id))
        await self._change(req, row, body, source, tags=read_tags(body) or row.tags)

    async def _change(
        self, req: Request, row: Row, body: dict[str, Any], source: Source, *, tags: Any
    ) -> None:
        plan = await self._checked(req, source, row)
        await _check_immutable(req, row, plan)
        timeout = read_timeout(body) if "timeout_mins" in body else row.timeout_mins
        rollback = read_flag(body, "disable_rollback")
        async with req.db.transaction() as tx:
            fresh = await tx.get(model.STACKS, id=row.id)
            await ask_update(
                tx,
                req.house,
                req.context,
                fresh,
                source,
                timeout_mins=timeout,
                disable_rollback=rollback,
                tags=tags,
            )

    @route("PUT", _ONE + "/preview", policy="stacks:preview_update", default=MEMBER)
    async def preview_update(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        row = await find_living(req, project_id, stack_name, stack_id)
        return await self._preview_update(req, row, read_source(await read_body(req)))

    @route("PATCH", _ONE + "/preview", policy="stacks:preview_update_patch", default=MEMBER)
    async def preview_existing(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        row = await find_living(req, project_id, stack_name, stack_id)
        before = await load_source(req.db, row.template_id)
        return await self._preview_update(req, row, read_changed_source(await read_body(req), before))

    async def _preview_update(self, req: Request, row: Row, source: Source) -> dict[str, Any]:
        plan = await self._checked(req, source, row)
        await _check_immutable(req, row, plan)
        return {"resource_changes": await preview_changes(req.house, req.context, row, plan)}

    @route("DELETE", _ONE, status=204, policy="stacks:delete", default=MEMBER)
    async def delete(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> None:
        row = await find_living(req, project_id, stack_name, stack_id)
        async with req.db.transaction() as tx:
            await ask_delete(tx, req.house, req.context, await tx.get(model.STACKS, id=row.id))

    @route("DELETE", _ONE + "/abandon", policy="stacks:abandon", default=MEMBER)
    async def abandon(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        """Forget the stack; what it made stays. Answers what adopting it again needs."""
        row = await find_living(req, project_id, stack_name, stack_id)
        exported = await self._exported(req, row)
        async with req.db.transaction() as tx:
            await tx.update(model.RESOURCES, {"stack_id": row.id}, retained=True)
            await ask_delete(tx, req.house, req.context, await tx.get(model.STACKS, id=row.id))
        return exported

    @route("GET", _ONE + "/export", policy="stacks:export", default=READER)
    async def export(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> Any:
        return await self._exported(req, await find_living(req, project_id, stack_name, stack_id))

    async def _exported(self, req: Request, row: Row) -> dict[str, Any]:
        source = await load_source(req.db, row.template_id)
        rows = await req.db.all(model.RESOURCES, {"stack_id": row.id, "current": True})
        return {
            "id": row.id,
            "name": row.name,
            "action": action_of(row.state),
            "status": row.state.partition("_")[2],
            "template": source.template.data,
            "environment": source.environment.view(),
            "files": source.files,
            "project_id": row.project_id,
            "stack_user_project_id": row.project_id,
            "tags": row.tags,
            "resources": {
                one.name: {
                    "name": one.name,
                    "type": one.type,
                    "resource_id": one.physical_id,
                    "action": action_of(one.state),
                    "status": one.state.partition("_")[2],
                    "metadata": one.metadata,
                    "resource_data": one.data,
                }
                for one in rows
            },
        }

    @route("POST", _ONE + "/actions", policy="actions:action", default=MEMBER)
    async def act(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> None:
        row = await find_living(req, project_id, stack_name, stack_id)
        body = await req.json()
        if not isinstance(body, dict) or not body:
            raise BadBody("No action specified")
        if len(body) > 1:
            raise BadBody("Multiple actions specified")
        (action,) = body
        if action not in _ACTIONS:
            raise BadBody(f"Invalid action {action} specified")
        async with req.db.transaction() as tx:
            stack = await tx.get(model.STACKS, id=row.id)
            if action in ("cancel_update", "cancel_without_rollback"):
                await self._cancel(req, tx, stack, action)
            else:
                await ask(tx, req.house, req.context, stack, action)

    async def _cancel(self, req: Request, tx: Any, stack: Row, action: str) -> None:
        """Stop what is going on: back to where it came from, or simply as it is now."""
        allowed = (
            ("UPDATE_IN_PROGRESS",)
            if action == "cancel_update"
            else ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
        )
        if stack.state not in allowed:
            raise BadBody(
                f"Cancelling {'update' if action == 'cancel_update' else 'create/update'}"
                f" when stack is {stack.state} is not supported."
            )
        if action == "cancel_update":
            before = stack.previous_template_id or stack.template_id
            await ask(
                tx,
                req.house,
                req.context,
                stack,
                "roll_back",
                state_reason="Stack ROLLBACK started: the update was cancelled by the user",
                template_id=before,
                previous_template_id=None,
            )
        else:
            await ask_stop(tx, req.context, stack)


def _read_name(body: dict[str, Any]) -> str:
    name = body.get("stack_name")
    if name is None:
        raise BadBody("No stack name specified")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StackValidationFailed(
            f'Invalid stack name {name} must contain only alphanumeric or "_-." characters, must start with'
            " alpha and must be 255 characters or less."
        )
    return name


def _read_adopted(body: dict[str, Any]) -> dict[str, Any] | None:
    """What abandoning a stack answered, to be taken over."""
    data = body.get("adopt_stack_data")
    if data is None:
        return None
    if isinstance(data, str):
        from ..template import TemplateError
        from ..template.text import load

        try:
            data = load(data, what="adopt data")
        except TemplateError:
            raise BadBody("Invalid adopt data: it is not a JSON object.") from None
    if not isinstance(data, dict) or not isinstance(data.get("resources"), dict) or not data.get("template"):
        raise BadBody("Invalid adopt data: it needs template and resources.")
    for one in data["resources"].values():
        if not isinstance(one, dict):
            raise BadBody("Invalid adopt data: a resource is an object.")
    return data


async def _check_immutable(req: Request, row: Row, plan: Plan) -> None:
    before = await load_plan(req.house, row)
    names = plan.parameters.changed_immutable(before.parameters)
    if names:
        raise ImmutableParameterModified(names=", ".join(names))


def _hiding(source: Source) -> dict[str, Any]:
    """The environment without the values of hidden parameters."""
    view = source.environment.view()
    for section in ("parameters", "parameter_defaults"):
        view[section] = {
            name: "******"
            if name in source.template.schemas and source.template.schemas[name].hidden
            else value
            for name, value in view[section].items()
        }
    return view


def _conditions(req: Request, project_id: str) -> "list[ColumnElement[bool]]":
    """What a list of stacks is limited to."""
    c = model.STACKS.c
    conditions: Any = []
    if req.flag("global_tenant"):
        req.check("stacks:global_index")
    else:
        conditions.append(c.project_id == project_id)
    if not req.flag("show_deleted"):
        conditions.append(c.deleted_at.is_(None))
    if not req.flag("show_nested"):
        conditions.append(c.parent_id.is_(None))
    for argument, column in (
        ("id", c.id),
        ("name", c.name),
        ("stack_name", c.name),
        ("owner_id", c.parent_id),
        ("tenant", c.project_id),
        ("username", c.user_name),
    ):
        values = [one for one in req.query.get(argument, []) if one]
        if values:
            conditions.append(column.in_(values))
    for argument, pattern in (("status", "%\\_{}"), ("action", "{}\\_%")):
        words = [one.upper() for value in req.query.get(argument, []) for one in value.split(",") if one]
        if words:
            likes = [c.state.like(pattern.format(_escaped(word)), escape="\\") for word in words]
            conditions.append(or_(c.state.in_(words), *likes))
    for argument in ("tags", "tags_any", "not_tags", "not_tags_any"):
        text = req.argument(argument)
        if text:
            held = [
                type_coerce(c.tags, Text).like(f'%"{_escaped(tag)}"%', escape="\\") for tag in text.split(",")
            ]
            joined = or_(*held) if argument.endswith("any") else and_(*held)
            conditions.append(or_(c.tags.is_(None), ~joined) if argument.startswith("not") else joined)
    return conditions  # type: ignore[no-any-return]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
