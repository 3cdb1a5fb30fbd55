"""Bringing the resources of a stack in line with a template: the heart of orchestration.

One run goes on as far as it can without waiting: what is independent goes in parallel, what requires others after
them. Everything that a run must know to go on where an earlier one died stands in the rows of the resources.

1. Forward: each resource of the target is made, changed in place, or replaced: another row beside the old one.
2. Cleaning: rows that the target does not have, and those that were replaced, are deleted, in reverse order.

A target of nothing (deleting a stack, rolling back its creation) is cleaning alone. Rolling back an update is
going forward to the template before, with replaced rows taken into use again.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row, StoreUnavailable, Transaction
from aerostat.kernel.log import get_logger
from aerostat.kernel.work import Outcome, Work

from . import model
from .config import OrchestrationConfig
from .endings import complete_stack, fail_stack
from .errors import RequestLimitExceeded, ResourceFailure
from .failures import is_passing, understood
from .hooks import Gate, hook_behind
from .kinds import find_kind
from .ledger import Ledger, Superseded, add_resource_event, record_failure
from .live import LiveStack
from .naming import physical_name
from .nesting import check_room
from .plans import load_plan
from .secrecy import conceal
from .states import action_of, complete, failed, progress, status_of
from .succession import Succession
from .template import ResourceDefinition
from .template.snippets import size_of
from .thing import Thing
from .types.property import changed, read, readable
from .types.resource_type import Replace, ResourceType
from .validation import TOO_MUCH
from .wanted import STORED, Wanted

log = get_logger(__name__)

_SHORTEST_WAIT_S = 0.1
_MOST_TRIES = 8
_BEFORE, _CALLED, _TRIES = "before", "called", "tries"  # keys of a row's data while something is going on
_EXTERNAL = "external_id"  # key of a row's data: what it stands for was there before the stack
_TIMED_OUT = "Timed out"
_HELD_S = 20.0  # between two looks at what waits for a user, who wakes us
_FINISHED = frozenset(
    complete(action) for action in ("CREATE", "UPDATE", "ADOPT", "CHECK", "RESUME", "ROLLBACK")
)


class Convergence:
    """One run of the step. `run` answers what the flow does next."""

    def __init__(self, work: Work, stack: Row) -> None:
        self.work = work
        self.house = work.house
        self.stack = stack
        self.generation: int = stack.generation
        self.to_nothing = bool(work.data.get("to_nothing"))
        self.action = action_of(stack.state)
        self.ledger = Ledger(work.db, stack)
        self.rows: dict[str, Row] = {}  # by id
        self.succession = Succession(self.rows, self.ledger, self._thing)
        self.current: dict[str, Row] = {}  # by name
        self.things: dict[str, Thing] = {}  # by name, of current rows
        self.done: set[str] = set()
        self.waiting: dict[str, float] = {}  # row id → seconds
        self.failures: list[str] = []
        self.sizes: dict[str, int] = {}  # of the properties that were worked out, by name
        self.superseded = False

    async def run(self) -> Outcome | None:
        try:
            await self._load()
        except RequestLimitExceeded as error:
            return await self._give_up(error.text)
        if self.stack.deadline_at is not None and clock.now() >= self.stack.deadline_at:
            return await self._give_up(_TIMED_OUT)
        if not self.to_nothing:
            await self._go_forward()
            if (outcome := await self._not_done()) is not None:
                return outcome
        await self._clean()
        if (outcome := await self._not_done()) is not None:
            return outcome
        self.work.also(lambda tx: complete_stack(tx, self.work, self.stack))
        return self.work.finish()

    async def _not_done(self) -> Outcome | None:
        """What to do when a phase has not come to its good end."""
        if self.superseded:
            return self.work.finish()
        if self.failures and not (self.waiting and self.action == "DELETE"):
            return await self._give_up(f"Resource {self.failures[0]}")
        if self.waiting:
            wait_s = min(self.waiting.values())
            if self.stack.deadline_at is not None:
                wait_s = min(wait_s, max(0.0, (self.stack.deadline_at - clock.now()).total_seconds()))
            return self.work.again(wait_s)
        return None

    async def _give_up(self, reason: str) -> Outcome:
        """The action failed: whatever is still going on is not waited for."""
        unfinished = [row for row in self.rows.values() if status_of(row.state) == "IN_PROGRESS"]

        async def write(tx: Transaction) -> None:
            for row in unfinished:
                await self._mark_failed(tx, row, f"{action_of(row.state)} aborted ({reason})"[:1000])
            await fail_stack(tx, self.work, self.stack, reason)

        self.work.also(write)
        return self.work.finish()

    # Loading

    async def _load(self) -> None:
        for row in await self.work.db.all(model.RESOURCES, {"stack_id": self.stack.id}, order="id"):
            self.rows[row.id] = row
        self.plan = await load_plan(self.house, self.stack)
        self.gate = Gate(self.plan.environment, self.generation, self.action, self.ledger)
        if not self.to_nothing:
            if self.action == "ROLLBACK":
                async with self.work.db.transaction() as tx:
                    await self.succession.take_back(tx)
            await self._add_missing()
        self.current = {row.name: row for row in self.rows.values() if row.current}
        for name, row in self.current.items():
            self.things[name] = self._thing(row)
        self.live = LiveStack(self.plan.blueprint, self.things, await self._facade())

    async def _facade(self) -> dict[str, Any]:
        """What a nested stack may know of the resource that it stands for."""
        if self.stack.parent_resource is None:
            return {}
        row = await self.work.db.find(model.RESOURCES, id=self.stack.parent_resource)
        if row is None:
            return {}
        return {
            "metadata": row.metadata,
            "deletion_policy": "Retain" if row.retained else "Delete",
            "update_policy": row.data.get("update_policy") or {},
        }

    async def _add_missing(self) -> None:
        """Rows for resources that have none: their names outside are chosen before anything is made."""
        known = {row.name for row in self.rows.values() if row.current}
        missing = [one for name, one in self.plan.blueprint.resources.items() if name not in known]
        if not missing:
            return
        sealed = self.work.data.get("adopted")
        adopted = self.house.store.seal.open(sealed) if sealed else {}
        async with self.work.db.transaction() as tx:
            if self.stack.parent_id is not None:
                await check_room(tx, self.house, self.stack.root_id, len(missing))
            for one in missing:
                row = await self._insert_row(tx, one, adopted.get(one.name))
                self.rows[row.id] = row

    async def _insert_row(
        self,
        tx: Transaction,
        definition: ResourceDefinition,
        adopted: dict[str, Any] | None = None,
        **columns: Any,
    ) -> Row:
        kind = self.plan.kind_of(definition.type, definition.name)
        limit = find_kind(kind, self.plan.files).physical_name_length
        adopted = adopted or {}
        return await tx.insert(
            model.RESOURCES,
            stack_id=self.stack.id,
            name=definition.name,
            type=definition.type,
            kind=kind,
            state="INIT_COMPLETE",
            physical_name=physical_name(self.stack.name, definition.name, limit),
            physical_id=adopted.get("resource_id"),
            properties={},
            metadata=adopted.get("metadata") or {},
            data=adopted.get("resource_data") or {},
            requires=[],
            **columns,
        )

    def _thing(self, row: Row) -> Thing:
        kind = find_kind(row.kind, self.plan.files)
        return Thing(
            self.house,
            self.work.context,
            self.stack,
            self.plan,
            row,
            kind,
            readable(kind.properties, row.properties),
            self.ledger.write,
        )

    # Forward

    async def _go_forward(self) -> None:
        graph = self.plan.graph
        names = set(self.plan.blueprint.resources)
        for name in names:
            row = self.current[name]
            mine = row.generation == self.generation
            if mine and row.state in _FINISHED and not self.gate.holds_done(row):
                self.done.add(name)
        started: set[str] = set(self.done)

        def ready() -> list[tuple[str, Coroutine[Any, Any, None]]]:
            if self.failures or self.superseded:
                return []
            found = graph.ready_to_create(self.done, started)
            started.update(found)
            return [(self.current[name].id, self._bring(name)) for name in found]

        await self._in_parallel(ready)

    async def _in_parallel(self, ready: Any) -> None:
        """Run what is ready, and what becomes so by that, until nothing more is."""
        tasks: dict[asyncio.Task[None], str] = {}
        try:
            while True:
                for key, work in ready():
                    tasks[asyncio.create_task(self._guarded(key, work))] = key
                if not tasks:
                    return
                finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    del tasks[task]
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, row_id: str, work: Coroutine[Any, Any, None]) -> None:
        """What goes wrong with one resource is that resource's failure."""
        try:
            await work
        except Superseded:
            self.superseded = True
        except StoreUnavailable:
            raise
        except Exception as error:
            row = self.rows[row_id]
            if is_passing(error) and await self._try_later(row):
                return
            await self._fail(row, error)

    async def _try_later(self, row: Row) -> bool:
        """A room that cannot answer now is asked again, a few times."""
        tries = row.data.get(_TRIES, 0) + 1
        if tries > _MOST_TRIES:
            return False
        row.data[_TRIES] = tries
        await self.ledger.write(lambda tx: tx.update(model.RESOURCES, {"id": row.id}, data=row.data))
        self.waiting[row.id] = min(0.5 * 2 ** (tries - 1), 30.0)
        return True

    async def _fail(self, row: Row, error: Exception) -> None:
        failure = understood(error)
        if failure.detail:
            log.error("resource.broke", resource=row.name, stack=self.stack.name, exc_info=error)
        reason = await conceal(self.house, self.stack, self.plan, failure.at(row.name))
        action = "CREATE" if row.state == "INIT_COMPLETE" else "UPDATE"
        if status_of(row.state) == "IN_PROGRESS":
            action = action_of(row.state)
        row.state = progress(action)
        await self.ledger.write(lambda tx: self._mark_failed(tx, row, reason))
        detail = failure.detail and await conceal(self.house, self.stack, self.plan, failure.detail)
        record_failure(self.work, row.name, failed(action), reason, type=row.type, detail=detail)
        self.failures.append(f"{action} failed: {reason}")

    async def _mark_failed(self, tx: Transaction, row: Row, reason: str) -> None:
        """Only what was going on fails; an update that failed is an update yet to be made."""
        row.state = failed(action_of(row.state))
        row.state_reason = reason
        if _BEFORE in row.data:
            row.properties = row.data.pop(_BEFORE)
        row.data.pop(_CALLED, None)
        row.data.pop(_TRIES, None)
        await self._store(tx, row)
        await add_resource_event(tx, row, row.state, reason)

    async def _bring(self, name: str) -> None:
        """Make one resource as the template says: everything that it requires is."""
        definition = self.plan.blueprint.resources[name]
        row = self.current[name]
        kind = find_kind(self.plan.kind_of(definition.type, name), self.plan.files)
        wanted = await self._wanted(definition, kind)
        same_kind = row.kind == self.plan.kind_of(definition.type, name)
        mine = row.generation == self.generation
        if row.state == "INIT_COMPLETE":
            await self._create(row, wanted)
        elif row.state in _FINISHED and mine:  # done, and held since
            self.waiting[row.id] = _HELD_S
        elif action_of(row.state) in ("CREATE", "ADOPT") and status_of(row.state) == "IN_PROGRESS":
            # A run that died, or an update that came before it was made.
            if mine or (same_kind and row.properties == wanted.given):
                await self._go_on_creating(row, wanted)
            else:
                await self._replace(row, definition, wanted)
        elif status_of(row.state) == "IN_PROGRESS" and mine:
            await self._go_on_updating(row, definition, wanted)
        elif await self._is_held(row, "pre-update"):
            pass
        elif not same_kind or _must_be_replaced(row):
            await self._replace(row, definition, wanted)
        elif not await self.succession.is_whole(self._thing(row)):
            self._look_again(row, kind)
        else:
            await self._compare(row, definition, wanted)

    async def _wanted(self, definition: ResourceDefinition, kind: ResourceType) -> Wanted:
        resolve = self.live.resolve
        given = await resolve(definition.properties) or {}
        self._check_size(definition.name, given)
        path = f"resources.{definition.name}.properties"
        properties, _ = read(kind.properties, given, path)
        return Wanted(
            kind=kind,
            given=given,
            properties=properties,
            metadata=await resolve(definition.metadata) or {},
            policy=await resolve(definition.update_policy) or {},
            retained=self.plan.blueprint.deletion_policy(definition.name, self.live) == "Retain",
            external_id=await resolve(definition.external_id),
            type=definition.type,
            requires=sorted(self.current[one].id for one in self.plan.graph.requires(definition.name)),
        )

    def _check_size(self, name: str, given: Any) -> None:
        """What values grow to is only known while the stack is made."""
        self.sizes[name] = size_of(given)
        if sum(self.sizes.values()) > self.house.config.section(OrchestrationConfig).most_value_chars:
            raise ResourceFailure(TOO_MUCH, "RequestLimitExceeded")

    # Making

    async def _create(self, row: Row, wanted: Wanted) -> None:
        if await self._is_held(row, "pre-create"):
            return
        row.state = progress("ADOPT" if row.physical_id else "CREATE")
        row.state_reason = "state changed"
        row.begun_at = clock.now()
        wanted.apply(row, self.generation)

        async def begin(tx: Transaction) -> None:
            await self._store(tx, row)
            await add_resource_event(tx, row, row.state, row.state_reason)

        if wanted.external_id:
            row.data[_EXTERNAL] = wanted.external_id
        await self.ledger.begin(begin)
        thing = self._thing_for(row, wanted)
        if wanted.external_id:
            row.physical_id = wanted.external_id
            await wanted.kind.check_health(thing)
        elif row.physical_id is None:
            await self._make(thing)
        await self._settle(thing, await wanted.kind.is_created(thing))

    async def _go_on_creating(self, row: Row, wanted: Wanted) -> None:
        wanted.apply(row, self.generation)
        thing = self._thing_for(row, wanted)
        if row.physical_id is None:
            found = await wanted.kind.find_made(thing) if wanted.kind.outside else None
            if found is not None:
                await thing.keep(found)
            else:
                await self._make(thing)
        await self._settle(thing, await wanted.kind.is_created(thing))

    async def _make(self, thing: Thing) -> None:
        await self.succession.take_over(thing)
        made = await thing.kind.create(thing)
        if thing.row.physical_id is None:
            thing.row.physical_id = made
        if thing.kind.outside:  # at once: what is made and not written down would be lost
            await thing.keep()

    def _thing_for(self, row: Row, wanted: Wanted) -> Thing:
        thing = self._thing(row)
        thing.properties, thing.policy = wanted.properties, wanted.policy
        self.things[row.name] = thing
        return thing

    async def _settle(self, thing: Thing, is_ready: bool) -> None:
        """Write that it is complete; or look again later."""
        row = thing.row
        if not is_ready:
            await thing.keep()
            self._look_again(row, thing.kind)
            return
        row.state = complete(action_of(row.state))
        row.state_reason = "state changed"
        row.generation = self.generation
        for key in (_BEFORE, _CALLED, _TRIES):
            row.data.pop(key, None)
        if not row.state.startswith("CREATE"):
            row.changed_at = clock.now()
        held = self.gate.has(row, hook_behind(row))

        async def finish(tx: Transaction) -> None:
            await self._store(tx, row)
            await add_resource_event(tx, row, row.state, row.state_reason)
            if held:
                await self.gate.set(tx, row, hook_behind(row))

        await self.ledger.write(finish)
        if held:
            self.waiting[row.id] = _HELD_S
        else:
            self.done.add(row.name)

    async def _is_held(self, row: Row, hook: str) -> bool:
        if not await self.gate.holds(row, hook):
            return False
        self.waiting[row.id] = _HELD_S
        return True

    def _look_again(self, row: Row, kind: ResourceType) -> None:
        """After a while; the longer it took so far, the longer."""
        since_s = (clock.now() - (row.begun_at or clock.now())).total_seconds()
        self.waiting[row.id] = min(max(_SHORTEST_WAIT_S, since_s / 4), kind.longest_wait_s)

    # Changing

    async def _compare(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        kind = wanted.kind
        if wanted.external_id != row.data.get(_EXTERNAL):
            raise ResourceFailure(
                f"Update to property external_id of {row.name} ({row.type}) is not supported.", "NotSupported"
            )
        names = changed(row.properties, wanted.given)
        retrying = status_of(row.state) == "FAILED"
        metadata_changed = definition.metadata is not None and row.metadata != wanted.metadata
        if not (names or retrying or metadata_changed or kind.always_updates):
            moved = (
                row.requires != wanted.requires or row.retained != wanted.retained or row.type != wanted.type
            )
            wanted.apply(row, self.generation, metadata=row.metadata)
            if moved or row.generation != self.generation:
                await self.ledger.write(lambda tx: self._store(tx, row))
            self.done.add(row.name)
            return
        self._check_restrictions(row.name, "update")
        fixed = [name for name in names if not _may_change(kind, name)]
        if fixed:
            immutable = [
                name for name in fixed if name in kind.properties and kind.properties[name].immutable
            ]
            if immutable:
                listed = ", ".join(sorted(immutable))
                raise ResourceFailure(
                    f"Update to properties {listed} of {row.name} ({row.type}) are not supported",
                    "NotSupported",
                )
            await self._replace(row, definition, wanted)
            return
        await self._update(row, definition, wanted, names)

    async def _update(
        self, row: Row, definition: ResourceDefinition, wanted: Wanted, names: set[str]
    ) -> None:
        row.data[_BEFORE] = dict(row.properties)
        row.state, row.state_reason, row.begun_at = progress("UPDATE"), "state changed", clock.now()
        metadata = wanted.metadata if definition.metadata is not None else row.metadata
        wanted.apply(row, self.generation, metadata=metadata)

        async def begin(tx: Transaction) -> None:
            await self._store(tx, row)
            await add_resource_event(tx, row, row.state, row.state_reason)

        await self.ledger.begin(begin)
        await self._change(row, definition, wanted, names)

    async def _go_on_updating(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        thing = self._thing_for(row, wanted)
        before = row.data.get(_BEFORE) or {}
        if row.data.get(_CALLED):
            thing.previous = readable(wanted.kind.properties, before)
            await self._settle(thing, await wanted.kind.is_updated(thing))
        else:
            await self._change(row, definition, wanted, changed(before, wanted.given))

    async def _change(
        self, row: Row, definition: ResourceDefinition, wanted: Wanted, names: set[str]
    ) -> None:
        thing = self._thing_for(row, wanted)
        thing.previous = readable(wanted.kind.properties, row.data.get(_BEFORE) or {})
        news = {name: wanted.properties.get(name) for name in names if name in wanted.kind.properties}
        try:
            if news or wanted.kind.always_updates:
                await wanted.kind.update(thing, news)
        except Replace:
            row.properties = row.data.pop(_BEFORE, row.properties)
            row.state = complete("CREATE")
            await self._replace(row, definition, wanted)
            return
        row.data[_CALLED] = True
        self.live.forget(thing)
        await self._settle(thing, await wanted.kind.is_updated(thing))

    async def _replace(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        """Another row takes the name; the old one is deleted when all is made."""
        self._check_restrictions(row.name, "replace")
        old_state = (
            complete("CREATE") if status_of(row.state) == "IN_PROGRESS" and row.physical_id else row.state
        )

        async def write(tx: Transaction) -> None:
            await tx.update(model.RESOURCES, {"id": row.id}, current=False, state=old_state)
            fresh = await self._insert_row(tx, definition, replaces=row.id)
            row.current, row.state = False, old_state
            self.rows[fresh.id] = self.current[row.name] = fresh

        await self.ledger.begin(write)
        fresh = self.current[row.name]
        try:
            await self._create(fresh, wanted)
        except (Superseded, StoreUnavailable):
            raise
        except Exception as error:
            if not (is_passing(error) and await self._try_later(fresh)):
                await self._fail(fresh, error)

    def _check_restrictions(self, name: str, action: str) -> None:
        if action in self.plan.environment.restricted_actions(name):
            raise ResourceFailure(f"{action} is restricted for resource.", "ResourceActionRestricted")

    # Cleaning

    async def _clean(self) -> None:
        target = set() if self.to_nothing else set(self.plan.blueprint.resources)
        doomed = {row.id: row for row in self.rows.values() if not row.current or row.name not in target}
        gone: set[str] = set()
        started: set[str] = set()

        def ready() -> list[tuple[str, Coroutine[Any, Any, None]]]:
            if self.superseded:
                return []
            left = [row for row in doomed.values() if row.id not in gone]
            needed = {one for row in left for one in row.requires}
            found = [row for row in left if row.id not in started and row.id not in needed]
            if not found and left and not started - gone:
                found = left[:1]  # rows of an update that was cut off may require each other
            started.update(row.id for row in found)
            return [(row.id, self._delete(row, gone)) for row in found]

        await self._in_parallel(ready)

    async def _delete(self, row: Row, gone: set[str]) -> None:
        thing = self._thing(row)
        kind = thing.kind
        if row.state != progress("DELETE"):
            if row.current and await self._is_held(row, "pre-delete"):
                return
            made = row.state != "INIT_COMPLETE"
            was_creating = row.state.startswith("CREATE") and not row.state.endswith("_COMPLETE")
            row.state, row.state_reason, row.begun_at = progress("DELETE"), "state changed", clock.now()
            row.data.pop(_CALLED, None)
            row.data["half_made"] = was_creating

            async def begin(tx: Transaction) -> None:
                await self._store(tx, row)
                if made:
                    await add_resource_event(tx, row, row.state, row.state_reason)

            await self.ledger.begin(begin)
        if row.physical_id is None and kind.outside and row.data.get("half_made"):
            row.physical_id = await kind.find_made(thing)
        if row.physical_id is not None and not row.retained:
            if not row.data.get(_CALLED):
                await kind.delete(thing)
                row.data[_CALLED] = True
            if not await kind.is_deleted(thing):
                await self._settle(thing, False)
                return
        if row.current and await self._is_held(row, "post-delete"):
            return

        async def finish(tx: Transaction) -> None:
            await tx.delete(model.RESOURCES, id=row.id)
            row.state = complete("DELETE")
            await add_resource_event(tx, row, row.state, "state changed")

        await self.ledger.write(finish)
        del self.rows[row.id]
        gone.add(row.id)

    async def _store(self, tx: Transaction, row: Row) -> None:
        await tx.update(model.RESOURCES, {"id": row.id}, **{name: row[name] for name in STORED})


def _may_change(kind: ResourceType, name: str) -> bool:
    return name not in kind.properties or kind.properties[name].update


def _must_be_replaced(row: Row) -> bool:
    """Whether it never came to be, or was found broken."""
    return row.state in (
        failed("CREATE"),
        failed("CHECK"),
        failed("DELETE"),
        failed("ADOPT"),
        progress("DELETE"),
    )
