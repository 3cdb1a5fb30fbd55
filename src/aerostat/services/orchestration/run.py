"""What one run of a stack's flow knows of its resources, and how it writes down what becomes of them.

Everything that a run must know to go on where an earlier one died stands in the rows of the resources.
"""

from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import is_away
from aerostat.kernel.log import get_logger
from aerostat.kernel.work import Work

from . import model
from .config import OrchestrationConfig
from .errors import ResourceFailure
from .failures import is_passing, understood
from .hooks import Gate
from .kinds import find_kind
from .ledger import Ledger, add_resource_event, record_failure
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
from .types.property import read, readable
from .types.resource_type import ResourceType
from .validation import TOO_MUCH
from .wanted import STORED, Wanted

log = get_logger(__name__)

BEFORE, CALLED, TRIES = "before", "called", "tries"  # keys of a row's data while something is going on
FINISHED = frozenset(
    complete(action) for action in ("CREATE", "UPDATE", "ADOPT", "CHECK", "RESUME", "ROLLBACK")
)
_SHORTEST_WAIT_S = 0.1
_MOST_TRIES = 8
_HELD_S = 20.0  # between two looks at what waits for a user, who wakes us


class Run:
    """One run, shared by all that work on its resources. `load` comes before anything else."""

    def __init__(self, work: Work, stack: Row) -> None:
        self.work = work
        self.house = work.house
        self.stack = stack
        self.generation: int = stack.generation
        self.to_nothing = bool(work.data.get("to_nothing"))
        self.action = action_of(stack.state)
        self.ledger = Ledger(work, stack)
        self.rows: dict[str, Row] = {}  # by id
        self.succession = Succession(self.rows, self.ledger, self.thing_of)
        self.current: dict[str, Row] = {}  # by name
        self.things: dict[str, Thing] = {}  # by name, of current rows
        self.done: set[str] = set()
        self.waiting: dict[str, float] = {}  # row id → seconds
        self.failures: list[str] = []
        self._sizes: dict[str, int] = {}  # of the properties that were worked out, by name

    # Loading

    async def load(self) -> None:
        """Read what is there, and make rows for what is not. Raises `RequestLimitExceeded`."""
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
            self.things[name] = self.thing_of(row)
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
                row = await self.insert_row(tx, one, adopted.get(one.name))
                self.rows[row.id] = row

    async def insert_row(
        self,
        tx: Transaction,
        definition: ResourceDefinition,
        adopted: dict[str, Any] | None = None,
        **columns: Any,
    ) -> Row:
        """A row for a resource of which nothing is made; `adopted` is what an abandoned stack says of it."""
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

    def thing_of(self, row: Row) -> Thing:
        """The resource as its row has it."""
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

    def thing_for(self, row: Row, wanted: Wanted) -> Thing:
        """The resource as it shall be; others of the run see it so from now on."""
        thing = self.thing_of(row)
        thing.properties, thing.policy = wanted.properties, wanted.policy
        self.things[row.name] = thing
        return thing

    async def wanted(self, definition: ResourceDefinition, kind: ResourceType) -> Wanted:
        """The definition with its values worked out. Raises `BadRequest`, `ResourceFailure`, `TemplateError`."""
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
        self._sizes[name] = size_of(given)
        if sum(self._sizes.values()) > self.house.config.section(OrchestrationConfig).most_value_chars:
            raise ResourceFailure(TOO_MUCH, "RequestLimitExceeded")

    # Waiting

    async def is_held(self, row: Row, hook: str) -> bool:
        """Whether it waits at this hook."""
        if not await self.gate.holds(row, hook):
            return False
        self.hold(row)
        return True

    def hold(self, row: Row) -> None:
        """It waits for a user."""
        self.waiting[row.id] = _HELD_S

    def look_again(self, row: Row, kind: ResourceType) -> None:
        """After a while; the longer it took so far, the longer."""
        since_s = (clock.now() - (row.begun_at or clock.now())).total_seconds()
        self.waiting[row.id] = min(max(_SHORTEST_WAIT_S, since_s / 4), kind.longest_wait_s)

    # Failing

    async def cope(self, row: Row, error: Exception) -> None:
        """What went wrong with one resource: later it may go well, otherwise it is that resource's failure."""
        if not (is_passing(error) and await self._try_later(row, patiently=is_away(error))):
            await self._fail(row, error)

    async def _try_later(self, row: Row, *, patiently: bool) -> bool:
        """A room that cannot answer now is asked again: a few times, or `patiently` as long as the stack has time."""
        tries = row.data.get(TRIES, 0) + 1
        if tries > _MOST_TRIES and not patiently:
            return False
        row.data[TRIES] = min(tries, _MOST_TRIES)
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
        await self.ledger.write(lambda tx: self.mark_failed(tx, row, reason))
        detail = failure.detail and await conceal(self.house, self.stack, self.plan, failure.detail)
        record_failure(self.work, row.name, failed(action), reason, type=row.type, detail=detail)
        self.failures.append(f"{action} failed: {reason}")

    async def mark_failed(self, tx: Transaction, row: Row, reason: str) -> None:
        """Only what was going on fails; an update that failed is an update yet to be made."""
        break_off(row)
        row.state_reason = reason
        await self.tell(tx, row)

    # Writing

    async def tell(self, tx: Transaction, row: Row) -> None:
        """Write the row, and an event that says its state."""
        await self.store(tx, row)
        await add_resource_event(tx, row, row.state, row.state_reason)

    async def store(self, tx: Transaction, row: Row) -> None:
        """Write all that a run changes of a row."""
        await tx.update(model.RESOURCES, {"id": row.id}, **{name: row[name] for name in STORED})


def break_off(row: Row) -> None:
    """What is going on with it has failed: an update is one that is yet to be made."""
    row.state = failed(action_of(row.state))
    if BEFORE in row.data:
        row.properties = row.data.pop(BEFORE)
    row.data.pop(CALLED, None)
    row.data.pop(TRIES, None)
