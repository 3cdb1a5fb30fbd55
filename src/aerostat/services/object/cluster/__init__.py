"""Rings, devices and policies as one: quorums, handoffs, the newest copy, erasure code."""

from .calls import Patience
from .cluster import Cluster, ObjectStore
from .errors import DeviceFull, NoQuorum
from .policies import Policies, Policy, PolicyError

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
