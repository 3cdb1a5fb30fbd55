"""A host for a server that has none: chosen by the scheduler, held by a claim."""

from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Work

from .. import model
from ..errors import NoValidHost
from ..placing import resources_of
from ..room import room_of
from ..scheduling import decide, find_crowd


async def claim_a_host(work: Work, server: Row) -> None:
    """Choose a host and take the room on it; the claim is the server's allocation, so a repeat replaces it.

    Hosts in `work.data["tried"]` are left out. Raises `NoValidHost` with the reason of every refusal.

    Two of a group that want one host must not both give way, or they may meet again and again: the one with the lower
    id stays and looks again after a pause, the other goes on to the next host.
    """
    room = room_of(work.house)
    placing = room.placing(work.request_id)
    resources = resources_of(server.flavor)
    tried = frozenset(work.data.get("tried", ()))
    if server.host is not None and server.host not in tried:
        known = await work.db.find(model.HOSTS, name=server.host)
        if (
            known is not None
            and await find_crowd(work.db, server) is None
            and await placing.claim(server, known.id, resources)
        ):
            return
    zone = server.availability_zone
    decision = await decide(work.house, work.db, server, resources, work.request_id, tried)
    verdicts = decision.verdicts
    crowded = ""
    for host in decision.ranked:
        # Row first, claim after: a worker that was overtaken learns it here, and claims nothing any more.
        server.host, server.availability_zone = host.name, host.zone
        await work.save()
        # Members of a group that are placed at once do not know of each other before their rows say where they go.
        if (crowd := await find_crowd(work.db, server)) is not None:
            crowded = f"{host.name} was given to another member of the group at the same time"
            if crowd.goes_first:
                # One that had looked before our row was written does not give way: so we claim nothing yet.
                raise DriverError(
                    "Another server of its group has to go elsewhere.", detail=crowded, retry=True
                )
            verdicts.append({"filter": "anti_affinity", "host": host.name, "reason": crowded})
            continue
        if await placing.claim(server, host.id, resources):
            work.record(
                "done", reason=f"{host.name} was chosen", data={"host": host.name, "refused": verdicts}
            )
            return
        verdicts.append({"filter": "claim", "host": host.name, "reason": "its room was taken meanwhile"})
    server.host, server.availability_zone = None, zone
    if crowded:
        await work.save()
        raise DriverError("No host was found that is free of the server's group.", detail=crowded, retry=True)
    reason = decision.reason
    if tried and (last := work.data.get("last_refusal")):
        reason = f"{reason} {last}"
    work.record("refused", reason=reason, data={"refused": verdicts})
    raise NoValidHost(reason=reason)


async def release_claim(work: Work, server: Row) -> None:
    """The server is on no host any more. A repeat does nothing."""
    await room_of(work.house).placing(work.request_id).release(server.id)
    server.host = None
