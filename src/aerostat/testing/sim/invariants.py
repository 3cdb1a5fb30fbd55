"""What must hold: some at every moment, the rest when a history has come to rest. Each broken one is said in a line.

Read from rows and from the fake world, not from what the code under test says about itself; the one exception is the
network's topology, which is derived from rows by the room's own `read_things`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Protocol

from aerostat.kernel.config import Config
from aerostat.kernel.db import Row, Store
from aerostat.kernel.model import flows, operations, quota_limits
from aerostat.services.compute import model as compute
from aerostat.services.compute.placing import resources_of
from aerostat.services.compute.states import DESIRED_POWER, ENDED_MOVES, PASSING
from aerostat.services.image import model as image
from aerostat.services.image.config import ImageConfig
from aerostat.services.network import model as network
from aerostat.services.network.config import NetworkConfig
from aerostat.services.network.host.protocol import Port, key_of
from aerostat.services.network.topology import read_things
from aerostat.services.orchestration import model as orchestration
from aerostat.services.placement import model as placement
from aerostat.services.placement.claims import capacity

from .cloud import Lasting
from .memory import Memory, Thing


class Cloud(Protocol):
    """Whose world is looked at: a simulated one, or a real one with its world as an onlooker sees it."""

    @property
    def config(self) -> Config: ...

    @property
    def lasting(self) -> Lasting: ...


# What a thing of a user's is a row of.
TABLES = {
    "server": compute.SERVERS,
    "port": network.PORTS,
    "network": network.NETWORKS,
    "subnet": network.SUBNETS,
    "floating ip": network.FLOATING_IPS,
    "group": network.SECURITY_GROUPS,
    "image": image.IMAGES,
    "stack": orchestration.STACKS,
    "server group": compute.SERVER_GROUPS,
}


async def check_always(cloud: Cloud, store: Store) -> list[str]:
    """What must hold at every moment."""
    broken = [*_double_addresses(cloud)]
    servers = await store.all(compute.SERVERS)
    broken += _over_quota(servers, await store.all(quota_limits, {"service": "compute"}))
    claims = await store.all(placement.ALLOCATIONS)
    broken += await _over_capacity(store, claims)
    broken += _twice(await store.all(network.FLOATING_IPS), "floating_ip_address", "floating IP")
    broken += _together(
        await _standing(cloud, store, servers, claims), await store.all(compute.SERVER_GROUPS)
    )
    return broken


async def check_at_rest(cloud: Cloud, store: Store, memory: Memory) -> list[str]:
    """What must hold when everybody is done and everything is healed."""
    broken = await check_always(cloud, store)
    servers = await store.all(compute.SERVERS)
    alive = [one for one in servers if one.state != "deleted"]
    ports = await store.all(network.PORTS)
    broken += await _work_left(store, alive)
    broken += await _ended_once(store)
    broken += await _reasons(store, alive)
    broken += _disks(cloud, alive, memory)
    left = await _left_behind(store, alive)
    broken += _guests(cloud, alive, ports, left)
    broken += await _allocations(store, alive, left)
    broken += await _network_world(cloud, store)
    broken += await _network_rows(store, ports, alive)
    broken += await _images(cloud, store)
    broken += await _stacks(store)
    broken += await _promises(store, memory)
    return broken


# Always


def _double_addresses(cloud: Cloud) -> Iterator[str]:
    seen: Counter[tuple[str, str]] = Counter()
    for thing in cloud.lasting.network.things.values():
        if isinstance(thing, Port):
            seen.update((thing.network_id, fixed.address) for fixed in thing.fixed_ips)
    for (network_id, address), count in seen.items():
        if count > 1:
            yield f"address {address} of network {network_id[:8]} is used {count} times in the world"


def _over_quota(servers: list[Row], limits: list[Row]) -> Iterator[str]:
    limit_of = {(row.project_id, row.resource): row.limit for row in limits}
    used: Counter[tuple[str, str]] = Counter()
    for server in servers:
        if server.state != "deleted":
            used[server.project_id, "instances"] += 1
            used[server.project_id, "cores"] += server.flavor["vcpus"]
    for (project_id, resource), count in used.items():
        limit = limit_of.get((project_id, resource), -1)
        if limit != -1 and count > limit:
            yield f"project {project_id[:8]} has {count} {resource}, its quota is {limit}"


async def _over_capacity(store: Store, claims: list[Row]) -> list[str]:
    used: Counter[tuple[str, str]] = Counter()
    for row in claims:
        used[row.provider_id, row.resource_class] += row.used
    return [
        f"host {row.provider_id[:8]} has {capacity(row)} {row.resource_class}, {used[key]} are taken"
        for row in await store.all(placement.INVENTORIES)
        if used[key := (row.provider_id, row.resource_class)] > capacity(row)
    ]


def _twice(rows: list[Row], column: str, what: str) -> Iterator[str]:
    for value, count in Counter(row[column] for row in rows).items():
        if count > 1:
            yield f"{what} {value} is used {count} times"


async def _standing(cloud: Cloud, store: Store, servers: list[Row], claims: list[Row]) -> list[Row]:
    """Servers that are on their hosts: with a claim, or as a guest. The row alone says only where one would go: of two
    that want one host at once, one finds the other there before it claims anything, and looks again later.
    """
    host_ids = {row.name: row.id for row in await store.all(compute.HOSTS)}
    claimed = {(row.consumer_id, row.provider_id) for row in claims}
    machines = cloud.lasting.hosts
    return [
        one
        for one in servers
        if one.host is not None
        and one.state not in ("deleted", "error")
        and (
            (one.id, host_ids.get(one.host)) in claimed
            or (one.host in machines and machines[one.host].has(one.id))
        )
    ]


def _together(servers: list[Row], groups: list[Row]) -> Iterator[str]:
    """Servers that were to stand apart."""
    apart = {row.id: row.name for row in groups if row.policy == "anti-affinity"}
    together = Counter((one.server_group_id, one.host) for one in servers if one.server_group_id in apart)
    for (group_id, host), count in together.items():
        if count > 1:
            yield f"{count} servers of group {apart[group_id]} stand on {host}"


# At rest


async def _work_left(store: Store, alive: list[Row]) -> list[str]:
    unconfirmed = {one.id for one in alive if one.state == "resized"}
    broken = [
        f"{row.kind} of {row.server_id[:8]} stays {row.status}"
        for row in await store.all(compute.MIGRATIONS)
        if row.status not in (*ENDED_MOVES, "finished")
        and not (row.status == "done" and row.server_id in unconfirmed)
    ]
    broken += [
        f"flow {row.name} of {row.subject_id[:8]} never ended; it is at {row.step} ({row.direction})"
        for row in await store.all(flows, {"state": "running"})
    ]
    broken += [f"server {one.name} stays {one.state}" for one in alive if one.state in (*PASSING, "deleting")]
    broken += [
        f"change of {row.kind} {row.thing_id[:8]} was never told" for row in await store.all(network.CHANGES)
    ]
    return broken


async def _ended_once(store: Store) -> list[str]:
    """A flow that ended twice was at work in two hands at once."""
    begun = Counter((row.request_id, row.subject_id, row.name) for row in await store.all(flows))
    records = await store.all(operations, {"verdict": ["done", "failed", "gone"], "step": None})
    ended = Counter(key for row in records if (key := (row.request_id, row.subject_id, row.action)) in begun)
    return [
        f"flow {key[2]} of {key[1][:8]} was begun {begun[key]} times and ended {count} times"
        for key, count in ended.items()
        if count > begun[key]
    ]


async def _reasons(store: Store, alive: list[Row]) -> list[str]:
    """Every failure has a reason, in the row and in the record."""
    broken = [
        f"server {one.name} is in error without a fault"
        for one in alive
        if one.state == "error" and not one.fault
    ]
    broken += [
        f"flow {row.name} of {row.subject_id[:8]} failed without a fault"
        for row in await store.all(flows, {"state": "failed"})
        if not row.fault
    ]
    broken += [
        f"{row.action} {row.verdict} for {str(row.subject_id)[:8]}, and the record has no reason"
        for row in await store.all(operations, {"verdict": ["failed", "refused"]})
        if not row.reason
    ]
    return broken


async def _left_behind(store: Store, alive: list[Row]) -> dict[str, Row]:
    """Moves to another host that their owners have yet to confirm, by server: both hosts hold the server. So does,
    until then, the host from which it was evacuated before.
    """
    waiting = {one.id for one in alive if one.state == "resized"}
    rows = await store.all(compute.MIGRATIONS, {"status": ["done", "finished"]})
    return {row.server_id: row for row in rows if row.server_id in waiting and row.kind != "resize"}


def _guests(cloud: Cloud, alive: list[Row], ports: list[Row], left: dict[str, Row]) -> Iterator[str]:
    """Domains, their power, their cards, their files."""
    servers = {one.id: one for one in alive}
    ports_of: dict[str, set[str]] = defaultdict(set)
    for port in ports:
        if port.device_owner.startswith("compute:"):
            ports_of[port.device_id].add(port.id)
    homes: dict[str, list[str]] = defaultdict(list)
    for host, machine in sorted(cloud.lasting.hosts.items()):
        for domain in machine.domains():
            homes[domain.id].append(host)
            server = servers.get(domain.id)
            if domain.id in left and left[domain.id].source_host == host:
                continue
            if server is None or server.host != host:
                yield f"{host} has a guest {domain.id[:8]} of no server of its own"
                continue
            wanted = DESIRED_POWER.get(server.state)
            # While its owner decides on a resize, a guest that shut itself down is let be.
            if wanted is not None and domain.state != wanted and server.state != "resized":
                yield f"server {server.name} is {server.state}, its guest {domain.state}"
            if server.state != "error" and set(domain.ports) != ports_of[server.id]:
                yield _difference(f"cards of {server.name}", set(domain.ports), ports_of[server.id])
    for server in alive:
        if server.state in DESIRED_POWER and not homes[server.id]:
            yield f"server {server.name} is {server.state} and has no guest"
        if (
            server.state in DESIRED_POWER
            and {one["port_id"] for one in server.interfaces} != ports_of[server.id]
        ):
            shown = {one["port_id"] for one in server.interfaces}
            yield _difference(f"interfaces shown of {server.name}", shown, ports_of[server.id])
    for host, machine in sorted(cloud.lasting.hosts.items()):
        for id in machine.files:
            at_home = id in servers and servers[id].host == host
            if not at_home and not (id in left and left[id].source_host == host):
                yield f"{host} keeps files of {id[:8]}, which is no server of its own"
    for host, plugged in sorted(cloud.lasting.network.plugged.items()):
        carried = {port for domain in cloud.lasting.hosts[host].domains() for port in domain.ports}
        # A server whose rebuild failed has no guest, but keeps its ports.
        carried |= {port for server in alive if server.host == host for port in ports_of[server.id]}
        if stray := sorted(set(plugged) - carried):
            yield f"{host} carries ports of no guest: {', '.join(one[:8] for one in stray)}"


def _difference(what: str, has: set[str], wants: set[str]) -> str:
    more = ", ".join(one[:8] for one in sorted(has - wants)) or "nothing"
    less = ", ".join(one[:8] for one in sorted(wants - has)) or "nothing"
    return f"{what}: {more} too much, {less} missing"


async def note_disks(cloud: Cloud, store: Store, memory: Memory) -> None:
    """Remember what servers have on their disks, to ask after it at the end."""
    for server in await store.all(compute.SERVERS, {"state": list(DESIRED_POWER)}):
        folder = cloud.lasting.hosts[server.host].files.get(server.id)
        if folder is not None:
            memory.saw_disk(server.id, folder.disk)


def _disks(cloud: Cloud, alive: list[Row], memory: Memory) -> Iterator[str]:
    """Whatever went wrong, nobody's data is lost: only a rebuild throws a disk away."""
    for server in alive:
        known = memory.disks.get(server.id)
        if known is None or server.id in memory.rebuilt:
            continue
        folder = cloud.lasting.hosts[server.host].files.get(server.id) if server.host else None
        if folder is None:
            yield f"server {server.name} is {server.state}, and its disk is lost"
        elif folder.disk != known:
            yield f"server {server.name} has another disk than it had"


async def _allocations(store: Store, alive: list[Row], left: dict[str, Row]) -> list[str]:
    hosts = {row.id: row.name for row in await store.all(compute.HOSTS)}
    claims: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in await store.all(placement.ALLOCATIONS):
        claims[row.consumer_id][hosts.get(row.provider_id, "?")][row.resource_class] = row.used
    broken = []
    for server in alive:
        found = {host: dict(one) for host, one in claims.pop(server.id, {}).items()}
        if server.state == "resized":
            continue  # it holds the larger of two flavors
        wanted = {server.host: resources_of(server.flavor)} if server.host else {}
        if found != wanted and server.state != "error":
            broken.append(f"server {server.name} should hold {wanted}, and holds {found}")
        if server.state == "error" and found and server.host not in found:
            broken.append(f"server {server.name} failed, and holds {found}")
    for row in left.values():
        claims.pop(row.id, None)
    broken += [f"a claim of {id[:8]}, which is no server: {dict(one)}" for id, one in claims.items()]
    return broken


async def _network_world(cloud: Cloud, store: Store) -> list[str]:
    """Switches hold what rows say, no more and no less."""
    things = await read_things(store, cloud.config.section(NetworkConfig))
    wanted = {key_of(thing): thing for thing in things}
    actual = cloud.lasting.network.things
    broken = [f"the world has a {key.kind} {key.id[:8]} too much" for key in actual if key not in wanted]
    for key, thing in wanted.items():
        if key not in actual:
            broken.append(f"the world lacks {key.kind} {key.id[:8]}")
        elif actual[key] != thing:
            broken.append(f"{key.kind} {key.id[:8]} is another in the world than in the rows")
    up = cloud.lasting.network.up_ports()
    for port in await store.all(network.PORTS):
        if not port.device_owner.startswith("network:") and (port.status == "ACTIVE") != (port.id in up):
            broken.append(f"port {port.name or port.id[:8]} shows {port.status}, the world says otherwise")
    return broken


async def _network_rows(store: Store, ports: list[Row], alive: list[Row]) -> list[str]:
    """Rows that lean on each other."""
    broken = []
    port_ids, servers = {port.id for port in ports}, {one.id for one in alive}
    networks = {row.id for row in await store.all(network.NETWORKS)}
    subnets = {row.id: row for row in await store.all(network.SUBNETS)}
    for port in ports:
        if port.network_id not in networks:
            broken.append(f"port {port.id[:8]} is in a network that is no more")
        if port.device_owner.startswith("compute:") and port.device_id not in servers:
            broken.append(f"port {port.name or port.id[:8]} belongs to a server that is no more")
    for row in await store.all(network.ADDRESSES):
        if row.port_id not in port_ids:
            broken.append(f"address {row.ip_address} belongs to a port that is no more")
        if row.subnet_id not in subnets:
            broken.append(f"address {row.ip_address} is in a subnet that is no more")
    broken += [
        f"subnet {one.id[:8]} is in a network that is no more"
        for one in subnets.values()
        if one.network_id not in networks
    ]
    for row in await store.all(network.FLOATING_IPS):
        if row.port_id is not None and row.port_id not in port_ids:
            broken.append(f"floating IP {row.floating_ip_address} leads to a port that is no more")
        if row.floating_port_id not in port_ids:
            broken.append(f"floating IP {row.floating_ip_address} has lost its own port")
        if (row.status == "ACTIVE") != (row.port_id is not None and row.router_id is not None):
            broken.append(
                f"floating IP {row.floating_ip_address} shows {row.status}, and leads to {row.port_id}"
            )
    return broken


async def _images(cloud: Cloud, store: Store) -> list[str]:
    """Bytes and rows of images."""
    rows = await store.all(image.IMAGES)
    at_work = ("saving", "importing")
    broken = [f"image {row.name} stays {row.status}" for row in rows if row.status in at_work]
    there = {row.id for row in rows}
    for copy in await store.all(image.LOCATIONS):
        if copy.state != "kept" or copy.image_id not in there:
            broken.append(f"a copy of image {copy.image_id} in {copy.store} stays {copy.state}")
    folder = cloud.config.section(ImageConfig).folder or cloud.config.folder.images
    kept = {path.name for path in folder.glob("??/*")}
    filled = {row.id for row in rows if row.status in ("active", "deactivated")}
    if kept != filled:
        broken.append(_difference("image files", kept, filled))
    return broken


async def _stacks(store: Store) -> list[str]:
    broken = []
    stacks = {row.id: row for row in await store.all(orchestration.STACKS)}
    for row in stacks.values():
        if row.state.endswith("_IN_PROGRESS"):
            broken.append(f"stack {row.name} stays {row.state}")
        if row.state.endswith("_FAILED") and not row.state_reason:
            broken.append(f"stack {row.name} is {row.state} without a reason")
    for row in await store.all(orchestration.RESOURCES):
        stack = stacks.get(row.stack_id)
        if row.state.endswith("_IN_PROGRESS"):
            broken.append(f"resource {row.name} of {stack.name if stack else '?'} stays {row.state}")
        if stack is not None and stack.state == "DELETE_COMPLETE" and row.physical_id and not row.retained:
            kind = _PHYSICAL.get(row.type)
            if kind is not None and await _is_there(store, kind, row.physical_id):
                broken.append(f"stack {stack.name} is deleted, and its {row.type} is still there")
    resources = await store.all(orchestration.RESOURCES)
    known = {row.physical_id for row in resources}
    # What was begun and given up is looked for by its name when the stack goes on, or is deleted.
    known_names = {row.physical_name for row in resources if _may_be_half_made(row)}
    names = {row.name for row in stacks.values()}
    for kind in sorted(set(_PHYSICAL.values())):
        broken += [
            f"{kind} {row.name} was made by a stack that does not know it"
            for row in await store.all(TABLES[kind])
            if row.id not in known
            and row.name not in known_names
            and row.get("state") != "deleted"
            and (made := _MADE_BY_STACK.fullmatch(row.name or "")) is not None
            and made[1] in names
        ]
    return broken


def _may_be_half_made(row: Row) -> bool:
    return row.physical_id is None and row.state.startswith("CREATE") and not row.state.endswith("_COMPLETE")


_MADE_BY_STACK = re.compile(r"(.+)-[a-z0-9]+-[a-z0-9]{12}")
"""Names that stacks give: the stack's, the resource's, and chance."""


_PHYSICAL = {
    "OS::Neutron::Net": "network",
    "OS::Neutron::Subnet": "subnet",
    "OS::Neutron::Port": "port",
    "OS::Neutron::SecurityGroup": "group",
    "OS::Nova::Server": "server",
}


async def _promises(store: Store, memory: Memory) -> list[str]:
    """What was answered to users holds."""
    broken = []
    for thing in memory.things.values():
        there = await _is_there(store, thing.kind, thing.id)
        if not there and not thing.doomed and not await _was_given_up(store, memory, thing):
            broken.append(f"{thing.kind} {thing.name} was promised, nobody deleted it, and it is not there")
        if there and thing.gone and not await _failed_to_end(store, thing.id):
            broken.append(f"{thing.kind} {thing.name} was deleted, and is still there")
    return broken


async def _was_given_up(store: Store, memory: Memory, thing: Thing) -> bool:
    """A subnet goes with its network; so does an image with its server while it is being made, or cannot be."""
    source = memory.things.get(thing.made_of)
    if source is None:
        return False
    failed = await store.all(flows, {"subject_id": source.id, "state": ["failed", "superseded"]})
    return source.doomed or any(row.name == "server.createImage" for row in failed)


async def _is_there(store: Store, kind: str, id: str) -> bool:
    row: Any = await store.find(TABLES[kind], id=id)
    return row is not None and row.get("state") not in ("deleted", "DELETE_COMPLETE")


async def _failed_to_end(store: Store, id: str) -> bool:
    """Whether its deletion failed, for a reason that can be read; it can be asked for again."""
    rows = await store.all(flows, {"subject_id": id, "state": "failed"})
    stack = await store.find(orchestration.STACKS, id=id)
    return any("delete" in row.name or "stop" in row.name for row in rows) or (
        stack is not None and stack.state == "DELETE_FAILED"
    )
