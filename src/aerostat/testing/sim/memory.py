"""What the users of a cloud know: what they made, what they asked to be gone, and whose everything is.

Held against the cloud when it has come to rest: what was promised must be there, what was deleted must not.
"""

import re

import msgspec

from .history import History

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Thing(msgspec.Struct):
    """One thing that a tenant was told it has."""

    kind: str
    id: str
    name: str
    tenant: str
    doomed: bool = False
    """Somebody asked for its end, with whatever answer: it may be gone."""
    made_of: str = ""
    """Id of what it goes with: a subnet with its network, an image with its server while it is being made."""
    gone: bool = False
    """Its end was promised, or it was said not to be there."""


class Memory:
    """Of all users together."""

    def __init__(self, history: History) -> None:
        self.things: dict[str, Thing] = {}
        self.owners: dict[str, str] = {}
        self.disks: dict[str, bytes] = {}
        """What each server's disk held when it was first seen."""
        self.rebuilt: set[str] = set()
        """Servers whose owners asked for another disk."""
        self._history = history

    def made(self, kind: str, id: str, name: str, tenant: str, made_of: str = "") -> Thing:
        self.owners[id] = tenant
        return self.things.setdefault(id, Thing(kind, id, name, tenant, made_of=made_of))

    def saw_disk(self, server_id: str, disk: bytes) -> None:
        """An onlooker saw it on the server's host."""
        self.disks.setdefault(server_id, disk)

    def of(self, tenant: str, kind: str) -> list[Thing]:
        """What the tenant believes to have, oldest first."""
        return [
            one for one in self.things.values() if one.kind == kind and one.tenant == tenant and not one.gone
        ]

    def look_for_strangers(self, tenant: str, text: str, what: str, but: str = "") -> None:
        """No answer to a tenant may hold an id of another's thing."""
        for id in UUID.findall(text):
            owner = self.owners.get(id)
            if owner is not None and owner != tenant and id != but:
                self._history.violated(f"{tenant} saw a thing of {owner}'s ({id}) in the answer to {what}")
