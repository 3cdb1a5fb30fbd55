"""One resource on its way to what the template says: made, changed in place, replaced, deleted.

Each step may find what an earlier run left half done, and goes on from there.
"""

from aerostat.kernel import clock
from aerostat.kernel.db import Row, StoreUnavailable, Transaction
from aerostat.kernel.errors import ApiError

from . import model
from .errors import ResourceFailure
from .hooks import hook_behind
from .kinds import find_kind
from .ledger import Superseded, add_resource_event
from .leftovers import look_later, may_be_made_twice
from .run import BEFORE, CALLED, FINISHED, TRIES, Run, break_off
from .states import action_of, complete, failed, progress, status_of
from .template import ResourceDefinition
from .thing import MadeTwice, Thing
from .types.property import changed, readable
from .types.resource_type import Replace, ResourceType
from .wanted import Wanted

_EXTERNAL = "external_id"  # key of a row's data: what it stands for was there before the stack


class ResourceLife:
    """Steps of the resources of one run, any number of them at the same time."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def bring(self, name: str) -> None:
        """Make one resource as the template says: everything that it requires is."""
        definition = self._run.plan.blueprint.resources[name]
        row = self._run.current[name]
        kind = find_kind(self._run.plan.kind_of(definition.type, name), self._run.plan.files)
        wanted = await self._run.wanted(definition, kind)
        same_kind = row.kind == self._run.plan.kind_of(definition.type, name)
        mine = row.generation == self._run.generation
        if row.state == progress("UPDATE") and not mine:
            break_off(row)  # what was asked before had begun it, and nobody knows how far that came
        if row.state == "INIT_COMPLETE":
            await self._create(row, wanted)
        elif row.state in FINISHED and mine:  # done, and held since
            self._run.hold(row)
        elif action_of(row.state) in ("CREATE", "ADOPT") and status_of(row.state) == "IN_PROGRESS":
            # A run that died, or an update that came before it was made.
            if mine or (same_kind and row.properties == wanted.given):
                await self._go_on_creating(row, wanted)
            else:
                await self._replace(row, definition, wanted)
        elif status_of(row.state) == "IN_PROGRESS" and mine:
            await self._go_on_updating(row, definition, wanted)
        elif await self._run.is_held(row, "pre-update"):
            pass
        elif not same_kind or _must_be_replaced(row):
            await self._replace(row, definition, wanted)
        elif not await self._run.succession.is_whole(self._run.thing_of(row)):
            self._run.look_again(row, kind)
        else:
            await self._compare(row, definition, wanted)

    # Making

    async def _create(self, row: Row, wanted: Wanted) -> None:
        if await self._run.is_held(row, "pre-create"):
            return
        row.state = progress("ADOPT" if row.physical_id else "CREATE")
        row.state_reason = "state changed"
        row.begun_at = clock.now()
        wanted.apply(row, self._run.generation)
        if wanted.external_id:
            row.data[_EXTERNAL] = wanted.external_id
        await self._run.ledger.begin(lambda tx: self._run.tell(tx, row))
        thing = self._run.thing_for(row, wanted)
        if wanted.external_id:
            row.physical_id = wanted.external_id
            await wanted.kind.check_health(thing)
        elif row.physical_id is None:
            await self._make(thing)
        await self._settle(thing, await wanted.kind.is_created(thing))

    async def _go_on_creating(self, row: Row, wanted: Wanted) -> None:
        wanted.apply(row, self._run.generation)
        thing = self._run.thing_for(row, wanted)
        if row.physical_id is None:
            found = await wanted.kind.find_made(thing) if wanted.kind.outside else None
            if found is None and may_be_made_twice(thing):
                # Whoever began may still be at it: what comes of that is looked for when it cannot come any more.
                await self._run.ledger.begin(lambda tx: look_later(tx, thing))
            await self._make(thing, found)
        await self._settle(thing, await wanted.kind.is_created(thing))

    async def _make(self, thing: Thing, found: str | None = None) -> None:
        """Make it, unless it was `found`. Another run may do so too: what is written down first stays."""
        if found is None:
            await self._run.succession.take_over(thing)
        try:
            made = found or await self._create_or_find(thing)
            outside_id = thing.row.physical_id or made
            if thing.kind.outside and outside_id is not None:
                await thing.claim(outside_id)  # at once: what is made and not written down would be lost
        except MadeTwice:
            kept = await thing.db.find(model.RESOURCES, id=thing.row.id)
            if kept is None:
                raise Superseded from None
            made = thing.row.physical_id = kept.physical_id
            thing.row.data = kept.data
        if thing.row.physical_id is None:
            thing.row.physical_id = made

    async def _create_or_find(self, thing: Thing) -> str | None:
        """A refusal may mean that another run has just made it: then there is no room for a second one."""
        try:
            return await thing.kind.create(thing)
        except ApiError:
            found = await thing.kind.find_made(thing) if thing.kind.outside else None
            if found is None:
                raise
            return found

    async def _settle(self, thing: Thing, is_ready: bool) -> None:
        """Write that it is complete; or look again later."""
        row = thing.row
        if not is_ready:
            await thing.keep()
            self._run.look_again(row, thing.kind)
            return
        row.state = complete(action_of(row.state))
        row.state_reason = "state changed"
        row.generation = self._run.generation
        for key in (BEFORE, CALLED, TRIES):
            row.data.pop(key, None)
        if not row.state.startswith("CREATE"):
            row.changed_at = clock.now()
        held = self._run.gate.has(row, hook_behind(row))

        async def finish(tx: Transaction) -> None:
            await self._run.tell(tx, row)
            if held:
                await self._run.gate.set(tx, row, hook_behind(row))

        await self._run.ledger.write(finish)
        if held:
            self._run.hold(row)
        else:
            self._run.done.add(row.name)

    # Changing

    async def _compare(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        kind = wanted.kind
        if wanted.external_id != row.data.get(_EXTERNAL):
            raise ResourceFailure(
                f"Update to property external_id of {row.name} ({row.type}) is not supported.", "NotSupported"
            )
        names = changed(row.properties, wanted.given)
        retrying = status_of(row.state) != "COMPLETE"
        metadata_changed = definition.metadata is not None and row.metadata != wanted.metadata
        if not (names or retrying or metadata_changed or kind.always_updates):
            moved = (
                row.requires != wanted.requires or row.retained != wanted.retained or row.type != wanted.type
            )
            wanted.apply(row, self._run.generation, metadata=row.metadata)
            if moved or row.generation != self._run.generation:
                await self._run.ledger.write(lambda tx: self._run.store(tx, row))
            self._run.done.add(row.name)
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
        row.data[BEFORE] = dict(row.properties)
        row.state, row.state_reason, row.begun_at = progress("UPDATE"), "state changed", clock.now()
        metadata = wanted.metadata if definition.metadata is not None else row.metadata
        wanted.apply(row, self._run.generation, metadata=metadata)
        await self._run.ledger.begin(lambda tx: self._run.tell(tx, row))
        await self._change(row, definition, wanted, names)

    async def _go_on_updating(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        thing = self._run.thing_for(row, wanted)
        before = row.data.get(BEFORE) or {}
        if row.data.get(CALLED):
            thing.previous = readable(wanted.kind.properties, before)
            await self._settle(thing, await wanted.kind.is_updated(thing))
        else:
            await self._change(row, definition, wanted, changed(before, wanted.given))

    async def _change(
        self, row: Row, definition: ResourceDefinition, wanted: Wanted, names: set[str]
    ) -> None:
        thing = self._run.thing_for(row, wanted)
        thing.previous = readable(wanted.kind.properties, row.data.get(BEFORE) or {})
        news = {name: wanted.properties.get(name) for name in names if name in wanted.kind.properties}
        try:
            if news or wanted.kind.always_updates:
                await wanted.kind.update(thing, news)
        except Replace:
            row.properties = row.data.pop(BEFORE, row.properties)
            row.state = complete("CREATE")
            await self._replace(row, definition, wanted)
            return
        row.data[CALLED] = True
        self._run.live.forget(thing)
        await self._settle(thing, await wanted.kind.is_updated(thing))

    async def _replace(self, row: Row, definition: ResourceDefinition, wanted: Wanted) -> None:
        """Another row takes the name; the old one is deleted when all is made."""
        self._check_restrictions(row.name, "replace")
        old_state = (
            complete("CREATE") if status_of(row.state) == "IN_PROGRESS" and row.physical_id else row.state
        )

        async def write(tx: Transaction) -> None:
            await tx.update(model.RESOURCES, {"id": row.id}, current=False, state=old_state)
            fresh = await self._run.insert_row(tx, definition, replaces=row.id)
            row.current, row.state = False, old_state
            self._run.rows[fresh.id] = self._run.current[row.name] = fresh

        await self._run.ledger.begin(write)
        fresh = self._run.current[row.name]
        try:
            await self._create(fresh, wanted)
        except (Superseded, StoreUnavailable):
            raise
        except Exception as error:
            await self._run.cope(fresh, error)

    def _check_restrictions(self, name: str, action: str) -> None:
        if action in self._run.plan.environment.restricted_actions(name):
            raise ResourceFailure(f"{action} is restricted for resource.", "ResourceActionRestricted")

    # Deleting

    async def delete(self, row: Row) -> bool:
        """Take away what a row stands for, then the row. Answers whether it is gone."""
        thing = self._run.thing_of(row)
        kind = thing.kind
        if row.state != progress("DELETE"):
            if row.current and await self._run.is_held(row, "pre-delete"):
                return False
            made = row.state != "INIT_COMPLETE"
            was_creating = row.state.startswith("CREATE") and not row.state.endswith("_COMPLETE")
            row.state, row.state_reason, row.begun_at = progress("DELETE"), "state changed", clock.now()
            row.data.pop(CALLED, None)
            row.data["half_made"] = was_creating

            write = self._run.tell if made else self._run.store
            await self._run.ledger.begin(lambda tx: write(tx, row))
        if row.physical_id is None and kind.outside and row.data.get("half_made"):
            row.physical_id = await kind.find_made(thing)
        if row.physical_id is not None and not row.retained:
            if not row.data.get(CALLED):
                await kind.delete(thing)
                row.data[CALLED] = True
            if not await kind.is_deleted(thing):
                await thing.keep()
                self._run.look_again(row, kind)
                return False
        if row.current and await self._run.is_held(row, "post-delete"):
            return False

        async def finish(tx: Transaction) -> None:
            await tx.delete(model.RESOURCES, id=row.id)
            row.state = complete("DELETE")
            await add_resource_event(tx, row, row.state, "state changed")

        await self._run.ledger.write(finish)
        del self._run.rows[row.id]
        return True


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
