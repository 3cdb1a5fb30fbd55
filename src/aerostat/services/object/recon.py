"""What an operator asks of one machine of the store: its devices, its rings, how far the daemons are.

https://docs.openstack.org/swift/latest/admin/objectstorage-monitoring.html tells the questions and the names of what is
answered; where our daemons have more to say they say it under `reports`. Answers come from the devices' own files, so
that it does not matter which process is asked. All of it blocks.
"""

import hashlib
import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .daemons.progress import Report, reports
from .stores.tree import QUARANTINED, listed

PENDING = "pending"


class Machine:
    """`devices`: the folders of this machine's devices by key. `rings`: the folder of the rings."""

    def __init__(self, devices: Mapping[str, Path], rings: Path) -> None:
        self.devices, self.rings = devices, rings

    def reports(self, daemon: str) -> list[Report]:
        """Of one daemon, from all devices at which it has been."""
        return [one for root in self.devices.values() for one in reports(root) if one.daemon == daemon]


Question = Callable[[Machine], Any]


def _memory(machine: Machine) -> Any:
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    found["process_peak_kib"] = str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return found


def _load(machine: Machine) -> Any:
    one, five, fifteen, tasks, processes = Path("/proc/loadavg").read_text().split()
    return {
        "1m": float(one),
        "5m": float(five),
        "15m": float(fifteen),
        "tasks": tasks,
        "processes": int(processes),
    }


def _async(machine: Machine) -> Any:
    """Notes for containers that have not heard of their objects yet."""
    waiting = {
        key: sum(len(listed(str(folder))) for folder in (root / PENDING).glob("*"))
        for key, root in machine.devices.items()
    }
    return {"async_pending": sum(waiting.values()), "devices": waiting}


def _disk(machine: Machine) -> Any:
    found: list[dict[str, Any]] = []
    for key, root in machine.devices.items():
        try:
            space = os.statvfs(root)
        except OSError as error:
            found.append({"device": key, "mounted": str(error), "size": "", "used": "", "avail": ""})
            continue
        size, free = space.f_blocks * space.f_frsize, space.f_bfree * space.f_frsize
        available = space.f_bavail * space.f_frsize
        found.append({"device": key, "mounted": True, "size": size, "used": size - free, "avail": available})
    return found


def _away(machine: Machine) -> Any:
    return [{"device": key, "mounted": False} for key, root in machine.devices.items() if not root.is_dir()]


def _rings(machine: Machine) -> Any:
    found = {}
    for path in sorted(machine.rings.glob("*.ring")):
        found[str(path)] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return found


def _quarantined(machine: Machine) -> Any:
    counts: dict[str, int] = {"objects": 0, "containers": 0, "accounts": 0}
    policies: dict[str, dict[str, int]] = {}
    for root in machine.devices.values():
        for store in listed(str(root / QUARANTINED)):
            count = len(listed(str(root / QUARANTINED / store)))
            kind, _, policy = store.partition("-")
            kind = "objects" if kind == "fragments" else kind
            counts[kind] = counts.get(kind, 0) + count
            if kind == "objects":
                of_policy = policies.setdefault(policy or "0", {"objects": 0})
                of_policy["objects"] += count
    return {**counts, "policies": policies}


def _sockets(machine: Machine) -> Any:
    found: dict[str, int] = {}
    for path, kind in (("/proc/net/sockstat", "TCP"), ("/proc/net/sockstat6", "TCP6")):
        for line in Path(path).read_text().splitlines() if os.path.exists(path) else ():
            name, _, rest = line.partition(":")
            if name != kind:
                continue
            words = rest.split()
            values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
            if kind == "TCP6":
                found["tcp6_in_use"] = values["inuse"]
                continue
            found |= {
                "tcp_in_use": values["inuse"],
                "orphan": values["orphan"],
                "time_wait": values["tw"],
                "tcp_mem_allocated_bytes": values["mem"] * os.sysconf("SC_PAGE_SIZE"),
            }
    return found


def _of_daemon(daemon: str, prefix: str = "") -> Question:
    """How far a daemon is, over all devices; upstream's names begin with `prefix`."""

    def told(machine: Machine) -> Any:
        found = machine.reports(daemon)
        answer: dict[str, Any] = {}
        if prefix:
            stats: dict[str, int] = {}
            for report in found:
                for what, count in report.last.items():
                    stats[what] = stats.get(what, 0) + count
            answer = {
                f"{prefix}_time": max((report.took_s / 60 for report in found), default=None),
                f"{prefix}_stats": stats,
                f"{prefix}_last": min((report.ended_at for report in found), default=None),
            }
        return {**answer, "reports": [msgspec.to_builtins(report) for report in found]}

    return told


_replication = _of_daemon("replicator", "replication")
_auditor = _of_daemon("auditor", "auditor")
_updater = _of_daemon("updater", "object_updater")

QUESTIONS: Mapping[str, Question] = {
    "mem": _memory,
    "load": _load,
    "async": _async,
    "replication": _replication,
    "replication/account": _replication,
    "replication/container": _replication,
    "replication/object": _replication,
    "reconstruction/object": _of_daemon("reconstructor", "object_reconstruction"),
    "auditor/account": _auditor,
    "auditor/container": _auditor,
    "auditor/object": _auditor,
    "updater/object": _updater,
    "updater/container": _of_daemon("sums", "container_updater"),
    "expirer/object": _of_daemon("expirer", "object_expiration"),
    "reaper/account": _of_daemon("reaper"),
    "sharding": _of_daemon("sharder", "sharding"),
    "container_sync": _of_daemon("container_sync"),
    "devices": lambda machine: {str(root): key for key, root in machine.devices.items()},
    "diskusage": _disk,
    "unmounted": _away,
    "ringmd5": _rings,
    "quarantined": _quarantined,
    "sockstat": _sockets,
    "time": lambda machine: time.time(),
}
"""By the path below `/recon/`."""
