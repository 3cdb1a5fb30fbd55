"""How many devices make an answer. Pure.

https://docs.openstack.org/swift/latest/overview_architecture.html
"""


def write_quorum(replicas: int) -> int:
    """Copies after which a write is acknowledged, as upstream counts them: at least half."""
    return (replicas + 1) // 2


def erasure_quorum(data: int, parity: int) -> int:
    """Fragments after which a write is acknowledged: one may be lost at once. Never more than there are."""
    return min(data + 1, data + parity)
