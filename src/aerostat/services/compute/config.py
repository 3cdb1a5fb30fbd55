"""Settings of the compute room, section `[compute]`."""

import msgspec


class ComputeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose. The tests named beside each setting behave differently with it."""

    host_name: str = ""
    """The name under which this machine serves as a compute host; empty: the machine's own name."""
    zone: str = "nova"
    """Availability zone of hosts that no aggregate puts into another."""
    cpu_ratio: float = 16.0
    """Virtual processors promised per real one (test_hosts)."""
    ram_ratio: float = 1.0
    disk_ratio: float = 1.0
    reserved_host_memory_mib: int = 512
    reserved_host_disk_gib: int = 0
    report_s: float = 10.0
    """How often a host says that it is there (test_hosts)."""
    down_after_s: float = 60.0
    """A host not heard of for this long counts as down (test_hosts)."""
    build_limit_s: float = 1800.0
    """A server that is not built by then fails with a reason (test_create_flow)."""
    console_token_s: float = 600.0
    """For how long an address of a console is good (test_consoles)."""
    force_config_drive: bool = False
    """Give every server a config drive (test_create_server)."""
    keep_deleted_days: int = 30
    """Rows of deleted servers are kept this long for listings and usage (test_sweepers)."""
    fake_hosts: int = 1
    """Hosts of the fake world (`up --fake`)."""
