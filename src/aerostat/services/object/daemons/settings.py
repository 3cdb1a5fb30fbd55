"""Settings of the daemons: `[object.daemons]` in the TOML file. Rates are for each device; 0 is no limit."""

import msgspec


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds between the end of a round and the next of each daemon."""

    replicator: float = 30.0
    reconstructor: float = 30.0
    updater: float = 10.0
    sums: float = 60.0
    retelling: float = 10.0
    auditor: float = 3600.0
    expirer: float = 60.0
    reaper: float = 300.0
    sharder: float = 60.0
    container_sync: float = 300.0


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    enabled: bool = True
    interval_s: Interval = Interval()
    off: tuple[str, ...] = ()
    """Names of daemons that are not to run."""
    pass_s: float = 5.0
    """After so long a pass ends, and goes on from there the next time."""
    answer_s: float = 60.0
    """A device that has not answered by then is away."""
    parts_per_s: float = 100.0
    """Partitions compared."""
    copy_bytes_per_s: float = 50e6
    """Bytes of objects sent to other devices, or rebuilt."""
    thorough_s: float = 86_400.0
    """Between rounds that look at every name, for deletions that need no remembering any more."""
    audit_bytes_per_s: float = 10e6
    audit_files_per_s: float = 200.0
    audit_full_s: float = 7 * 86_400.0
    """Between rounds that read all bytes; those between look at what is known of each file only."""
    leftover_s: float = 86_400.0
    """Files without a name that were not touched for so long are removed."""
    notes_per_s: float = 500.0
    retell_per_s: float = 500.0
    retell_s: float = 3600.0
    """Between rounds that tell listings again what was written since the round before; 0: never."""
    expire_per_s: float = 100.0
    expire_at_once: int = 8
    expire_others_s: float = 600.0
    """What is overdue by so much is anybody's to delete."""
    expire_late_s: float = 0.0
    """What has expired is kept for so long, for those who may open it."""
    reap_after_s: float = 0.0
    """After its deletion an account is left alone for so long."""
    reap_per_s: float = 200.0
    shard_rows: int = 500_000
    """A container with more rows is cut; 0: never."""
    shard_rows_per_s: float = 5_000.0
    sync_per_s: float = 50.0
    """Changes sent to containers that follow others."""
