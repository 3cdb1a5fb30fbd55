"""A connection to one OVSDB database: a mirror in memory, transactions and changes, used from asyncio.

ovsdbapp keeps the mirror up to date in a thread of its own. Everything that reads or writes it runs there
too, as a job, so that nothing changes under a reader; what comes back into the event loop are plain values.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from ovs.db import data, idl, types
from ovs.poller import Poller
from ovsdbapp.backend.ovs_idl import connection, idlutils

from aerostat.kernel.errors import DriverError

from .rows import KEY, OWNER, Operation

T = TypeVar("T")


class MirrorRow:
    """A row of the mirror. Reads committed data; python-ovs' own attributes copy it at each access."""

    __slots__ = ("_row", "uuid")

    def __init__(self, row: Any) -> None:
        self._row = row
        self.uuid: UUID = row.uuid

    def read(self, column: str) -> Any:
        """Scalars as they are, maps as dicts, sets and optional values as frozensets, references as uuid
        text.
        """
        datum = self._row._data[column]
        if datum.type.is_map():
            return {key.value: value.value for key, value in datum.values.items()}
        values = (str(key.value) if isinstance(key.value, UUID) else key.value for key in datum.values)
        return frozenset(values) if datum.type.n_min == 0 or datum.type.n_max > 1 else next(values)

    def holds(self, column: str, uuid: UUID) -> bool:
        return data.Atom(types.UuidType, uuid) in self._row._data[column].values


class Mirror(idl.Idl):  # type: ignore[misc]
    """The database in memory, with an index of the rows that carry a key and an owner of ours."""

    def __init__(self, remote: str, helper: Any, on_change: Callable[[str, str, MirrorRow], None]) -> None:
        self._keys: dict[tuple[str, str], Any] = {}
        self._owned: dict[str, set[tuple[str, str]]] = {}
        self._on_change = on_change
        super().__init__(remote, helper)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Called by python-ovs for each changed row, in the connection's thread."""
        mirrored = MirrorRow(row)
        ids = mirrored.read("external_ids") if "external_ids" in row._data else {}
        if KEY in ids:
            place = (row._table.name, ids[KEY])
            if event == idl.ROW_DELETE:
                if self._keys.get(place) is row:
                    del self._keys[place]
                    self._owned.get(ids.get(OWNER, ""), set()).discard(place)
            else:
                self._keys[place] = row
                self._owned.setdefault(ids.get(OWNER, ""), set()).add(place)
        self._on_change(event, row._table.name, mirrored)

    def find(self, table: str, key: str) -> MirrorRow | None:
        row = self._keys.get((table, key))
        # After a reconnection the mirror is filled anew: what is only in the index is not there any more.
        if row is None or self.tables[table].rows.get(row.uuid) is not row:
            return None
        return MirrorRow(row)

    def rows_of(self, owner: str) -> Iterable[tuple[str, str]]:
        return [place for place in self._owned.get(owner, ()) if self.find(*place)]

    def owners(self) -> list[str]:
        return [owner for owner, places in self._owned.items() if any(self.find(*place) for place in places)]

    def rows(self, table: str) -> list[MirrorRow]:
        return [MirrorRow(rows[-1]) for rows in self.tables[table].rows.data.values()]


class _Job(Generic[T]):
    """Something for the connection's thread to do; shaped as the transactions ovsdbapp's loop takes."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.results = self
        self.commands: list[Any] = []

    def do_commit(self) -> T:
        return self._work()

    def put(self, result: Any) -> None:
        """ovsdbapp's loop hands over what `do_commit` returned or raised."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, result)

    def _finish(self, result: Any) -> None:
        if self.future.done():
            return
        if isinstance(result, idlutils.ExceptionResult):
            self.future.set_exception(result.ex)
        else:
            self.future.set_result(result)


class Database:
    """One database behind `remote` (`unix:/absolute/path`, `tcp:…`). `tables`: what to mirror, with its
    columns.
    """

    def __init__(
        self, remote: str, schema: str, tables: Mapping[str, Iterable[str]], timeout_s: float = 10.0
    ) -> None:
        self._remote, self._schema, self._tables = remote, schema, tables
        self._timeout_s = timeout_s
        self._connection: connection.Connection | None = None
        self._mirror: Mirror | None = None
        self._listeners: list[Callable[[str, str, MirrorRow], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changes: set[asyncio.Event] = set()

    def listen(self, listener: Callable[[str, str, MirrorRow], None]) -> None:
        """Call `listener(event, table, row)` for each change, in the connection's thread; be quick there."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Connect and fill the mirror; DriverError(retry) when the server does not answer in time."""
        if self._connection is not None:
            return
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s * 2):
                await asyncio.to_thread(self._connect)
        except Exception as error:
            raise DriverError(
                f"the {self._schema} database does not answer",
                detail=f"{self._remote}: {error!r}",
                retry=True,
            ) from error

    async def close(self) -> None:
        if self._connection is not None:
            stopped, self._connection = self._connection, None
            await asyncio.to_thread(stopped.stop, self._timeout_s)

    async def read(self, reader: Callable[[Mirror], T]) -> T:
        """Run `reader` on the mirror, where nothing changes under it."""
        mirror = self._mirror
        assert mirror is not None, "start() comes first"
        return await self._run(lambda: reader(mirror))

    async def wait_until(self, condition: Callable[[Mirror], bool], timeout_s: float) -> bool:
        """Wait for `condition` to be true of the mirror; False if that does not come in `timeout_s`."""
        changed = asyncio.Event()
        self._changes.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.read(condition):
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return False
        finally:
            self._changes.discard(changed)
        return True

    async def transact(self, compose: Callable[[Mirror], tuple[list[Operation], T]]) -> T:
        """Commit the operations that `compose` makes from the mirror; answers its second value.

        Composed anew if the database changed in between. A refused transaction is a DriverError, one that was
        not answered in time a DriverError(retry); then it may or may not have happened.
        """
        mirror = self._mirror
        assert mirror is not None, "start() comes first"
        return await self._run(lambda: self._commit(mirror, compose))

    def call(self, callback: Callable[..., None], *arguments: Any) -> None:
        """From a listener: call back in the event loop."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(callback, *arguments)

    def _connect(self) -> None:
        helper = idlutils.get_schema_helper(self._remote, self._schema)
        for table, columns in self._tables.items():
            helper.register_columns(table, [*columns, "external_ids"])
        mirror = Mirror(self._remote, helper, self._changed)
        self._mirror = mirror
        made = connection.Connection(mirror, self._timeout_s)
        made.start()
        self._connection = made

    async def _run(self, work: Callable[[], T]) -> T:
        if self._connection is None:
            raise DriverError(f"not connected to the {self._schema} database", retry=True)
        job = _Job(work)
        try:
            async with asyncio.timeout(self._timeout_s + 1):
                await asyncio.to_thread(self._connection.queue_txn, job)
                return await job.future
        except TimeoutError:
            raise self._no_answer() from None

    def _commit(self, mirror: Mirror, compose: Callable[[Mirror], tuple[list[Operation], T]]) -> T:
        deadline = time.monotonic() + self._timeout_s
        while True:
            transaction = idl.Transaction(mirror)
            try:
                operations, answer = compose(mirror)
                for operation in operations:
                    transaction.add_op(operation)
                status = self._commit_by(mirror, transaction, deadline)
            finally:
                transaction.abort()
            if status in (idl.Transaction.SUCCESS, idl.Transaction.UNCHANGED):
                return answer
            if status != idl.Transaction.TRY_AGAIN:
                raise DriverError(
                    f"the {self._schema} database refused a change", detail=str(transaction.get_error())
                )
            self._wait(mirror, None, min(deadline, time.monotonic() + 0.2))

    def _commit_by(self, mirror: Mirror, transaction: Any, deadline: float) -> str:
        while (status := transaction.commit()) == idl.Transaction.INCOMPLETE:
            self._wait(mirror, transaction, deadline)
        return str(status)

    def _wait(self, mirror: Mirror, transaction: Any, deadline: float) -> None:
        """Let the mirror take in what comes, until something does or the deadline is over."""
        left_s = deadline - time.monotonic()
        if transaction is not None and left_s <= 0:
            raise self._no_answer()
        poller = Poller()
        mirror.wait(poller)
        if transaction is not None:
            transaction.wait(poller)
        poller.timer_wait(max(0, int(left_s * 1000)))
        poller.block()
        mirror.run()

    def _no_answer(self) -> DriverError:
        return DriverError(
            f"the {self._schema} database did not answer in {self._timeout_s:g} s",
            detail=self._remote,
            retry=True,
        )

    def _changed(self, event: str, table: str, row: MirrorRow) -> None:
        for listener in self._listeners:
            listener(event, table, row)
        if self._changes:
            self.call(self._wake)

    def _wake(self) -> None:
        for changed in self._changes:
            changed.set()
