"""How long other nodes are waited for: `[object.node_waits]`."""

import msgspec


class Waits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`away_s`: how long a node or a device is not asked after it kept us waiting."""

    connect_s: float = 0.5
    answer_s: float = 10.0
    chunk_s: float = 10.0
    away_s: float = 5.0
    most_connections: int = 128
    """To each node; who needs more waits."""
