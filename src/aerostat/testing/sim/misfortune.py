"""What goes wrong in a history: drawn from the seed before it begins, then let loose while the users are at work.

Some seeds have no misfortune at all and only show what users do to each other; most have a few kinds of it, some all.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from aerostat.kernel.db import Store
from aerostat.kernel.model import flows

from .cloud import SimCloud
from .founding import HOSTS

LONGEST_OUTAGE_S = 25.0
LONGEST_DARK_S = 60.0
LONGEST_STOP_S = 45.0  # leases last 15
LEAST_STOP_AT_WORK_S = 16.0  # of an engine that has work in hands: another one takes it over
MOST_STEPS_BEFORE_DEATH = 600
LONGEST_LIFE_S = 6.0  # of one that is marked for death and has little to do


class Misfortune:
    """The plan of one history. `calm` after it: everything is healed and whoever is dead comes back."""

    def __init__(self, cloud: SimCloud, store: Store, rng: random.Random) -> None:
        self._cloud = cloud
        self._store = store
        self._rng = rng
        self._over = False
        self._acts: list[Callable[[], Awaitable[None]]] = []
        if rng.random() < 0.15:
            return
        kinds = {
            self._kill: 4,
            self._stop: 4,
            self._cut_off: 3,
            self._database_away: 2,
            self._guests_act: 3,
            self._power_cut: 1,
            self._set_clock: 1,
        }
        chosen = {kind: weight for kind, weight in kinds.items() if rng.random() < 0.6}
        if chosen:
            self._acts = rng.choices(list(chosen), list(chosen.values()), k=rng.randrange(1, 8))
        self._set_tempers()

    def _set_tempers(self) -> None:
        rng, cloud = self._rng, self._cloud
        wires, database, world = cloud.wires.temper, cloud.database.temper, cloud.moods.temper
        if rng.random() < 0.5:
            wires.loss_rate = rng.choice((0.01, 0.05, 0.2))
            wires.repeat_rate = rng.choice((0.01, 0.05, 0.2))
        if rng.random() < 0.3:
            wires.slow_rate = rng.choice((0.01, 0.1))
            wires.delay_s = rng.choice((0.01, 0.5))
        if rng.random() < 0.4:
            database.stall_rate = rng.choice((0.002, 0.01))
            database.error_rate = rng.choice((0.0, 0.002))
            database.lost_commit_rate = rng.choice((0.0, 0.01, 0.03))
        if rng.random() < 0.4:
            world.failure_rate = rng.choice((0.02, 0.2))
            world.refusal_rate = rng.choice((0.0, 0.1, 0.5))
            world.hang_rate = rng.choice((0.0, 0.03))
            world.delay_s = rng.choice((0.05, 1.0))

    async def run(self, for_s: float) -> None:
        """Let it happen, at random times within `for_s` seconds."""
        await asyncio.gather(*(self._at(self._rng.random() * for_s, act) for act in self._acts))

    async def keep_watch(self) -> None:
        """Be the supervisor: processes that ended by themselves come back."""
        while not self._over:
            await asyncio.sleep(1.0)
            self._cloud.supervise()

    async def calm(self) -> None:
        self._over = True
        cloud = self._cloud
        cloud.wires.heal()
        cloud.database.temper = type(cloud.database.temper)()
        cloud.moods.temper = type(cloud.moods.temper)()
        for machine in cloud.lasting.hosts.values():
            machine.moves.calm_down()
        for process in cloud.processes.values():
            process.dies_after, process.stopped_until_s = None, 0.0
        cloud.history.note("world", "everything heals; the dead come back")
        await cloud.up()

    async def _at(self, delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(delay_s)
        await act()

    async def _kill(self) -> None:
        """A process dies some steps from now, and comes back some time later."""
        rng, cloud = self._rng, self._cloud
        name = rng.choice(sorted(cloud.processes))
        process = cloud.processes[name]
        if not process.alive:
            return
        process.dies_after = process.steps + rng.randrange(1, rng.choice((20, 150, MOST_STEPS_BEFORE_DEATH)))
        try:
            async with asyncio.timeout(LONGEST_LIFE_S):
                await process.gone.wait()
        except TimeoutError:
            cloud.kill(process)
        cloud.history.fault("kills", name, f"killed at its step {process.steps}")
        await asyncio.sleep(rng.random() * rng.choice((1.0, LONGEST_OUTAGE_S)))
        if cloud.processes[name] is process:
            cloud.start(name)
            cloud.history.note("** " + name, "comes back")

    async def _power_cut(self) -> None:
        """A host is dark for a while, and with it its guests; those that are suspended lie on its disk."""
        rng, cloud = self._rng, self._cloud
        name = rng.choice(HOSTS)
        process = cloud.processes[name]
        if not process.alive:
            return
        cloud.kill(process)
        machine = cloud.lasting.hosts[name]
        for guest in machine.domains():
            if guest.state in ("running", "paused"):
                machine.guest_shuts_down(guest.id)
        cloud.history.fault("power cuts", name, "has no power")
        await asyncio.sleep(10.0 + rng.random() * LONGEST_DARK_S)
        if cloud.processes[name] is process:
            cloud.start(name)
            cloud.history.note("** " + name, "has power again")

    async def _set_clock(self) -> None:
        """Somebody sets the clock: time itself goes on as before."""
        by_s = self._rng.choice((-60.0, -5.0, 5.0, 60.0, 900.0, 5400.0))
        self._cloud.loop.set_clock(by_s)
        self._cloud.history.fault("clocks set", "world", f"all clocks are set by {by_s:+.0f} s")

    async def _stop(self) -> None:
        """SIGSTOP, and SIGCONT some time later: who wakes up does not know that others took over."""
        rng, cloud = self._rng, self._cloud
        name, least_s = rng.choice(sorted(cloud.processes)), 0.0
        if rng.random() < 0.7 and (engines := cloud.alive("engine")):
            name, least_s = rng.choice(engines), LEAST_STOP_AT_WORK_S
            await self._worst_moment(name)
        process = cloud.processes[name]
        for_s = rng.uniform(least_s, LONGEST_STOP_S)
        process.stopped_until_s = cloud.loop.time() + for_s
        cloud.history.fault("stops", process.name, f"stopped for {for_s:.1f} s")

    async def _worst_moment(self, engine: str) -> None:
        """Until the engine has work in hands; not for ever."""
        worker, give_up_at = self._cloud.processes[engine].worker, self._cloud.loop.time() + 10.0
        while self._cloud.loop.time() < give_up_at:
            if await self._store.count(flows, state="running", lease_worker=worker):
                return
            await asyncio.sleep(0.1)

    async def _cut_off(self) -> None:
        rng, cloud = self._rng, self._cloud
        process = cloud.processes[rng.choice(sorted(cloud.processes))]
        for_s, told = rng.random() * LONGEST_OUTAGE_S, rng.random() < 0.5
        cloud.wires.cut(process, for_s, told=told)
        how = "connection broken" if told else "silence"
        cloud.history.fault("partitions", process.name, f"cut off the bus for {for_s:.1f} s ({how})")

    async def _database_away(self) -> None:
        for_s = self._rng.random() * LONGEST_OUTAGE_S
        self._cloud.database.temper.away_until_s = self._cloud.loop.time() + for_s
        self._cloud.history.fault("database outages", "database", f"away for {for_s:.1f} s")

    async def _guests_act(self) -> None:
        """A guest shuts itself down, or crashes."""
        rng, lasting = self._rng, self._cloud.lasting
        running = [
            (host, guest.id)
            for host in sorted(lasting.hosts)
            for guest in lasting.hosts[host].domains()
            if guest.state == "running"
        ]
        if not running:
            return
        host, domain_id = rng.choice(running)
        crashes = rng.random() < 0.4
        machine = lasting.hosts[host]
        (machine.guest_crashes if crashes else machine.guest_shuts_down)(domain_id)
        how = "crashes" if crashes else "shuts itself down"
        self._cloud.history.fault("guests' own acts", host, f"the guest of server {domain_id[:8]} {how}")
