"""How good a cloud this machine gives, and why not a better one."""

from typing import Any


def level(facts: dict[str, Any], fake: bool) -> dict[str, str]:
    """Words by subject, from what the processes found out about the machine."""
    if fake:
        return {
            "hypervisor": "fake: servers are kept in memory, nothing boots (up without --fake boots them)",
            "network": "fake: no packet moves",
        }
    accelerator = facts.get("accelerator")
    reason = facts.get("accelerator_reason")
    words: dict[str, str] = {}
    if accelerator == "kvm":
        words["hypervisor"] = "QEMU with KVM"
    elif accelerator:
        words["hypervisor"] = "QEMU with TCG, which emulates: guests are slow" + (
            f". No KVM: {reason}" if reason else ""
        )
    if facts.get("network"):
        words["network"] = str(facts["network"])
    if user := facts.get("control_user"):
        reason = facts.get("control_user_reason")
        words["rights"] = (
            f"the control process is ROOT: {reason}"
            if reason
            else f"the control process is user {user}, no more"
        )
    return words
