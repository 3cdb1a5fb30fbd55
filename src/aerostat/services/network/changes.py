"""Which things the world has not been told of yet.

Written in the transaction that changes a row, read and taken away by the topology reconciler: a change survives the
process that made it, and one changed port stays one small piece of work in a large cloud.
"""

from aerostat.kernel.db import Row, Transaction

from .host.protocol import Kind
from .model import CHANGES

TOPOLOGY = "network.topology"
EVERYTHING = "everything"
"""In the place of a kind: all things are to be compared, by whichever process comes first."""


async def touch(tx: Transaction, kind: Kind, *thing_ids: str) -> None:
    """Note that these things changed, came or went; the reconciler looks after the commit."""
    for thing_id in thing_ids:
        await tx.insert(CHANGES, kind=kind, thing_id=thing_id)
    if thing_ids:
        tx.nudge(TOPOLOGY)


async def touch_everything(tx: Transaction) -> None:
    """Note that the world may be another than anybody thinks. Nobody is woken for it."""
    if await tx.find(CHANGES, kind=EVERYTHING) is None:
        await tx.insert(CHANGES, kind=EVERYTHING, thing_id="")


async def touch_ports(tx: Transaction, *ports: Row) -> None:
    """`touch` for ports; whoever shows the ports of a device is told after the commit."""
    for port in ports:
        is_guest = not port.device_owner.startswith("network:")
        await tx.insert(CHANGES, kind="port", thing_id=port.id, device_id=port.device_id if is_guest else "")
    if ports:
        tx.nudge(TOPOLOGY)
