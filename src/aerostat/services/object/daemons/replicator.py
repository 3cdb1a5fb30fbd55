"""Copies of one thing are made alike, wherever they are: objects, containers, accounts.

https://docs.openstack.org/swift/latest/overview_replication.html
"""

from ..stores.held import ACCOUNTS, CONTAINERS
from .databases_alike import DatabasesAlike
from .mending import Mending
from .objects_alike import ObjectsAlike
from .pace import Pace
from .station import Station
from .walking import Step, Walk

NAME = "replicator"


class Replicator:
    """Goes round the partitions of its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._objects = ObjectsAlike(station)
        self._databases = DatabasesAlike(station)
        self._pace = Pace(station.settings.parts_per_s)
        self._walk = Walk(
            station,
            NAME,
            lambda store: not store.startswith("fragments"),
            self._work,
            thorough_s=station.settings.thorough_s,
            ended=Mending(station, Pace(station.settings.copy_bytes_per_s)).work,
        )

    async def pass_once(self) -> bool:
        """Some partitions of each device; True when all are at the end of a round."""
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        await self._pace.spend()
        half = self._databases if step.store in (ACCOUNTS, CONTAINERS) else self._objects
        await half.work(step)
