"""Storage policies: how many copies of objects there are, or how they are coded. Containers have one each, for ever.

https://docs.openstack.org/swift/latest/overview_policies.html
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

_NAME = re.compile(r"[A-Za-z0-9-]+")
LEGACY_NAME = "Policy-0"


class PolicyError(ValueError):
    """Policies that do not fit together; the text is for the operator."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`replicas` are of kind `replication`; `ec_data` and `ec_parity` of kind `erasure`."""

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    kind: Literal["replication", "erasure"] = "replication"
    replicas: float = 3
    ec_data: int = 4
    ec_parity: int = 2
    is_default: bool = False
    is_deprecated: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def devices(self) -> float:
        """What its ring has to have as replicas."""
        return self.ec_data + self.ec_parity if self.kind == "erasure" else self.replicas


class Policies:
    """All policies of a cluster. Of one alone, that one is the default. Raises `PolicyError`."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        found = list(policies) or [Policy(index=0, name=LEGACY_NAME)]
        if len(found) == 1:
            found = [msgspec.structs.replace(found[0], is_default=True)]
        self._by_index: dict[int, Policy] = {}
        self._by_name: dict[str, Policy] = {}
        for policy in found:
            self._add(policy)
        if 0 not in self._by_index:
            raise PolicyError("One policy must have the index 0.")
        defaults = [policy for policy in found if policy.is_default]
        if len(defaults) != 1:
            raise PolicyError("One policy must be the default, and only one.")
        self.default = defaults[0]
        if self.default.is_deprecated:
            raise PolicyError(f"{self.default.name} is deprecated and cannot be the default.")

    def _add(self, policy: Policy) -> None:
        if policy.index < 0 or policy.index in self._by_index:
            raise PolicyError(f"The index {policy.index} of {policy.name} is taken, or negative.")
        if policy.kind == "erasure":
            if policy.ec_data < 1 or policy.ec_parity < 1:
                raise PolicyError(f"{policy.name} needs fragments of data and of parity.")
        elif policy.replicas < 1:
            raise PolicyError(f"{policy.name} needs a replica at least.")
        self._by_index[policy.index] = policy
        for name in policy.names:
            if not _NAME.fullmatch(name):
                raise PolicyError(f"{name!r} is no name of a policy: letters, digits and dashes are.")
            if name.upper() == LEGACY_NAME.upper() and policy.index != 0:
                raise PolicyError(f"Only the policy of index 0 may be called {LEGACY_NAME}.")
            if name.upper() in self._by_name:
                raise PolicyError(f"Two policies are called {name}.")
            self._by_name[name.upper()] = policy

    def __iter__(self) -> Iterator[Policy]:
        """In order of their indexes."""
        return (self._by_index[index] for index in sorted(self._by_index))

    def find(self, name: str) -> Policy | None:
        """By its name or an alias, in upper or lower case."""
        return self._by_name.get(name.upper())

    def get(self, index: int) -> Policy:
        """Raises KeyError."""
        return self._by_index[index]
