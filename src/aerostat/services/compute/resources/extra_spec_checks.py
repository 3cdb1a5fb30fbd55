"""Which extra specs are known, and what they may be: checked since microversion 2.86.

Names and values: https://docs.openstack.org/nova/latest/configuration/extra-specs.html
A name without a namespace, or in a namespace that is not in the table, is anybody's own.
"""

import re

from aerostat.kernel.errors import BadRequest

_BOOLEAN = r"(?i:true|false|yes|no|on|off|1|0|t|f|y|n)"
_NUMBER = r"\d+"
_ANY = r".*"

# Namespace → pattern of the rest of the name → pattern of the value.
KNOWN: dict[str, dict[str, str]] = {
    "accel": {"device_profile": _ANY},
    "aggregate_instance_extra_specs": {_ANY: _ANY},
    "capabilities": {_ANY: _ANY},
    "hw": {
        "boot_menu": _BOOLEAN,
        "cpu_cores": _NUMBER,
        "cpu_dedicated_mask": r"[\d,^-]+",
        "cpu_max_cores": _NUMBER,
        "cpu_max_sockets": _NUMBER,
        "cpu_max_threads": _NUMBER,
        "cpu_policy": "dedicated|mixed|shared",
        "cpu_realtime": _BOOLEAN,
        "cpu_realtime_mask": r"[\d,^-]+",
        "cpu_sockets": _NUMBER,
        "cpu_thread_policy": "prefer|isolate|require",
        "cpu_threads": _NUMBER,
        "emulator_threads_policy": "isolate|share",
        "hide_hypervisor_id": _BOOLEAN,
        "locked_memory": _BOOLEAN,
        "maxphysaddr_bits": _NUMBER,
        "maxphysaddr_mode": "emulate|passthrough",
        "mem_encryption": _BOOLEAN,
        "mem_encryption_model": "amd-sev|amd-sev-es",
        "mem_page_size": r"large|small|any|\d+([kKMGT]i?)?(b|bit|B)?",
        r"numa_cpus\.\d+": r"[\d,^-]+",
        r"numa_mem\.\d+": _NUMBER,
        "numa_nodes": r"[1-9]\d*",
        "pci_numa_affinity_policy": "required|preferred|legacy|socket",
        "pmem": _ANY,
        "pmu": _BOOLEAN,
        "serial_port_count": _NUMBER,
        "tpm_model": "tpm-crb|tpm-tis",
        "tpm_secret_security": "user|host|deployment",
        "tpm_version": r"1\.2|2\.0",
        "viommu_model": "intel|smmuv3|virtio|auto",
        "vif_multiqueue_enabled": _BOOLEAN,
        "virtio_packed_ring": _BOOLEAN,
        "watchdog_action": "none|pause|poweroff|reset|disabled",
    },
    "hw_rng": {"allowed": _BOOLEAN, "rate_bytes": _NUMBER, "rate_period": _NUMBER},
    "hw_video": {"ram_max_mb": _NUMBER},
    "os": {"secure_boot": "disabled|optional|required"},
    "pci_passthrough": {"alias": _ANY},
    "quota": {
        r"cpu_(period|quota|shares|shares_level|limit|reservation)": r"-?\d+",
        r"disk_(read|write|total)_(bytes|iops)_sec(_max|_max_length)?": r"\d+",
        r"disk_io_(limit|reservation|shares_level|shares_share)": _ANY,
        r"memory_(limit|reservation|shares_level|shares_share)": _ANY,
        r"vif_(inbound|outbound)_(average|burst|peak)": r"\d+",
        r"vif_(limit|reservation|shares_level|shares_share)": _ANY,
    },
    "resources": {r"[A-Z0-9_]+": _NUMBER},
    "trait": {r"[A-Z0-9_]+": "required|forbidden"},
}


def check_extra_spec(name: str, value: str) -> None:
    """Raises `BadRequest` for a name that its namespace does not have, or a value that it cannot be."""
    namespace, colon, rest = name.partition(":")
    known = KNOWN.get(namespace)
    if not colon or known is None:
        return
    for pattern, allowed in known.items():
        if re.fullmatch(pattern, rest):
            if re.fullmatch(allowed, value) is None:
                raise BadRequest(f"Validation failed; extra spec '{name}' does not take the value '{value}'.")
            return
    raise BadRequest(f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.")
