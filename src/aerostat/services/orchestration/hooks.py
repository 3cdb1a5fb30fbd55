"""Hooks: places where a resource waits until a user says that it may go on.

An environment names them (`resource_registry: {resources: {name: {hooks: pre-create}}}`), a signal with `unset_hook`
clears them. Which are set stands in the resource's row, so that waiting is nothing but looking again.

https://docs.openstack.org/heat/latest/template_guide/environment.html#pause-stack-creation-update-deletion-on-a-given-resource
"""

from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import wake

from . import model
from .errors import InvalidBreakPointHook
from .ledger import Ledger, add_resource_event
from .states import action_of
from .template import Environment
from .template.environment import HOOKS

_KEY = "hooks"  # in the row's data: hook → [the generation of the stack that met it, whether it is cleared]


class Gate:
    """The hooks of one run of a stack, which is the stack's `generation`. Rolling back stops at none."""

    def __init__(self, environment: Environment, generation: int, action: str, ledger: Ledger) -> None:
        self._environment = environment
        self._generation = generation
        self._is_open = action == "ROLLBACK"
        self._ledger = ledger

    async def holds(self, row: Row, hook: str) -> bool:
        """Whether the resource must wait at this hook. At the first look at it, the hook is set and told."""
        if not self.has(row, hook):
            return False
        if not _is_met(row, hook, self._generation):
            await self._ledger.begin(lambda tx: self.set(tx, row, hook))
        return not _is_cleared(row, hook)

    def has(self, row: Row, hook: str) -> bool:
        return not self._is_open and self._environment.has_hook(row.name, hook)

    def holds_done(self, row: Row) -> bool:
        """Whether what has come to its end in this run waits at the hook behind it."""
        hook = hook_behind(row)
        return self.has(row, hook) and _is_set(row, hook, self._generation)

    async def set(self, tx: Transaction, row: Row, hook: str) -> None:
        row.data.setdefault(_KEY, {})[hook] = [self._generation, False]
        await tx.update(model.RESOURCES, {"id": row.id}, data=row.data)
        action = hook.partition("-")[2].upper()
        await add_resource_event(tx, row, row.state, f"{action} paused until Hook {hook} is cleared")


def hook_behind(row: Row) -> str:
    return f"post-{action_of(row.state).lower()}"


async def clear_hook(tx: Transaction, stack: Row, row: Row, hook: Any) -> None:
    """The resource may go on. Raises `InvalidBreakPointHook` when it does not wait there."""
    if hook not in HOOKS:
        raise InvalidBreakPointHook(
            f'Invalid hook type "{hook}" for resource breakpoint, acceptable hook types are: {", ".join(HOOKS)}'
        )
    row = await tx.get(model.RESOURCES, id=row.id)
    if not _is_set(row, hook, stack.generation):
        raise InvalidBreakPointHook(f'The "{hook}" hook is not defined on "{row.name}"')
    row.data[_KEY][hook] = [stack.generation, True]
    await tx.update(model.RESOURCES, {"id": row.id}, data=row.data)
    await add_resource_event(tx, row, row.state, f"Hook {hook} is cleared")
    await wake(tx, model.STACKS, row.stack_id)


def _is_met(row: Row, hook: str, generation: int) -> bool:
    met = row.data.get(_KEY, {}).get(hook)
    return met is not None and met[0] == generation


def _is_cleared(row: Row, hook: str) -> bool:
    return bool(row.data[_KEY][hook][1])


def _is_set(row: Row, hook: str, generation: int) -> bool:
    return _is_met(row, hook, generation) and not _is_cleared(row, hook)
