"""A little world with memory in place of switches: both halves of the contract, for tests and `--fake`.

A `FakeWorld` is the wire between the halves: a port is up when the topology has it, enabled, and a host that it
may be on has plugged it. Sockets are real, on loopback: what listens «inside a namespace» can be reached by a
test through `world.listeners`.
"""

import asyncio
import hashlib
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping

import msgspec

from aerostat.kernel.errors import DriverError

from ..host.protocol import Changes, Key, MetadataPort, Port, PortUp, Subnet, Thing, key_of, tap_name


class Faults:
    """Planned misfortune, by verb. A host's half suffers those of the world beside its own."""

    def __init__(self, of_all: "Faults | None" = None) -> None:
        self._of_all = of_all
        self._errors: dict[str, list[Exception]] = defaultdict(list)
        self._delays_s: dict[str, float] = {}

    def fail(self, verb: str, times: int = 1, error: Exception | None = None) -> None:
        self._errors[verb] += [error or DriverError(f"{verb} was told to fail", retry=True)] * times

    def delay(self, verb: str, seconds: float) -> None:
        self._delays_s[verb] = seconds

    def heal(self) -> None:
        """Take back all that was planned."""
        self._errors.clear()
        self._delays_s.clear()

    async def meet(self, verb: str) -> None:
        """Every verb passes here first."""
        if self._of_all is not None:
            await self._of_all.meet(verb)
        if wait_s := self._delays_s.get(verb):
            await asyncio.sleep(wait_s)
        if self._errors[verb]:
            raise self._errors[verb].pop(0)


class FakeWorld:
    """What both halves see."""

    def __init__(self) -> None:
        self.things: MutableMapping[Key, Thing] = {}
        self.plugged: Mapping[str, MutableMapping[str, str]] = defaultdict(dict)
        self.listeners: dict[tuple[str, str, int], tuple[str, int]] = {}
        self.faults = Faults()
        self._watchers: list[PortUp] = []
        self._up: set[str] = set()

    def watch(self, callback: PortUp) -> None:
        self._watchers.append(callback)

    def up_ports(self) -> frozenset[str]:
        return frozenset(thing.id for thing in self.things.values() if self._is_up(thing))

    def _is_up(self, thing: Thing | None) -> bool:
        return isinstance(thing, Port) and thing.kind == "guest" and thing.enabled and self._is_carried(thing)

    def _is_carried(self, port: Port) -> bool:
        """On the host that it is bound to; without one, anywhere."""
        hosts = {host for host in (port.host, port.next_host) if host is not None} or set(self.plugged)
        return any(port.id in self.plugged[host] for host in hosts if host in self.plugged)

    def settle(self, keys: Iterable[Key] | None = None) -> None:
        """Tell the watchers which ports came up and went down since the last time: of these things, or of all."""
        if keys is None:
            moved = self._up ^ self.up_ports()
        else:
            ports = {key.id: self.things.get(key) for key in keys if key.kind == "port"}
            moved = {id for id, port in ports.items() if self._is_up(port) != (id in self._up)}
        self._up ^= moved
        for port_id in sorted(moved):
            for callback in self._watchers:
                callback(port_id, port_id in self._up)


class FakeNetworkDriver:
    """`NetworkDriver` over a `FakeWorld`."""

    def __init__(self, world: FakeWorld | None = None) -> None:
        self.world = world or FakeWorld()
        self.faults = Faults(self.world.faults)
        self.fail = self.faults.fail
        self.delay = self.faults.delay

    async def start(self) -> None:
        await self.faults.meet("start")

    async def close(self) -> None:
        await self.faults.meet("close")

    async def ensure_things(self, things: Iterable[Thing]) -> Changes:
        await self.faults.meet("ensure_things")
        wanted = {key_of(thing): thing for thing in things}
        self._check_references(wanted)
        changed = [key for key, thing in wanted.items() if self.world.things.get(key) != thing]
        self.world.things.update(wanted)
        self.world.settle(changed)
        return Changes(ensured=tuple(changed))

    async def remove_things(self, keys: Iterable[Key]) -> Changes:
        await self.faults.meet("remove_things")
        gone = [key for key in keys if self.world.things.pop(key, None) is not None]
        self.world.settle(gone)
        return Changes(removed=tuple(gone))

    async def sync(self, topology: Iterable[Thing]) -> Changes:
        await self.faults.meet("sync")
        wanted = {key_of(thing): thing for thing in topology}
        surplus = tuple(key for key in self.world.things if key not in wanted)
        changed = tuple(key for key, thing in wanted.items() if self.world.things.get(key) != thing)
        self.world.things = wanted
        self.world.settle()
        return Changes(ensured=changed, removed=surplus)

    async def list_things(self) -> dict[Key, str]:
        await self.faults.meet("list_things")
        return {key: self.fingerprint(thing) for key, thing in self.world.things.items()}

    def fingerprint(self, thing: Thing) -> str:
        return hashlib.sha256(msgspec.json.encode(thing)).hexdigest()[:16]

    async def check_answers(self) -> None:
        await self.faults.meet("check_answers")

    async def list_up_ports(self) -> frozenset[str]:
        await self.faults.meet("list_up_ports")
        return self.world.up_ports()

    def on_port_up(self, callback: PortUp) -> None:
        self.world.watch(callback)

    async def wait_applied(self, timeout_s: float = 30.0) -> None:
        await self.faults.meet("wait_applied")

    def _check_references(self, wanted: dict[Key, Thing]) -> None:
        for key, thing in wanted.items():
            for needed in _references(thing):
                if needed not in wanted and needed not in self.world.things:
                    raise DriverError(f"{key} needs {needed}, which is not there", retry=True)


def _references(thing: Thing) -> list[Key]:
    """What must be there before `thing`."""
    match thing:
        case Subnet():
            return [Key("network", thing.network_id)]
        case Port():
            groups = [Key("security_group", id) for id in thing.security_groups or ()]
            router = [Key("router", thing.router.router_id)] if thing.router else []
            return [Key("network", thing.network_id), *groups, *router]
        case _ if hasattr(thing, "router_id"):
            return [Key("router", thing.router_id)]
        case _:
            return []


class FakeHostNetworkDriver:
    """`HostNetworkDriver` over a `FakeWorld`; several hosts may share one world."""

    def __init__(self, world: FakeWorld | None = None, host: str = "fake") -> None:
        self.world = world or FakeWorld()
        self.host = host
        self.metadata: dict[str, MetadataPort] = {}
        self.faults = Faults(self.world.faults)
        self.fail = self.faults.fail
        self.delay = self.faults.delay

    async def start(self) -> None:
        await self.faults.meet("start")

    async def close(self) -> None:
        await self.faults.meet("close")

    async def plug_port(self, port_id: str, mac: str, mtu: int) -> str:
        await self.faults.meet("plug_port")
        tap = self.world.plugged[self.host][port_id] = tap_name(port_id)
        self.world.settle([Key("port", port_id)])
        return tap

    async def unplug_port(self, port_id: str) -> None:
        await self.faults.meet("unplug_port")
        self.world.plugged[self.host].pop(port_id, None)
        self.world.settle([Key("port", port_id)])

    async def list_plugged_ports(self) -> dict[str, str]:
        await self.faults.meet("list_plugged_ports")
        return dict(self.world.plugged[self.host])

    async def ensure_metadata(self, port: MetadataPort) -> None:
        await self.faults.meet("ensure_metadata")
        self.metadata[port.network_id] = port

    async def remove_metadata(self, network_id: str) -> None:
        await self.faults.meet("remove_metadata")
        self.metadata.pop(network_id, None)

    async def list_metadata(self) -> frozenset[str]:
        await self.faults.meet("list_metadata")
        return frozenset(self.metadata)

    async def listen(self, namespace: str, address: str, port: int) -> socket.socket:
        """On a free port of loopback; `world.listeners` knows which."""
        await self.faults.meet("listen")
        self._check_namespace(namespace)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.world.listeners[namespace, address, port] = listener.getsockname()
        return listener

    async def connect(
        self, namespace: str, address: str, port: int, timeout_s: float = 10.0
    ) -> socket.socket:
        """To what listens there in this world; nothing else can be reached."""
        await self.faults.meet("connect")
        self._check_namespace(namespace)
        target = self.world.listeners.get((namespace, address, port))
        if target is None:
            raise DriverError(f"nothing answers at {address} port {port}", retry=True)
        try:
            connection = socket.create_connection(target, timeout_s)
        except OSError as error:
            raise DriverError(f"cannot reach {address} port {port}", detail=str(error), retry=True) from error
        connection.setblocking(False)
        return connection

    def _check_namespace(self, namespace: str) -> None:
        kind, _, network_id = namespace.partition("/")
        if namespace != "external" and not (kind == "metadata" and network_id in self.metadata):
            raise DriverError(f"there is no namespace {namespace}", retry=True)
