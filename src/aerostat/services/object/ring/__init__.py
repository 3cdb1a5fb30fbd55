"""The ring: which devices hold what. A pure library, with no I/O but its own file.

An account, a container or an object has a partition, found from its path by a keyed hash; a partition has as many
devices as the ring has replicas, as far apart as the devices allow. `Builder` decides this and remembers what it needs
to change it with few moves; `Ring` is what servers read.
"""

from .builder import Builder, Rebalanced
from .devices import Device, Tier, tiers_of
from .dispersion import Dispersion, measure
from .hashing import Hasher
from .ring import Ring, RingError

__all__ = [
    "Builder",
    "Device",
    "Dispersion",
    "Hasher",
    "Rebalanced",
    "Ring",
    "RingError",
    "Tier",
    "measure",
    "tiers_of",
]
