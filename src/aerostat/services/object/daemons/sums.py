"""Accounts hear what their containers hold, also where the process that changed those could not tell it.

Each holder tells it when its database has changed since it was told last: files that were not touched are not opened.
"""

import asyncio
import contextlib
from pathlib import Path

from ..cluster.errors import NoQuorum
from ..cluster.shards import root_in, table_in
from ..stores.entries import ContainerEntry
from ..stores.held import CONTAINERS, DatabaseState
from ..stores.protocol import Place
from ..timestamp import now
from .pace import Pace
from .station import Station
from .walking import Step, Walk

NAME = "sums"
MOST_KNOWN = 200_000


class SumsTeller:
    """Goes round the containers of its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pace = Pace(station.settings.notes_per_s)
        self._told: dict[tuple[str, str], tuple[int, ...]] = {}
        self._seen: dict[tuple[str, int], int] = {}
        self._walk = Walk(station, NAME, lambda store: store == CONTAINERS, self._work)

    async def pass_once(self) -> bool:
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        touched = await asyncio.to_thread(newest, step.device.root / CONTAINERS / str(step.part))
        if self._seen.get((step.key, step.part)) == touched:
            return
        failures = step.progress.report.counts.get("failures", 0)
        await self._tell(step)
        if step.progress.report.counts.get("failures", 0) == failures:
            self._seen[step.key, step.part] = touched

    async def _tell(self, step: Step) -> None:
        words: dict[str, list[ContainerEntry]] = {}
        news: list[tuple[DatabaseState, str]] = []
        for state in await step.device.databases(CONTAINERS, step.part):
            _, account, container = state.path.split("/", 2)
            if self._told.get((step.key, state.hashed)) == _content(state):
                continue
            containers = self._station.cluster.containers
            if (root := root_in(state.said)) is not None:
                containers.sums.changed(*root)
            if table_in(state.said) is not None:
                found = await containers.status(account, container)
            else:
                found = await step.device.container(Place(step.part, state.hashed))
            entry = ContainerEntry(
                name=container,
                put_at=state.put_at,
                deleted_at=state.deleted_at,
                policy=state.policy,
                objects=found[0].objects if found is not None else 0,
                bytes=found[0].bytes if found is not None else 0,
                said_at=now(),
            )
            words.setdefault(account, []).append(entry)
            news.append((state, account))
        for account, entries in words.items():
            await self._pace.spend(len(entries))
            try:
                await self._station.cluster.accounts.hear_sums(account, entries)
            except NoQuorum as error:
                step.progress.fail(error)
                news = [(state, of) for state, of in news if of != account]
            else:
                step.progress.count("containers", len(entries))
        if len(self._told) > MOST_KNOWN:
            self._told.clear()
        for state, _ in news:
            self._told[step.key, state.hashed] = _content(state)


def newest(folder: Path) -> int:
    """When a file below was touched last, in ns. Blocks."""
    found = 0
    for suffix in folder.glob("*"):
        with contextlib.suppress(OSError):
            found = max((found, *(path.stat().st_mtime_ns for path in suffix.iterdir())))
    return found


def _content(state: DatabaseState) -> tuple[int, ...]:
    return state.put_at, state.deleted_at, state.rows, state.checksum
