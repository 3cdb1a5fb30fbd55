"""Rings, devices and policies as one: quorums, handoffs, the newest copy, erasure code.

What needs devices is loaded when it is asked for: the settings, which every process reads, only want the policies.
"""

from typing import TYPE_CHECKING, Any

from .errors import DeviceFull, NoQuorum
from .policies import Policies, Policy, PolicyError

if TYPE_CHECKING:
    from .calls import Patience
    from .cluster import Cluster, ObjectStore

__all__ = [
    "Cluster",
    "DeviceFull",
    "NoQuorum",
    "ObjectStore",
    "Patience",
    "Policies",
    "Policy",
    "PolicyError",
]


def __getattr__(name: str) -> Any:
    if name == "Patience":
        from .calls import Patience

        return Patience
    if name in ("Cluster", "ObjectStore"):
        from . import cluster

        return getattr(cluster, name)
    raise AttributeError(name)
