"""The choice itself: filter, then weigh. Every refusal is kept, so that «no valid host» can say why."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from .filters import FILTERS
from .picture import Asked, HostPicture, Refusal


class Decision(msgspec.Struct, frozen=True):
    """Hosts that may take the server, best first, and why the others may not."""

    ranked: tuple[HostPicture, ...]
    refusals: tuple[Refusal, ...]
    reason: str

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """The refusals, as the operation record keeps them."""
        return [msgspec.structs.asdict(refusal) for refusal in self.refusals]


def choose(asked: Asked, hosts: Iterable[HostPicture]) -> Decision:
    hosts = list(hosts)
    able: list[HostPicture] = []
    refusals: list[Refusal] = []
    for host in hosts:
        refusal = next((no for check in FILTERS if (no := check(asked, host)) is not None), None)
        if refusal is None:
            able.append(host)
        else:
            refusals.append(refusal)
    if asked.group_policy == "affinity" and any(host.group_members for host in hosts):
        able = _keep_together(able, refusals)
    able.sort(key=lambda host: _weight(asked, host))
    return Decision(tuple(able), tuple(refusals), explain(refusals, len(able) + len(refusals)))


def explain(refusals: Sequence[Refusal], total: int) -> str:
    """`3 of 4 hosts lack RAM (512 MiB asked, 128 free); 1 of 4 hosts are down`"""
    if not total:
        return "There are no compute hosts."
    groups: dict[str, list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault(refusal.reason, []).append(refusal)
    parts = []
    for reason, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        text = f"{len(members)} of {total} hosts {reason}"
        amounts = [member for member in members if member.asked is not None]
        if amounts:
            most = max(amounts, key=lambda member: member.free or 0)
            asked = f"{most.asked} {most.unit}".strip()
            text += f" ({asked} asked, {most.free} free)"
        parts.append(text)
    return "; ".join(parts) + "."


def _keep_together(able: list[HostPicture], refusals: list[Refusal]) -> list[HostPicture]:
    """Affinity: once a member of the group has a host, the others must go there, or nowhere."""
    for host in able:
        if not host.group_members:
            refusals.append(
                Refusal(
                    host=host.name,
                    filter="affinity",
                    reason="do not carry the other members of the affinity server group",
                )
            )
    return [host for host in able if host.group_members]


def _weight(asked: Asked, host: HostPicture) -> tuple[int, int, int, str]:
    """Spread: soft group policies first, then most free memory, then fewest servers."""
    soft = 0
    if asked.group_policy == "soft-affinity":
        soft = -host.group_members
    elif asked.group_policy == "soft-anti-affinity":
        soft = host.group_members
    return (soft, -host.free.get("MEMORY_MB", 0), host.servers, host.name)
