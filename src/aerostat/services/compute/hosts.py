"""What the control side does when hosts speak: reports become rows, events become nudges."""

import secrets
from typing import Any

import msgspec

from aerostat.kernel import clock, ids
from aerostat.kernel.bus import Message
from aerostat.kernel.db import Duplicate
from aerostat.kernel.errors import DriverError

from . import model
from .host.orders import READ_IMAGE_VERB, REPORT_VERB, GuestEvent, HostReport, ReadImage
from .room import Room
from .states import DESIRED_POWER, RESTING

PROVIDERS = "compute.providers"
POWER = "compute.power"

# What an event says the guest is now.
_AFTER = {
    "started": "running",
    "resumed": "running",
    "rebooted": "running",
    "stopped": "shutoff",
    "paused": "paused",
    "suspended": "suspended",
    "crashed": "crashed",
    "removed": "absent",
}


class HostDesk:
    """Answers what hosts ask of the control side, on topic `compute`, and hears what guests do."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._house = room.house

    async def answer(self, message: Message) -> Any:
        if message.verb == REPORT_VERB:
            return await self.take_report(message.read(HostReport))
        if message.verb == READ_IMAGE_VERB:
            return await self._room.images.read(message.read(ReadImage), message.request_id)
        raise DriverError(f"The compute room does not know how to {message.verb}.")

    async def take_report(self, report: HostReport) -> None:
        """A host is there: keep what it has. What changes its inventory wakes the reconciler of providers."""
        db = self._house.store
        facts = {
            **msgspec.to_builtins(report.facts),
            "uptime_s": report.uptime_s,
            "load": list(report.load),
            "export_format": report.export_format,
            "abilities": list(report.abilities),
        }
        known = await db.find(model.HOSTS, name=report.name)
        if known is None:
            try:
                await db.insert(
                    model.HOSTS,
                    name=report.name,
                    number=secrets.randbelow(2**31 - 1) + 1,
                    service_id=ids.new_id(),
                    facts=facts,
                    booted_at=report.booted_at,
                    seen_at=clock.now(),
                )
            except Duplicate:
                return  # two reports at once; the next one updates
            self._house.nudge(PROVIDERS)
            return
        await db.update(
            model.HOSTS,
            {"id": known.id},
            facts=facts,
            booted_at=report.booted_at,
            seen_at=clock.now(),
            updated_at=clock.now(),
        )
        if any(known.facts.get(key) != facts[key] for key in ("vcpus", "memory_mib", "disk_gib")):
            self._house.nudge(PROVIDERS)
        if known.booted_at != report.booted_at:
            self._house.nudge(POWER)

    async def heed_guest(self, message: Message) -> None:
        """Look again if what happened to the guest is not what its server should be."""
        event = message.read(GuestEvent)
        server = await self._house.store.find(model.SERVERS, id=event.server_id)
        if server is None or server.state not in RESTING:
            return
        if DESIRED_POWER.get(server.state) != _AFTER.get(event.what):
            self._house.nudge(POWER)

    async def heed_ports(self, message: Message) -> None:
        """The network room says that ports of these servers changed: what is shown of them is old."""
        servers = [id for id in message.body.get("device_ids", ()) if ids.is_uuid(id)]
        if servers:
            rows = await self._house.store.all(model.SERVERS, {"id": servers})
            for row in rows:
                if row.host is not None:
                    self._room.card_watch.forget(row.host)
                if row.state != "deleted" and not row.interfaces_stale:
                    await self._house.store.update(
                        model.SERVERS, {"id": row.id}, interfaces_stale=True, updated_at=row.updated_at
                    )
