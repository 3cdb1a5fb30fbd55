"""The other nodes that rings name, and their devices: one set of connections to each node."""

from ..stores.protocol import DeviceVerbs
from .connection import Node
from .remote import RemoteDevice
from .waits import Waits


class Neighbours:
    """`secret` is the cluster's."""

    def __init__(self, secret: bytes, waits: Waits) -> None:
        self._secret = secret
        self._waits = waits
        self.nodes: dict[str, Node] = {}
        """By address."""

    def device(self, address: str, name: str) -> DeviceVerbs:
        """`address`: `HOST:PORT`. Raises ValueError where it is none."""
        if address not in self.nodes:
            self.nodes[address] = Node(address, self._secret, self._waits)
        return RemoteDevice(self.nodes[address], name)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
