"""Statements in, rows out, on SQLite and PostgreSQL.

SQLAlchemy Core declares tables, knows types and writes the dialect's SQL; this layer runs the SQL itself,
because SQLAlchemy's own execution costs many times what the database does. The common statements (get, list,
insert, update, delete by equality) are built once per shape and kept; anything else goes through `fetch` and
`execute`, compiled through SQLAlchemy's statement cache.

* One write transaction at a time in a process; SQLite takes its write lock at the start (BEGIN IMMEDIATE).
* No transaction is open while a driver, a host or another room is called: keep `async with` blocks short.
* A `where` value that is a list, tuple or set means IN; None means IS NULL.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self, cast
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from sqlalchemy import (
    Column,
    Float,
    Integer,
    Numeric,
    Table,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement, ColumnElement

from .sealing import Seal, seal_of

Values = Mapping[str, Any]
_MANY = (list, tuple, set, frozenset)
FLOAT_OID, NUMERIC_OID = 701, 1700  # of PostgreSQL's pg_type


class Row(dict[str, Any]):
    """One row: a dict whose keys can be read as attributes. Changing it changes nothing in the database."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def copy(self) -> Self:
        return type(self)(self)


class StoreError(Exception):
    """Something the database refused."""


class RowNotFound(StoreError):
    def __init__(self, table: str, where: Values) -> None:
        super().__init__(f"no row in {table} with {dict(where)}")
        self.table, self.where = table, dict(where)


class Duplicate(StoreError):
    """A unique constraint refused the row; `detail` is the database's wording."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StillReferenced(StoreError):
    """A foreign key refused the change."""


class BadValue(StoreError):
    """A value that the column cannot hold: a number out of range, a text with a NUL in it or too long."""


class WrongShape(StoreError):
    """The statement names a table or column that this database does not have."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, stays locked or takes nothing in: try again later (HTTP 503)."""

    away = True  # see `kernel.errors.is_away`


class StoreRefused(StoreUnavailable):
    """The database server is there and will not have us: wrong user, password or name. Time does not heal that."""


class Connection(Protocol):
    """What a back-end lends for one transaction. `run` answers rows and the number of rows touched."""

    async def run(self, sql: str, args: Sequence[Any]) -> tuple[Sequence[Sequence[Any]], int]: ...

    async def lock(self, name: str) -> None: ...


class Backend(Protocol):
    dialect: Any

    def reading(self) -> Any: ...

    def writing(self) -> Any: ...

    async def close(self) -> None: ...


class Statement:
    """One compiled statement: SQL text, its parameters in order, how its columns are read."""

    __slots__ = ("_binds", "_fixed", "_names", "_readers", "sql")

    def __init__(self, compiled: Any) -> None:
        self.sql: str = compiled.string
        processors = compiled._bind_processors
        # asyncpg's numeric placeholders and sqlite's question marks are both positional.
        self._binds = [(name, processors.get(name)) for name in (compiled.positiontup or ())]
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        dialect = compiled.dialect
        self._names = [name for name, *_ in compiled._result_columns]
        # By name: of two columns with one name the last is kept, with its own reader.
        readers = {
            name: _reader(dialect, objects, type_) for name, _, objects, type_ in compiled._result_columns
        }
        self._readers = [(name, reader) for name, reader in readers.items() if reader is not None]

    def arguments(self, parameters: Values) -> list[Any]:
        fixed = self._fixed
        if fixed:  # constants that the dialect itself put in, such as an offset beside a limit
            parameters = {**fixed, **parameters}
        return [
            parameters[name] if processor is None else processor(parameters[name])
            for name, processor in self._binds
        ]

    def rows(self, raw: Iterable[Sequence[Any]]) -> list[Row]:
        names = self._names
        rows = [Row(zip(names, values, strict=True)) for values in raw]
        for name, reader in self._readers:
            for row in rows:
                row[name] = reader(row[name])
        return rows


def _reader(dialect: Any, objects: Any, type_: Any) -> Callable[[Any], Any] | None:
    """What turns a driver's value into ours; None when it is that already."""
    if dialect.name != "postgresql":
        return cast("Callable[[Any], Any] | None", type_._cached_result_processor(dialect, None))
    if isinstance(type_, Integer) and not any(isinstance(thing, Column) for thing in objects):
        return _whole_number  # PostgreSQL's sum of big integers is a numeric
    oid = FLOAT_OID if isinstance(type_, Float) else NUMERIC_OID if isinstance(type_, Numeric) else None
    return cast("Callable[[Any], Any] | None", type_._cached_result_processor(dialect, oid))


def _whole_number(value: Any) -> int | None:
    return None if value is None else int(value)


class Kept:
    """What was compiled for one dialect and seal: the same in every store of a process, so the next one finds it."""

    def __init__(self) -> None:
        self.statements: dict[Any, Statement] = {}
        self.compiled: dict[Any, Any] = {}
        self.readers: dict[Any, Statement] = {}
        self.defaults: dict[Table, list[tuple[str, Any, bool]]] = {}
        self.on_update: dict[Table, list[tuple[str, Any]]] = {}


_KEPT: WeakValueDictionary[tuple[str, bytes], Kept] = WeakValueDictionary()


def _kept_for(dialect: Any, seal: Seal | None) -> Kept:
    """A compiled statement holds on to the seal of the store that it was compiled for."""
    key = (dialect.name, seal.fingerprint if seal is not None else b"")
    return _KEPT.setdefault(key, Kept())


class Store:
    """A database. Reads need no transaction: `await store.find(table, id=…)`; writes do: `transaction()`."""

    def __init__(self, backend: Backend, seal: Seal | None = None) -> None:
        self._backend = backend
        self.dialect = backend.dialect
        self.dialect.seal = seal
        self._kept = _kept_for(self.dialect, seal)
        self._writing: set[asyncio.Task[Any] | None] = set()
        self._listeners: list[Callable[[str], object]] = []
        self._away_at_s = -math.inf

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """A write transaction; commits at the end of the block, rolls back on any exception.

        What was handed to `after_commit` runs once the commit is done.
        """
        task = asyncio.current_task()
        if task in self._writing:
            raise RuntimeError(
                "this task is in a transaction already: hand its `tx` on instead of opening another"
            )
        try:
            async with self._backend.writing() as connection:
                tx = Transaction(self, connection)
                self._writing.add(task)
                try:
                    yield tx
                finally:
                    self._writing.discard(task)
        except StoreUnavailable:
            self.note_away()
            raise
        for callback in tx.callbacks:
            callback()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Transaction"]:
        """Several reads over one connection."""
        async with self._backend.reading() as connection:
            yield Transaction(self, connection)

    def note_away(self) -> None:
        """It was found away. Noted by itself for writing; whoever cannot even read says so here."""
        self._away_at_s = time.monotonic()

    def has_answered_for_s(self) -> float:
        """How long ago somebody in this process last found it away."""
        return time.monotonic() - self._away_at_s

    async def get(self, table: Table, **where: Any) -> Row:
        async with self._backend.reading() as connection:
            return await Transaction(self, connection).get(table, **where)

    async def find(self, table: Table, **where: Any) -> Row | None:
        async with self._backend.reading() as connection:
            return await Transaction(self, connection).find(table, **where)

    async def all(self, table: Table, where: Values | None = None, **options: Any) -> list[Row]:
        async with self._backend.reading() as connection:
            return await Transaction(self, connection).all(table, where, **options)

    async def count(self, table: Table, **where: Any) -> int:
        async with self._backend.reading() as connection:
            return await Transaction(self, connection).count(table, **where)

    async def fetch(self, statement: ClauseElement, parameters: Values | None = None) -> list[Row]:
        async with self._backend.reading() as connection:
            return await Transaction(self, connection).fetch(statement, parameters)

    async def insert(self, table: Table, **values: Any) -> Row:
        async with self.transaction() as tx:
            return await tx.insert(table, **values)

    async def update(self, table: Table, where: Values, **values: Any) -> int:
        async with self.transaction() as tx:
            return await tx.update(table, where, **values)

    async def delete(self, table: Table, **where: Any) -> int:
        async with self.transaction() as tx:
            return await tx.delete(table, **where)

    def listen(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """Call `callback(topic)` in this process for every nudge; answers how to stop that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def nudge(self, topic: str) -> None:
        """Tell this process's listeners that rows of `topic` changed: a hint to look, not the news itself."""
        for callback in tuple(self._listeners):
            callback(topic)

    @property
    def seal(self) -> Seal:
        """For secrets inside of what is no `Sealed` column. RuntimeError when there is none."""
        return seal_of(self.dialect)

    async def close(self) -> None:
        await self._backend.close()

    # For Transaction:

    def insert_into(self, table: Table) -> Any:
        """An insert that knows `on conflict`, in this database's dialect."""
        if self.dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql  # 40 ms, for those who have that database

            return postgresql.insert(table)
        return sqlite.insert(table)

    def shaped(self, key: Any, build: Callable[[], Any]) -> Statement:
        """The kept statement of this shape, built on first use."""
        statement = self._kept.statements.get(key)
        if statement is None:
            statement = self._kept.statements[key] = Statement(build().compile(dialect=self.dialect))
        return statement

    def prepared(self, clause: Any, parameters: Values | None) -> tuple[str, list[Any], Statement]:
        """SQL, arguments and the reader of any Core statement, through SQLAlchemy's own statement cache."""
        if len(self._kept.compiled) > 2000:
            self._kept.compiled.clear()
            self._kept.readers.clear()
        compiled, extracted, *_ = clause._compile_w_cache(
            self.dialect, compiled_cache=self._kept.compiled, column_keys=[], for_executemany=False
        )
        statement = self._kept.readers.get(compiled)
        if statement is None:
            statement = self._kept.readers[compiled] = Statement(compiled)
        values = compiled.construct_params(parameters, extracted_parameters=extracted, escape_names=False)
        if not compiled.post_compile_params:
            return statement.sql, statement.arguments(values), statement
        expanded = compiled._process_parameters_for_postcompile(values)
        values = {**values, **expanded.additional_parameters}
        processors = {**compiled._bind_processors, **expanded.processors}
        arguments = []
        for name in expanded.positiontup or ():
            processor = processors.get(name)
            arguments.append(values[name] if processor is None else processor(values[name]))
        return expanded.statement, arguments, statement

    def with_defaults(self, table: Table, values: dict[str, Any]) -> dict[str, Any]:
        """`values` completed by the table's column defaults, every column present."""
        defaults = self._kept.defaults.get(table)
        if defaults is None:
            defaults = []
            for column in table.columns:
                default: Any = column.default
                if default is None:
                    if not (column.primary_key and column.autoincrement is True):
                        defaults.append((column.key, None, False))
                elif default.is_callable:
                    defaults.append((column.key, default.arg, True))
                else:
                    defaults.append((column.key, default.arg, False))
            self._kept.defaults[table] = defaults
        for name, default, is_callable in defaults:
            if name not in values:
                # SQLAlchemy wraps plain callables so that they take the execution context.
                values[name] = default(None) if is_callable else default
        return values

    def touched(self, table: Table, values: dict[str, Any]) -> dict[str, Any]:
        on_update = self._kept.on_update.get(table)
        if on_update is None:
            on_update = self._kept.on_update[table] = [
                (column.key, cast(Any, column.onupdate).arg)
                for column in table.columns
                if column.onupdate is not None
            ]
        for name, make in on_update:
            if name not in values:
                values[name] = make(None)
        return values


class Transaction:
    """Statements over one connection. Made by `Store.transaction` (writes) or `Store.snapshot` (reads)."""

    __slots__ = ("_connection", "_nudged", "_store", "callbacks")

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection
        self.callbacks: list[Callable[[], object]] = []
        self._nudged: set[str] = set()

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Run `callback` when the transaction has been committed; never when it was rolled back."""
        self.callbacks.append(callback)

    def nudge(self, topic: str) -> None:
        """`Store.nudge` after the commit; once, however often it is asked for."""
        if topic not in self._nudged:
            self._nudged.add(topic)
            self.after_commit(lambda: self._store.nudge(topic))

    async def lock(self, name: str) -> None:
        """Let only one transaction with this name go on at a time, until it ends (an advisory lock)."""
        await self._connection.lock(name)

    async def get(self, table: Table, **where: Any) -> Row:
        row = await self.find(table, **where)
        if row is None:
            raise RowNotFound(table.name, where)
        return row

    async def find(self, table: Table, **where: Any) -> Row | None:
        rows = await self.all(table, where, limit=1)
        return rows[0] if rows else None

    async def all(
        self,
        table: Table,
        where: Values | None = None,
        *,
        order: str | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Rows that equal `where`; `order` is a column name, with a leading `-` for descending."""
        where = where or {}
        key = ("all", table, _shape(where), order, limit is not None)

        def build() -> Any:
            statement = select(table).where(_condition(table, where))
            if order:
                column = table.c[order.removeprefix("-")]
                statement = statement.order_by(column.desc() if order.startswith("-") else column)
            if limit is not None:
                statement = statement.limit(bindparam("_limit", type_=Integer))
            return statement

        statement = self._store.shaped(key, build)
        parameters = _parameters(where)
        if limit is not None:
            parameters["_limit"] = limit
        raw, _ = await self._connection.run(statement.sql, statement.arguments(parameters))
        return statement.rows(raw)

    async def count(self, table: Table, **where: Any) -> int:
        key = ("count", table, _shape(where))
        statement = self._store.shaped(
            key,
            lambda: select(func.count().label("total")).select_from(table).where(_condition(table, where)),
        )
        raw, _ = await self._connection.run(statement.sql, statement.arguments(_parameters(where)))
        return int(raw[0][0])

    async def insert(self, table: Table, **values: Any) -> Row:
        """Insert one row and answer it whole, defaults included. Raises `Duplicate`, `StillReferenced`.

        After `Duplicate` the transaction may go on; after any other error of the database its block must end.
        """
        row = self._store.with_defaults(table, values)
        statement = self._insertion(table, tuple(row))
        _, inserted = await self._connection.run(statement.sql, statement.arguments(row))
        if not inserted:
            raise Duplicate(f"{table.name}: such a row is there already")
        return Row(row)

    async def insert_many(self, table: Table, rows: Iterable[Values]) -> list[Row]:
        return [await self.insert(table, **row) for row in rows]

    async def update(self, table: Table, where: Values, **values: Any) -> int:
        """Set `values` on the rows that equal `where`; answers how many: a guarded update looks at it."""
        values = self._store.touched(table, values)
        key = ("update", table, _shape(where), tuple(values))

        def build() -> Any:
            assigned = {table.c[name]: bindparam(f"v_{name}", type_=table.c[name].type) for name in values}
            return update(table).where(_condition(table, where)).values(assigned)

        statement = self._store.shaped(key, build)
        parameters = _parameters(where)
        for name, value in values.items():
            parameters[f"v_{name}"] = value
        _, touched = await self._connection.run(statement.sql, statement.arguments(parameters))
        return touched

    async def delete(self, table: Table, **where: Any) -> int:
        key = ("delete", table, _shape(where))
        statement = self._store.shaped(key, lambda: delete(table).where(_condition(table, where)))
        _, touched = await self._connection.run(statement.sql, statement.arguments(_parameters(where)))
        return touched

    async def fetch(self, clause: ClauseElement, parameters: Values | None = None) -> list[Row]:
        """Rows of any Core select."""
        sql, arguments, statement = self._store.prepared(clause, parameters)
        raw, _ = await self._connection.run(sql, arguments)
        return statement.rows(raw)

    async def execute(self, clause: ClauseElement, parameters: Values | None = None) -> int:
        """Run any other Core statement; answers the number of rows touched."""
        sql, arguments, _ = self._store.prepared(clause, parameters)
        _, touched = await self._connection.run(sql, arguments)
        return touched

    async def run_sql(self, sql: str) -> None:
        """Data definition only; everything else goes through Core."""
        await self._connection.run(sql, ())

    def _insertion(self, table: Table, names: tuple[str, ...]) -> Statement:
        return self._store.shaped(
            ("insert", table, names),
            # Doing nothing is no error, and an error would spoil the whole transaction on PostgreSQL.
            lambda: (
                self._store.insert_into(table)
                .values({name: bindparam(name, type_=table.c[name].type) for name in names})
                .on_conflict_do_nothing()
            ),
        )


def _shape(where: Values) -> tuple[Any, ...]:
    return tuple(
        (name, None if value is None else _room_for(value) if isinstance(value, _MANY) else -1)
        for name, value in where.items()
    )


def _room_for(values: Collection[Any]) -> int:
    """Places in an IN list: powers of two, so that few shapes are kept. The last value fills what is left."""
    return 1 << (len(values) - 1).bit_length() if values else 0


def _condition(table: Table, where: Values) -> ColumnElement[bool]:
    clauses: list[ColumnElement[bool]] = []
    for name, value in where.items():
        column = table.c[name]
        if value is None:
            clauses.append(column.is_(None))
        elif isinstance(value, _MANY):
            binds = [bindparam(f"w_{name}_{index}", type_=column.type) for index in range(_room_for(value))]
            clauses.append(column.in_(binds) if binds else column.is_(None) & column.isnot(None))
        else:
            clauses.append(column == bindparam(f"w_{name}", type_=column.type))
    return and_(True, *clauses)


def _parameters(where: Values) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, value in where.items():
        if isinstance(value, _MANY):
            items = list(value)
            for index in range(_room_for(items)):
                parameters[f"w_{name}_{index}"] = items[min(index, len(items) - 1)]
        elif value is not None:
            parameters[f"w_{name}"] = value
    return parameters


async def open_store(url: str, seal: Seal | None = None, *, only_read: bool = False) -> Store:
    """Open `sqlite:///path[?synchronous=off]` or `postgresql://user:password@host/database`.

    `seal` is needed where tables have `Sealed` columns. `only_read`: to look into somebody else's; a SQLite file must
    be there then, and stays as it is.
    """
    if url.startswith("sqlite:"):
        from .sqlite import SqliteBackend

        return Store(SqliteBackend.look_into(url) if only_read else SqliteBackend.open(url), seal)
    if url.startswith(("postgresql:", "postgres:")):
        from .postgres import PostgresBackend

        return Store(await PostgresBackend.open(url), seal)
    raise ValueError(
        f"a database URL starts with sqlite: or postgresql:, this one does not: {url.split(':')[0]}"
    )


def name_of_database(url: str) -> str:
    """The database at `url` in words, without who asks it."""
    at = urlsplit(url)
    if not at.hostname:
        return "the database"
    return f"the database {at.path.lstrip('/')} at {at.hostname}:{at.port or 5432}"
