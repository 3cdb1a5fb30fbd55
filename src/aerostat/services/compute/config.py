"""Settings of the compute room, section `[compute]`."""

import msgspec


class ComputeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose."""

    zone: str = "nova"
    """Availability zone of hosts that no aggregate puts into another."""
    cpu_ratio: float = 16.0
    """Virtual processors promised per real one."""
    ram_ratio: float = 1.0
    disk_ratio: float = 1.0
    reserved_host_memory_mib: int = 512
    reserved_host_disk_gib: int = 0
    report_s: float = 10.0
    """How often a host says that it is there."""
    down_after_s: float = 60.0
    """A host not heard of for this long counts as down."""
    console_token_s: float = 600.0
    """For how long an address of a console is good; the first connection uses it up before."""
    force_config_drive: bool = False
    """Give every server a config drive."""
    keep_shelved_on_host: bool = False
    """Leave the guests of shelved servers on their hosts until an administrator offloads them."""
    keep_deleted_days: int = 30
    """Rows of deleted servers are kept this long for listings and usage."""
    instances: str = ""
    """Folder in which hosts keep their servers' disks; empty: below each host's own state. With one that all hosts
    see, servers change hosts without their disks, and outlive their host."""
    libvirt_uri: str = "qemu:///system"
    """libvirt of a compute host on a machine of its own, which the distribution runs."""
    migration_uri: str = ""
    """By which the libvirt of other hosts reaches such a host's, `qemu+tls://{address}/system`; empty: no running
    server comes to it."""
    fake_hosts: int = 0
    """Hosts of the fake world (`up --fake`); 0: as many as `[kernel] hosts` says."""
