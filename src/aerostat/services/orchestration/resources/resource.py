"""Resources of stacks. https://docs.openstack.org/api-ref/orchestration/v1/#stack-resources"""

from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import admin, project_reader, role
from aerostat.kernel.resource import Resource, Views, route

from .. import model
from ..config import OrchestrationConfig
from ..errors import BadBody, NotSupported, ResourceNotAvailable, ResourceNotFound
from ..guest_accounts import GUEST_ROLE
from ..hooks import clear_hook
from ..kinds import find_kind
from ..ledger import add_resource_event
from ..live import read_or_none
from ..nesting import nested_stacks, read_depth
from ..plans import load_plan
from ..reading import OpenStack, open_stack
from ..signals import is_token_of
from ..states import action_of, status_of
from .scope import MEMBER, READER, find_living, find_stack, stack_url
from .views import link, shown_time

_STACK = "/v1/{project_id}/stacks/{stack_name}/{stack_id}"
_ONE = _STACK + "/resources/{resource_name}"


class StackResource(Resource):
    below_bases = False

    @route("GET", _STACK + "/resources", policy="resource:index", default=READER)
    async def list(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> dict[str, Any]:
        stack = await find_stack(req, project_id, stack_name, stack_id)
        views = await self._of_stack(req, stack, None)
        depth = read_depth(req)
        if depth:
            parents = {one.id: one for one in await req.db.all(model.RESOURCES, {"stack_id": stack.id})}
            for child in await nested_stacks(req.db, stack, depth):
                parent = parents.get(child.parent_resource)
                views += await self._of_stack(req, child, parent.name if parent else None)
                rows = await req.db.all(model.RESOURCES, {"stack_id": child.id})
                parents |= {one.id: one for one in rows}
        return {"resources": [one for one in views if _is_asked_for(req, one)]}

    async def _of_stack(self, req: Request, stack: Row, parent: str | None) -> Views:
        plan = await load_plan(req.house, stack)
        rows = await req.db.all(model.RESOURCES, {"stack_id": stack.id, "current": True}, order="created_at")
        needed_by: dict[str, set[str]] = {}
        if stack.deleted_at is None:
            for name, others in plan.dependencies.items():
                for other in others:
                    needed_by.setdefault(other, set()).add(name)
        views = []
        for row in rows:
            shown = _view(req, stack, row, sorted(needed_by.get(row.name, ())))
            if parent is not None:
                shown["parent_resource"] = parent
            if req.flag("with_detail"):
                shown["description"] = ""
            views.append(shown)
        return views

    @route("GET", _ONE, policy="resource:show", default=READER)
    async def show(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str
    ) -> dict[str, Any]:
        stack = await find_stack(req, project_id, stack_name, stack_id)
        opened, row = await self._opened(req, stack, resource_name)
        thing = opened.things[resource_name]
        dependencies = opened.plan.dependencies
        shown = _view(
            req, stack, row, sorted(name for name, others in dependencies.items() if resource_name in others)
        )
        definition = opened.plan.template.resources.get(resource_name)
        shown["description"] = definition.description if definition else ""
        shown["attributes"] = {}
        if opened.live.reference_id(resource_name) is not None:
            asked = req.query.get("with_attr", [])
            names = [one for one in (*thing.kind.attributes, *asked) if thing.kind.knows_attribute(one)]
            shown["attributes"] = {one: await read_or_none(thing, one) for one in dict.fromkeys(names)}
        return {"resource": shown}

    @route(
        "GET",
        _ONE + "/metadata",
        policy="resource:metadata",
        default=admin | project_reader | role(GUEST_ROLE),
    )
    async def metadata(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str
    ) -> dict[str, Any]:
        stack, row = await self._for_guest(req, stack_name, stack_id, resource_name)
        if stack is None or row is None or not _is_account_of(req, row):
            stack = await find_stack(req, project_id, stack_name, stack_id)
            row = await self._row(req, stack, resource_name)
        opened = await open_stack(req.house, req.context, stack)
        thing = opened.things[row.name]
        signals = await req.db.all(model.SIGNALS, {"resource_id": row.id}, order="created_at")
        told = {one.key: {"status": one.status, "reason": one.reason, "data": one.data} for one in signals}
        return {"metadata": {**(await thing.kind.metadata(thing)), **told}}

    @route("POST", _ONE + "/signal", public=True, raw_body=True)
    async def signal(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str
    ) -> Response:
        """From users with an account, and from guests that hold the resource's own token or account."""
        stack, row = await self._for_guest(req, stack_name, stack_id, resource_name)
        token = req.argument("token") or req.headers.get("x-auth-token")
        most = req.house.config.section(OrchestrationConfig).most_signal_bytes
        if (
            stack is not None
            and stack.project_id == project_id
            and row is not None
            and is_token_of(row, token)
        ):
            req.context = internal_context(req.request_id, "guest")
        elif not req.context.is_signed_in:
            raise Unauthorized
        elif row is None or not _is_account_of(req, row):
            stack = await find_living(req, project_id, stack_name, stack_id)
            req.check("resource:signal")
            row = await self._row(req, stack, resource_name)
            details = await req.json(most)
            if isinstance(details, dict) and "unset_hook" in details:
                async with req.db.transaction() as tx:
                    await clear_hook(tx, await tx.get(model.STACKS, id=stack.id), row, details["unset_hook"])
                return Response(None, 200, resource_id=stack.id)
        assert stack is not None
        assert row is not None
        details = await req.json(most)
        opened, _ = await self._opened(req, stack, resource_name)
        thing = opened.things[resource_name]
        if action_of(row.state) in thing.kind.deaf_during:
            raise NotSupported(feature=f"Signal resource during {action_of(row.state)}")
        reason = await thing.kind.signal(thing, details)
        if reason is not None:
            async with req.db.transaction() as tx:
                await add_resource_event(tx, row, "SIGNAL_COMPLETE", reason)
        return Response(None, 200, resource_id=stack.id)

    @route("PATCH", _ONE, policy="resource:mark_unhealthy", default=MEMBER)
    async def mark_unhealthy(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str
    ) -> None:
        stack = await find_living(req, project_id, stack_name, stack_id)
        body = await req.json()
        if not isinstance(body, dict) or not isinstance(body.get("mark_unhealthy"), bool):
            raise BadBody(
                "Missing mandatory (mark_unhealthy) key from mark unhealthy request, or not a boolean"
            )
        reason = body.get("resource_status_reason", "")
        if not isinstance(reason, str):
            raise BadBody("resource_status_reason must be a string.")
        row = await req.db.find(model.RESOURCES, stack_id=stack.id, name=resource_name, current=True)
        if row is None:
            row = await req.db.find(
                model.RESOURCES, stack_id=stack.id, physical_id=resource_name, current=True
            )
        if row is None:
            raise ResourceNotFound(resource=resource_name, stack=stack.name)
        unhealthy = body["mark_unhealthy"]
        if unhealthy == (row.state == "CHECK_FAILED"):
            return
        state = "CHECK_FAILED" if unhealthy else "CHECK_COMPLETE"
        if status_of(row.state) == "IN_PROGRESS" or (not unhealthy and status_of(row.state) != "FAILED"):
            return
        text = reason or ("state changed by user" if unhealthy else "Mark resource healthy")
        async with req.db.transaction() as tx:
            guard = {"id": row.id, "state": row.state}
            await tx.update(model.RESOURCES, guard, state=state, state_reason=text, changed_at=clock.now())
            await add_resource_event(tx, row, state, text)

    async def _for_guest(
        self, req: Request, stack_name: str, stack_id: str, name: str
    ) -> tuple[Row | None, Row | None]:
        """Stack and resource whatever project the path names: a guest's account has one of its own."""
        stack = await req.db.find(model.STACKS, id=stack_id, name=stack_name)
        if stack is None:
            return None, None
        return stack, await req.db.find(model.RESOURCES, stack_id=stack_id, name=name, current=True)

    async def _row(self, req: Request, stack: Row, name: str) -> Row:
        row = await req.db.find(model.RESOURCES, stack_id=stack.id, name=name, current=True)
        if row is None:
            raise ResourceNotFound(resource=name, stack=stack.name)
        return row

    async def _opened(self, req: Request, stack: Row, name: str) -> tuple[OpenStack, Row]:
        opened = await open_stack(req.house, req.context, stack)
        if name not in opened.things:
            if name in opened.plan.blueprint.resources:
                raise ResourceNotAvailable(name=name)
            raise ResourceNotFound(resource=name, stack=stack.name)
        return opened, opened.things[name].row


def _is_account_of(req: Request, row: Row) -> bool:
    """Whether the caller is the account that was made for the guest of this resource."""
    account = row.data.get("account") or {}
    return GUEST_ROLE in req.context.roles and req.context.user_id == account.get("user_id")


def _view(req: Request, stack: Row, row: Row, required_by: "list[str]") -> dict[str, Any]:
    links = [link(stack_url(req, stack, "resources", row.name)), link(stack_url(req, stack), "stack")]
    if row.physical_id and find_kind(row.kind, {}).is_nested:
        nested = f"{row.physical_name}/{row.physical_id}"
        links.append(
            link(f"{req.base_url}{req.service.prefix}/v1/{stack.project_id}/stacks/{nested}", "nested")
        )
    return {
        "resource_name": row.name,
        "logical_resource_id": row.name,
        "links": links,
        "physical_resource_id": row.physical_id or "",
        "resource_type": row.type,
        "resource_status": row.state,
        "resource_status_reason": row.state_reason,
        "creation_time": shown_time(row.created_at),
        "updated_time": shown_time(row.changed_at or row.created_at),
        "required_by": required_by,
    }


_FILTERS = {
    "name": "resource_name",
    "resource_name": "resource_name",
    "type": "resource_type",
    "resource_type": "resource_type",
    "physical_resource_id": "physical_resource_id",
    "id": "physical_resource_id",
}


def _is_asked_for(req: Request, view: dict[str, Any]) -> bool:
    for argument, key in _FILTERS.items():
        values = req.query.get(argument)
        if values and view[key] not in values:
            return False
    state = view["resource_status"]
    statuses, actions = req.query.get("status"), req.query.get("action")
    if statuses and status_of(state) not in statuses and state not in statuses:
        return False
    return not actions or state.partition("_")[0] in actions
