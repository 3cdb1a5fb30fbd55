"""Processes of ours that no supervisor of ours keeps: what `serve` started, and somebody else looks after."""

import json
from pathlib import Path
from typing import Any

from aerostat.kernel.state_folder import StateFolder


def served(folder: StateFolder) -> list[dict[str, Any]]:
    """Processes of this folder that somebody else keeps, by what they wrote when they were ready."""
    found = []
    for file in sorted(folder.run.glob("*.ready")):
        try:
            pid = int(json.loads(file.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        state = state_of(pid)
        found.append(
            {
                "name": file.stem,
                "state": state,
                "pid": pid if state != "ended" else None,
                "restarts": 0,
                "last_exit": "it did not say good-bye" if state == "ended" else None,
                "resident_mib": resident_mib(pid) if state != "ended" else None,
            }
        )
    return found


def state_of(pid: int) -> str:
    """In a word; `suspended` is what SIGSTOP does."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "ended"
    return {"T": "suspended", "t": "suspended", "Z": "ended", "X": "ended"}.get(fields[0], "running")


def resident_mib(pid: int | None) -> float | None:
    """Memory that only this process would free (PSS), if we may look; else what is resident."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(key):
                    return round(int(line.split()[1]) / 1024, 1)
        except OSError:
            continue
    return None
