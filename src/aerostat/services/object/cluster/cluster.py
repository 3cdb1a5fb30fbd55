"""A cluster: rings, devices and policies, and what can be asked of them all together."""

from collections.abc import Mapping
from typing import Protocol

from ..ring import Hasher, Ring
from ..stores.device import LocalDevice
from ..stores.object_file import Facts, Revision
from ..stores.protocol import DeviceVerbs, ObjectWriting, OpenObject
from ..timestamp import Timestamp
from .accounts import Accounts
from .calls import Calls, Patience
from .containers import Containers
from .erasure import ErasureCoded
from .layout import Layout, Target
from .notes import Notes
from .policies import Policies, Policy, PolicyError
from .replicated import Replicated
from .sharded import ShardedContainers
from .standing import Standings

SUMS_AFTER_S = 3.0


class ObjectsOfPolicy(Protocol):
    """Objects of one policy. All raise `NoQuorum`; names are of account, container, object."""

    @property
    def layout(self) -> Layout:
        """Where they belong."""

    async def find(
        self, account: str, container: str, name: str, *, newest: bool = False
    ) -> OpenObject | None:
        """An object, or its tombstone; close it. `newest`: of all its devices."""

    async def begin(self, account: str, container: str, name: str, size: int | None = None) -> ObjectWriting:
        """Its `write` raises `NoQuorum` and `DeviceFull`, its `commit` `Superseded`, too."""

    async def put(self, account: str, container: str, name: str, data: bytes, facts: Facts) -> None:
        """A small object, whole. Raises `Superseded`, `DeviceFull`."""

    async def delete(self, account: str, container: str, name: str, at: Timestamp) -> Facts | None:
        """A tombstone; answers the object that was there. Raises `Superseded`, `DeviceFull`."""

    async def post(self, account: str, container: str, name: str, revision: Revision) -> Facts | None:
        """Other metadata; answers the object as it is then, None when there is none. Raises `Superseded`."""


class Cluster:
    """`devices`: by `Device.key`. Raises `PolicyError` when a ring does not fit its policy."""

    def __init__(
        self,
        hasher: Hasher,
        account_ring: Ring,
        container_ring: Ring,
        policies: Policies,
        object_rings: Mapping[int, Ring],
        devices: Mapping[str, DeviceVerbs],
        *,
        patience: Patience | None = None,
        sums_after_s: float = SUMS_AFTER_S,
    ) -> None:
        self.hasher = hasher
        self.policies = policies
        self.devices = devices
        self._local = {key for key, device in devices.items() if isinstance(device, LocalDevice)}
        self.calls = Calls(Standings(), patience or Patience())
        targets = [Target(key, device, key in self._local) for key, device in devices.items()]
        self.notes = Notes(self.calls, targets)
        self.accounts = Accounts(hasher, self._layout(account_ring), self.calls, self.notes)
        self.containers = ShardedContainers(
            Containers(
                hasher, self._layout(container_ring), self.calls, self.notes, self.accounts, sums_after_s
            )
        )
        self._objects = {policy.index: self._store(policy, object_rings[policy.index]) for policy in policies}

    def _layout(self, ring: Ring) -> Layout:
        return Layout(ring, self.devices, self._local)

    def _store(self, policy: Policy, ring: Ring) -> ObjectsOfPolicy:
        if policy.kind == "replication":
            return Replicated(policy.index, self.hasher, self._layout(ring), self.calls)
        if ring.replicas != policy.devices:
            raise PolicyError(f"The ring of {policy.name} must have {policy.devices:g} replicas.")
        return ErasureCoded(policy, self.hasher, self._layout(ring), self.calls)

    def objects(self, policy: int) -> ObjectsOfPolicy:
        """Those of the policy of this index. Raises KeyError."""
        return self._objects[policy]

    async def close(self) -> None:
        """Tell accounts what they have not heard, and wait for what is at work. Devices stay open."""
        await self.containers.sums.close()
        await self.calls.close()
