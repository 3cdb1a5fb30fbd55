"""Calls and events between roles and processes: one interface, three ways to carry it.

    bus = await open_memory_bus()                     all roles in one process
    bus = await open_local_hub(path)                  the control process, and
    bus = await open_local_bus(path)                  the others beside it on the machine
    bus = await amqp.open_amqp_bus(url)               many machines, over RabbitMQ

A call carries work to a named role (`engine`) or host (`host.node1`) and brings its answer; a cast and an
event are nudges. The database row is the truth: whatever is lost here costs latency, never work.
See `docs/subsystems/bus.md`.

`amqp` is imported by name only, so that a process that does not use it does not pay for it.
"""

from .errors import BusAway, BusError, BusGone, BusNobody, BusRefused, BusTimeout, RemoteError
from .interface import Bus, Handler, Message
from .local import open_local_bus, open_local_hub
from .memory import open_memory_bus

__all__ = [
    "Bus",
    "BusAway",
    "BusError",
    "BusGone",
    "BusNobody",
    "BusRefused",
    "BusTimeout",
    "Handler",
    "Message",
    "RemoteError",
    "open_local_bus",
    "open_local_hub",
    "open_memory_bus",
]
