"""The administrator of a simulated cloud: moves everybody's servers, and looks after hosts that are dead or in the way.

What he did to hosts he takes back at the end (`close_up`): a host that is said to be down is left alone for ever.
"""

import random
from typing import Any

from .cloud import Reached, Reply, SimCloud
from .founding import HOSTS, Founded, Tenant
from .memory import Memory, Thing
from .users import SERVERS, NothingThere, User

SERVICES = "/compute/v2.1/os-services"
MOST_EVACUATED = 4


class Mover(User):
    """An administrator who moves everybody's servers from host to host, in any cloud."""

    def __init__(self, cloud: Reached, founded: Founded, memory: Memory, rng: random.Random) -> None:
        office = Tenant("admin", "", "", "", "", "")
        super().__init__("admin", cloud, founded, office, memory, rng)
        self._password = founded.admin_password

    async def act(self) -> None:
        await self.rng.choices((self._move, self._steer), (2, 1))[0]()

    def look_through(self, reply: Reply, what: str, but: str) -> None:
        """An administrator sees everything."""

    async def _move(self) -> None:
        server = self._some_server()
        if self.rng.random() < 0.4:
            body: dict[str, Any] = {"migrate": None}
        else:
            body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
            self._may_make_busy(server)
        what = f"{next(iter(body))} {server.name}"
        await self.ask("POST", f"{SERVERS}/{server.id}/action", body, what=what)

    async def _steer(self) -> None:
        """Break a live migration off, or hurry it."""
        server = self._some_server()
        path = f"{SERVERS}/{server.id}/migrations"
        reply = await self.ask("GET", path, what=f"migrations of {server.name}")
        if reply is None or reply.status != 200 or not reply.data["migrations"]:
            return
        path += f"/{reply.data['migrations'][0]['id']}"
        if self.rng.random() < 0.6:
            await self.ask("DELETE", path, what=f"break off the migration of {server.name}")
        else:
            await self.ask("POST", f"{path}/action", {"force_complete": None}, what=f"hurry {server.name}")

    def _some_server(self) -> Thing:
        servers = [one for one in self.memory.things.values() if one.kind == "server" and not one.gone]
        if not servers:
            raise NothingThere
        return self.rng.choice(servers[-4:])

    def _may_make_busy(self, server: Thing) -> None:
        """Only in a simulated world a guest works when it is told to."""


class Operator(Mover):
    """See the module."""

    def __init__(self, cloud: SimCloud, founded: Founded, memory: Memory, rng: random.Random) -> None:
        super().__init__(cloud, founded, memory, rng)
        self._simulated = cloud

    async def act(self) -> None:
        if self._dead_hosts() and self.rng.random() < 0.7:
            await self._evacuate()
            return
        acts = (self._move, self._steer, self._switch_host, self._remove_host)
        await self.rng.choices(acts, (8, 4, 1, 1))[0]()

    async def close_up(self) -> None:
        """All hosts are there again, and may be used."""
        for service in await self._services():
            if service["status"] == "disabled" or service["forced_down"]:
                body = {"status": "enabled", "forced_down": False}
                await self.ask("PUT", f"{SERVICES}/{service['id']}", body, what=f"{service['host']} is back")

    def _may_make_busy(self, server: Thing) -> None:
        """Its guest works so much that sending it does not end by itself."""
        if self.rng.random() < 0.4:
            for machine in self._simulated.lasting.hosts.values():
                if machine.has(server.id):
                    machine.moves.make_busy(server.id)

    # Hosts

    def _dead_hosts(self) -> list[str]:
        return [name for name in HOSTS if not self._simulated.processes[name].alive]

    async def _evacuate(self) -> None:
        """Say that a host is down, and have its servers made elsewhere, with new disks."""
        host = self.rng.choice(self._dead_hosts())
        service = await self._service_of(host)
        body = {"forced_down": True}
        reply = await self.ask("PUT", f"{SERVICES}/{service['id']}", body, what=f"{host} is down")
        if reply is None or reply.status != 200:
            return
        reply = await self.ask("GET", f"{SERVERS}?all_tenants=1&host={host}", what=f"servers of {host}")
        if reply is None or reply.status != 200:
            return
        for server in reply.data["servers"][:MOST_EVACUATED]:
            self.memory.rebuilt.add(server["id"])
            path = f"{SERVERS}/{server['id']}/action"
            await self.ask("POST", path, {"evacuate": {}}, what=f"evacuate {server['name']}")

    async def _switch_host(self) -> None:
        """Let a host have no new servers, or have them again."""
        host = self.rng.choice(HOSTS)
        service = await self._service_of(host)
        status = "disabled" if service["status"] == "enabled" else "enabled"
        await self.ask("PUT", f"{SERVICES}/{service['id']}", {"status": status}, what=f"{host} is {status}")

    async def _remove_host(self) -> None:
        """Refused while it has servers; comes back with its next report."""
        host = self.rng.choice(HOSTS)
        service = await self._service_of(host)
        await self.ask("DELETE", f"{SERVICES}/{service['id']}", what=f"remove {host}")

    async def _service_of(self, host: str) -> Any:
        found = [one for one in await self._services() if one["host"] == host]
        if not found:
            raise NothingThere
        return found[0]

    async def _services(self) -> list[Any]:
        reply = await self.ask("GET", f"{SERVICES}?binary=nova-compute", what="list hosts")
        return list(reply.data["services"]) if reply is not None and reply.status == 200 else []
