"""One history: a founded cloud, some users, some misfortune, then peace, and the question whether all is well."""

import asyncio
import hashlib
import logging
import random
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import structlog

from aerostat.kernel.db import StoreUnavailable
from aerostat.kernel.errors import ApiError, DriverError
from aerostat.kernel.model import flows
from aerostat.kernel.work import Reconciler, Unfinished
from aerostat.kernel.work.runner import LeaseLost

from . import chance, invariants
from .cloud import ConnectionLost, Lasting, SimCloud
from .founding import HOSTS, Founded
from .history import History, Outcome
from .loop import PROCESS, VirtualLoop
from .memory import Memory
from .misfortune import Misfortune
from .onlooker import onlooker
from .operator import Operator
from .usage import check_usage
from .users import User

REST_LIMIT_S = 7500.0  # the longest call takes an hour, and may be lost twice
LOOK_EVERY_S = 2.0
PATIENT_EVERY, PATIENCE_S = 10, 1500.0  # twice the longest time between two rounds of a reconciler, and some
LOOK_EVERY_S_AT_PEACE = 20.0
UNDERSTOOD = (ApiError, DriverError, StoreUnavailable, Unfinished, LeaseLost, ConnectionLost)
SHAPES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("control-1", "api", "engine"),),
    (("control-1", "api", "engine"), ("control-2", "api", "engine")),
    (("control-1", "api", "engine"), ("engine-2", "engine")),
    (("api-1", "api"), ("engine-1", "engine"), ("engine-2", "engine")),
    (("api-1", "api"), ("api-2", "api"), ("engine-1", "engine")),
)


class Life:
    """See the module. Takes over this process's clock and chance: one per process."""

    def __init__(self, seed: int, founded: Founded, lasting: Lasting, template: Path, folder: Path) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.loop = VirtualLoop(random.Random(self.rng.getrandbits(64)), founded.now_s)
        chance.take_over(self.rng, self.loop)
        self.history = History(self.loop)
        self.loop.on_explosion = self._exploded
        self._hear_the_log()
        shutil.copytree(template, folder, dirs_exist_ok=True)
        self.founded = founded
        self.cloud = SimCloud(self.loop, self._draw(), self.history, folder, lasting)
        self.memory = Memory(self.history)
        self._is_peace = False
        self.store = onlooker(self.cloud.database, self.cloud.seal)

    def run(self) -> Outcome:
        start_s = self.loop.time()
        try:
            self.loop.run_until_complete(self._live())
        except Exception as error:
            self.history.violated(f"the history broke off: {type(error).__name__}: {error}")
        self._look_for_lost_errors()
        self._close_the_book()
        history = self.history
        return Outcome(
            seed=self.seed,
            digest=history.digest,
            steps=self.loop.steps,
            virtual_s=self.loop.time() - start_s,
            requests=history.requests,
            faults=dict(history.faults),
            violations=history.violations,
            lines=history.lines,
        )

    async def _live(self) -> None:
        rng, cloud = self._draw(), self.cloud
        for name, *roles in rng.choice(SHAPES):
            cloud.add(name, *roles)
        for name in HOSTS:
            cloud.add(name, "host")
        await cloud.up()
        users = self._users(rng)
        acts, pause_s = rng.randrange(4, 13), rng.choice((0.2, 2.0, 8.0))
        misfortune = Misfortune(cloud, self.store, self._draw())
        watching = [
            self.loop.spawn(None, misfortune.keep_watch(), "supervisor"),
            self.loop.spawn(None, self._watch(), "onlooker"),
        ]
        await asyncio.gather(
            *(self.loop.spawn(None, user.live(acts, pause_s), user.name) for user in users),
            self.loop.spawn(None, misfortune.run(acts * pause_s / 2 + 2.0), "misfortune"),
        )
        await misfortune.calm()
        self._is_peace = True
        for user in users:
            await user.close_up()
        await self._come_to_rest()
        for task in watching:
            task.cancel()
        for broken in await invariants.check_at_rest(cloud, self.store, self.memory):
            self.history.violated(broken)
        for tenant_user in {user.tenant.name: user for user in users if user.tenant.project_id}.values():
            for broken in await check_usage(tenant_user, self.store):
                self.history.violated(broken)

    def _users(self, rng: random.Random) -> list[User]:
        users = [
            User(f"{tenant.name}{number}", self.cloud, self.founded, tenant, self.memory, self._draw())
            for tenant in self.founded.tenants
            for number in range(1, rng.randrange(2, 4))
        ]
        if rng.random() < 0.5:
            users.append(Operator(self.cloud, self.founded, self.memory, self._draw()))
        return users

    async def _watch(self) -> None:
        """What is broken at two looks in a row is broken: a process that was stopped may write what it knew before
        it learns that it was overtaken.
        """
        before: set[str] = set()
        while True:
            await asyncio.sleep(LOOK_EVERY_S_AT_PEACE if self._is_peace else LOOK_EVERY_S)
            broken = await invariants.check_always(self.cloud, self.store)
            await invariants.note_disks(self.cloud, self.store, self.memory)
            for one in broken:
                if one in before:
                    self.history.violated(one)
            before = set(broken)

    async def _come_to_rest(self) -> None:
        """Wait until no flow is left; then what the clock would do in some hours is done at once.

        Every process is begun anew: what it kept in mind of earlier rounds is gone, so that the first round of each
        reconciler looks at everything. In some lives nobody helps: time passes, and all has to come right by itself.
        """
        await self._flows_end()
        if self.seed % PATIENT_EVERY == 0:
            await asyncio.sleep(PATIENCE_S)
            await self._flows_end()
            return
        for name in self.cloud.alive("engine", "api", "host"):
            self.cloud.kill(self.cloud.processes[name])
            self.cloud.start(name)
        await self.cloud.up()
        for _ in range(2):
            await asyncio.sleep(5.0)
            for name in self.cloud.alive("engine"):
                self._wake_all(name)
            for name, agent in self.cloud.agents.items():
                self.loop.spawn(self.cloud.processes[name], agent.tidy(), f"tidiness of {name}")
            await asyncio.sleep(10.0)
            await self._flows_end()

    async def _flows_end(self) -> None:
        give_up_at = self.loop.time() + REST_LIMIT_S
        while await self.store.count(flows, state="running"):
            if self.loop.time() > give_up_at:
                for row in await self.store.all(flows, {"state": "running"}):
                    what = f"flow {row.name} of {row.subject_id[:8]} did not end in {REST_LIMIT_S:.0f} s of peace"
                    self.history.violated(f"{what}; it is at {row.step} ({row.direction})")
                return
            await asyncio.sleep(1.0)

    def _wake_all(self, name: str) -> None:
        engine = self.cloud.houses[name].engine
        context = self.cloud.processes[name].context()
        for work in engine.periodics.values():
            if isinstance(work, Reconciler) or work.name.startswith(("compute.", "network.")):
                self.loop.call_soon(engine.nudge, work.name, context=context)

    # What nobody expected

    def _exploded(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.history.violated(f"{context.get('message')}: {type(error).__name__}: {error}")

    def _look_for_lost_errors(self) -> None:
        for task in self.loop.tasks:
            if task.done() and not task.cancelled() and getattr(task, "_log_traceback", False):
                error = task.exception()
                if not isinstance(error, (*UNDERSTOOD, AssertionError, TimeoutError)):
                    self.history.violated(
                        f"task {task.get_name()} ended unseen with {type(error).__name__}: {error}"
                    )

    def _hear_the_log(self) -> None:
        """Lines of the processes' log are kept for the story; an error that nobody foresaw is a violation."""

        def finish(_logger: Any, method: str, event: Any) -> Any:
            process = PROCESS.get()
            error = event.get("exc_info")
            if error is True:
                error = sys.exc_info()[1]
            what = f"{event.get('event')}: {_short(event)}"
            self.history.note(process.name if process else "world", f"log {method}: {what}")
            if isinstance(error, BaseException) and not isinstance(error, UNDERSTOOD):
                self.history.violated(f"{event.get('event')}: {type(error).__name__}: {error}")
            raise structlog.DropEvent

        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, finish],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )

    def _draw(self) -> random.Random:
        return random.Random(self.rng.getrandbits(64))

    def _close_the_book(self) -> None:
        """What the database holds at the end belongs to the digest."""
        database = self.cloud.database.writer
        if database.in_transaction:
            database.rollback()
        digest = hashlib.sha256()
        ours = str(
            self.cloud.config.folder.path.parent
        )  # the places of files are called otherwise in each run
        for line in _dump(database):
            digest.update(line.replace(ours, "").encode())
        self.history.add_to_digest(digest.digest())


def _short(event: Any) -> str:
    kept = {key: value for key, value in event.items() if key not in ("event", "source", "exc_info")}
    return " ".join(f"{key}={value}" for key, value in kept.items() if "id" not in key)[:200]


def _dump(database: sqlite3.Connection) -> Any:
    return database.iterdump()
