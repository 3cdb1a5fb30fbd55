"""The topology in OVN: `NetworkDriver` over the northbound database.

`ovn-northd` turns what stands there into flows and every host's `ovn-controller` puts them into its switch;
this driver writes rows and nothing else. A small change costs what it touches, a full comparison reads
everything once.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from aerostat.kernel.errors import DriverError

from ...host.protocol import Changes, Key, Kind, PortUp, Thing, key_of
from . import acl
from .compile import BASE_OWNER, COLUMNS, compile_base, compile_thing
from .database import Database, Mirror, MirrorRow
from .rows import KEY, OWNER, Operation, Plan, Row

_TABLES = {**COLUMNS, "NB_Global": ("nb_cfg", "hv_cfg")}
_PORT_OWNER = "port/"


class OvnNetworkDriver:
    """`remote`: where the northbound database listens (`unix:/absolute/path` or `tcp:address:port`).

    `gateway_hosts`: names of the hosts that routers' gateways may live on, the preferred one first.
    """

    def __init__(self, remote: str, gateway_hosts: Sequence[str] = (), timeout_s: float = 10.0) -> None:
        self._database = Database(remote, "OVN_Northbound", _TABLES, timeout_s)
        self._gateway_hosts = tuple(gateway_hosts)
        self._watchers: list[PortUp] = []
        self._up: dict[str, bool] = {}
        self._database.listen(self._on_change)

    async def start(self) -> None:
        await self._database.start()

    async def close(self) -> None:
        await self._database.close()

    async def ensure_things(self, things: Iterable[Thing]) -> Changes:
        wanted = {str(key_of(thing)): self._compile(thing) for thing in things}
        return await self._apply(lambda mirror: _with_base(mirror, wanted))

    async def remove_things(self, keys: Iterable[Key]) -> Changes:
        gone: dict[str, list[Row]] = {str(key): [] for key in keys}
        return await self._apply(lambda mirror: gone)

    async def sync(self, topology: Iterable[Thing]) -> Changes:
        wanted = {str(key_of(thing)): self._compile(thing) for thing in topology}
        wanted[BASE_OWNER] = compile_base()
        return await self._apply(lambda mirror: {**{owner: [] for owner in mirror.owners()}, **wanted})

    async def list_things(self) -> dict[Key, str]:
        def read(mirror: Mirror) -> dict[Key, str]:
            owners = (owner for owner in mirror.owners() if owner != BASE_OWNER)
            return {_key(owner): _fingerprint(_actual_rows(mirror, owner)) for owner in owners}

        return await self._database.read(read)

    def fingerprint(self, thing: Thing) -> str:
        return _fingerprint(
            (row.table, row.key, {**row.columns, "external_ids": row.external_ids()})
            for row in self._compile(thing)
        )

    async def check_answers(self) -> None:
        await self._database.read(lambda mirror: None)

    async def list_up_ports(self) -> frozenset[str]:
        def read(mirror: Mirror) -> frozenset[str]:
            rows = mirror.rows("Logical_Switch_Port")
            return frozenset(
                port_id for row in rows if (port_id := _guest_port_id(row)) and True in row.read("up")
            )

        return await self._database.read(read)

    def on_port_up(self, callback: PortUp) -> None:
        self._watchers.append(callback)

    async def wait_applied(self, timeout_s: float = 30.0) -> None:
        target = await self._database.transact(_ask_for_number)
        if not await self._database.wait_until(lambda mirror: _hosts_at(mirror) >= target, timeout_s):
            reached = await self._database.read(_hosts_at)
            raise DriverError(
                f"the hosts did not take up the network's state in {timeout_s:g} s",
                detail=f"asked for {target}, they are at {reached}",
                retry=True,
            )

    def _compile(self, thing: Thing) -> list[Row]:
        return compile_thing(thing, self._gateway_hosts)

    async def _apply(self, choose: "ChooseRows") -> Changes:
        def compose(mirror: Mirror) -> tuple[list[Operation], Changes]:
            wanted = choose(mirror)
            plan = Plan(mirror)
            touched = [owner for owner in plan.run(wanted) if owner != BASE_OWNER]
            return plan.operations, Changes(
                ensured=tuple(_key(owner) for owner in touched if wanted[owner]),
                removed=tuple(_key(owner) for owner in touched if not wanted[owner]),
            )

        return await self._database.transact(compose)

    def _on_change(self, event: str, table: str, row: MirrorRow) -> None:
        """In the database's thread."""
        if table == "Logical_Switch_Port" and (port_id := _guest_port_id(row)):
            is_up = event != "delete" and True in row.read("up")
            if self._up.get(port_id, False) != is_up:
                self._up[port_id] = is_up
                self._database.call(self._tell, port_id, is_up)
            if event == "delete":
                self._up.pop(port_id, None)

    def _tell(self, port_id: str, is_up: bool) -> None:
        for callback in self._watchers:
            callback(port_id, is_up)


ChooseRows: TypeAlias = Callable[[Mirror], Mapping[str, list[Row]]]

# Columns that show other rows, or what OVN found: not part of what a thing is.
_SHOWN = {"ports", "dns_records", "acls", "nat", "static_routes", "gateway_chassis", "up"}
_REFERENCES = {"dhcpv4_options", "dhcpv6_options"}


def _with_base(mirror: Mirror, wanted: dict[str, list[Row]]) -> dict[str, list[Row]]:
    if mirror.find("Port_Group", acl.DROP_GROUP) is not None:
        return wanted
    return {BASE_OWNER: compile_base(), **wanted}


def _ask_for_number(mirror: Mirror) -> tuple[list[Operation], int]:
    """Count the asked-for state one up; OVN writes back how far the slowest host has come."""
    present = int(mirror.rows("NB_Global")[0].read("nb_cfg"))
    count = {"op": "mutate", "table": "NB_Global", "where": [], "mutations": [["nb_cfg", "+=", 1]]}
    return [count], present + 1


def _hosts_at(mirror: Mirror) -> int:
    return int(mirror.rows("NB_Global")[0].read("hv_cfg"))


def _guest_port_id(row: MirrorRow) -> str | None:
    """The id of the guest port that this switch port is; None for all others."""
    ids = row.read("external_ids")
    is_guest = ids.get(OWNER, "").startswith(_PORT_OWNER) and row.read("type") == ""
    return ids[KEY] if is_guest else None


def _key(owner: str) -> Key:
    kind, _, id = owner.partition("/")
    return Key(cast(Kind, kind), id)


def _actual_rows(mirror: Mirror, owner: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for table, key in mirror.rows_of(owner):
        row = mirror.find(table, key)
        if row is not None:
            columns = (column for column in (*COLUMNS[table], "external_ids"))
            yield table, key, {column: row.read(column) for column in columns if column not in _REFERENCES}


def _fingerprint(rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    """Equal for equal rows; blind to references and to what others put beside them."""
    plain = sorted(
        [
            table,
            key,
            [[name, _plain(value)] for name, value in sorted(columns.items()) if _is_own(name, value)],
        ]
        for table, key, columns in rows
    )
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def _is_own(column: str, value: Any) -> bool:
    return column not in _SHOWN | _REFERENCES and (isinstance(value, int) or bool(value))


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return sorted(value.items()) if isinstance(value, dict) else value
