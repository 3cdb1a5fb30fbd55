"""`host drain NAME --move`: the servers of a host go to others, a few at a time.

Running and paused ones go while they run; those that are off are carried over, stay off, and their moves are confirmed.
Nothing is remembered here: every round looks at where the servers are. So it may be interrupted or killed at any moment
and called again, also by somebody else: what was begun goes on in the cloud meanwhile, and is followed again.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aerostat.cli.api import Api, ApiFailed
from aerostat.cli.plain import plain

LOOK_EVERY_S = 1.0
MOST_CONFLICTS = 5
"""So often may a server have just begun something else when it is told to go."""
LIVE, COLD = "live", "cold"
# What a server does by its status, when it is at rest; all others stay.
WAYS = {"ACTIVE": LIVE, "PAUSED": LIVE, "SHUTOFF": COLD}
WHY_NOT = {
    "VERIFY_RESIZE": "its owner has yet to confirm or revert a resize",
    "SUSPENDED": "it is suspended; it can go when it was resumed",
    "SHELVED": "it is shelved; `openstack server shelve --offload` takes it off the host",
    "RESCUE": "it is being rescued; it can go when that is over",
    "ERROR": "it is in ERROR",
}
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    # Versions in which the API says at once that no host has room: later ones leave that to be found out.
    LIVE: ("2.30", {"os-migrateLive": {"host": None, "block_migration": "auto", "force": False}}),
    COLD: ("2.56", {"migrate": None}),
}


@dataclass
class Leaving:
    """A server that is on its way."""

    name: str
    began_at_s: float
    is_live: bool


@dataclass
class Outcome:
    """Names of servers that went, and the reason for each that did not."""

    gone: list[str] = field(default_factory=list)
    stay: dict[str, str] = field(default_factory=dict)


class Emptying:
    """Moves servers off `host`. `say` is given a line about each that went or will not go."""

    def __init__(
        self, api: Api, host: str, *, at_once: int, limit_s: float, say: Callable[[str], None] = print
    ) -> None:
        self._api = api
        self._host = host
        self._at_once = at_once
        self._limit_s = limit_s
        self._say = say
        self._leaving: dict[str, Leaving] = {}
        self._conflicts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._stay: dict[str, str] = {}
        self._outcome = Outcome()

    @property
    def on_their_way(self) -> list[str]:
        return [one.name for one in self._leaving.values()]

    def run(self) -> Outcome:
        """Until nothing is left to wait for, or the limit has come. Raises `ApiFailed` if the API refuses us."""
        give_up_at = time.monotonic() + self._limit_s
        complaint = ""
        while True:
            try:
                if self._round():
                    break
                complaint = ""
            except ApiFailed as error:
                if not error.is_passing:
                    raise
                complaint = str(error)
            self._show(complaint)
            if time.monotonic() > give_up_at:
                self._stop_waiting(complaint)
                break
            time.sleep(LOOK_EVERY_S)
        self._show("", over=True)
        self._outcome.stay = {self._label(id): reason for id, reason in self._stay.items()}
        return self._outcome

    def _round(self) -> bool:
        """One look at everything, and the next moves; true when there is nothing more to do or to wait for."""
        here = {server["id"]: server for server in servers_on(self._api, self._host)}
        unconfirmed = {id for id in self._unconfirmed() if self._confirm(id)}
        for id, server in here.items():
            self._names[id] = server["name"]
        for id in [id for id in self._leaving if id not in unconfirmed]:
            self._look_after(id, here.get(id))
        waits = False
        for id, server in sorted(here.items(), key=lambda item: item[1]["name"]):
            if id in self._leaving or id in self._stay:
                continue
            if len(self._leaving) >= self._at_once:
                waits = True
                break
            self._begin(server)
            waits = waits or (id not in self._leaving and id not in self._stay)
        return not waits and not self._leaving

    def _begin(self, server: dict[str, Any]) -> None:
        id, task, status = server["id"], server["OS-EXT-STS:task_state"], server["status"]
        if status == "MIGRATING" or task == "resize_migrating":  # somebody has told it before us
            self._leaving[id] = Leaving(server["name"], time.monotonic(), status == "MIGRATING")
            return
        if task is not None:
            return  # it does something else, which ends
        way = WAYS.get(status)
        if way is None:
            self._keep(id, WHY_NOT.get(status, f"it is {status}"))
            return
        version, action = ACTIONS[way]
        try:
            self._api.post("compute", f"/servers/{id}/action", action, version=version)
        except ApiFailed as error:
            if error.is_passing:
                raise
            if error.status == 409 and self._conflicts.get(id, 0) < MOST_CONFLICTS:
                self._conflicts[id] = self._conflicts.get(id, 0) + 1
            elif error.status != 404:  # it was just deleted
                self._keep(id, error.words)
            return
        self._leaving[id] = Leaving(server["name"], time.monotonic(), way == LIVE)

    def _look_after(self, id: str, here: dict[str, Any] | None) -> None:
        """What has become of one that was on its way; `here` is how it is listed if it is still on the host."""
        leaving = self._leaving[id]
        took_s = time.monotonic() - leaving.began_at_s
        if here is None:
            server = self._find(id)
            if server is not None and server["OS-EXT-STS:task_state"] is not None:
                return  # there, and its last steps are still to be done
            del self._leaving[id]
            if server is None:
                self._say(plain(f"{leaving.name} was deleted"))
                return
            self._outcome.gone.append(leaving.name)
            where = server["OS-EXT-SRV-ATTR:host"]
            self._say(plain(f"{leaving.name} went to {where}, {took_s:.0f} s"))
        elif here["OS-EXT-STS:task_state"] is None:
            reason = self._why_failed(id) or f"it did not go, and is {here['status']}"
            del self._leaving[id]
            self._keep(id, reason)

    def _unconfirmed(self) -> set[str]:
        """Servers that were carried from this host, by us or by another administrator, and are there by half."""
        query = f"source_compute={self._host}&migration_type=migration&status=finished"
        found = self._api.get("compute", f"/os-migrations?{query}", version="2.23")["migrations"]
        return {one["instance_uuid"] for one in found}

    def _confirm(self, id: str) -> bool:
        """False if there is nothing to confirm: it was deleted, or goes back."""
        server = self._find(id)
        if server is None or server["status"] != "VERIFY_RESIZE":
            return False
        self._leaving.setdefault(id, Leaving(server["name"], time.monotonic(), is_live=False))
        try:
            self._api.post("compute", f"/servers/{id}/action", {"confirmResize": None})
        except ApiFailed as error:
            if error.status not in (404, 409):  # it is being confirmed
                raise
        return True

    def _find(self, id: str) -> dict[str, Any] | None:
        try:
            return dict(self._api.get("compute", f"/servers/{id}")["server"])
        except ApiFailed as error:
            if error.status == 404:
                return None
            raise

    def _why_failed(self, id: str) -> str:
        """The last complaint in the record of the server's last action."""
        path = f"/servers/{id}/os-instance-actions"
        actions = self._api.get("compute", path, version="2.84")["instanceActions"]
        if not actions:
            return ""
        last = self._api.get("compute", f"{path}/{actions[0]['request_id']}", version="2.84")[
            "instanceAction"
        ]
        reasons = [one["details"] for one in last["events"] if one["result"] == "Error" and one["details"]]
        return str(reasons[-1]) if reasons else ""

    def _keep(self, id: str, reason: str) -> None:
        self._stay[id] = reason
        self._say(plain(f"{self._names[id]} stays: {reason}"))

    def _stop_waiting(self, complaint: str) -> None:
        for id, leaving in self._leaving.items():
            self._names[id] = leaving.name
            self._stay[id] = f"it is still on its way after {self._limit_s:.0f} s"
        listed = {} if complaint else {one["id"]: one["name"] for one in servers_on(self._api, self._host)}
        for id, name in listed.items():
            self._names[id] = name
            self._stay.setdefault(id, "its turn did not come in time")
        if complaint:
            self._stay.setdefault("the cloud", complaint)

    def _label(self, id: str) -> str:
        """Its name, with the id where others are called the same."""
        name = self._names.get(id, id)
        namesakes = [one for one in self._stay if self._names.get(one) == name]
        return name if len(namesakes) < 2 else f"{name} ({id})"

    # On a terminal

    def _show(self, complaint: str, *, over: bool = False) -> None:
        """One line that is written over again and again, for a person who waits."""
        if not sys.stderr.isatty():
            return
        words = complaint or ", ".join(
            f"{one.name}{self._progress(id) if one.is_live else ''}" for id, one in self._leaving.items()
        )
        line = "" if over else plain(f"moving: {words}")[:100]
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def _progress(self, id: str) -> str:
        """How much of a running guest is over there."""
        try:
            found = self._api.get("compute", f"/servers/{id}/migrations", version="2.23")["migrations"]
        except ApiFailed:
            return ""
        total = sum(one["memory_total_bytes"] + one["disk_total_bytes"] for one in found)
        done = sum(one["memory_processed_bytes"] + one["disk_processed_bytes"] for one in found)
        return f" {100 * done / total:.0f} %" if total else ""


def servers_on(api: Api, name: str) -> list[dict[str, Any]]:
    return list(api.get("compute", f"/servers/detail?all_tenants=1&host={name}")["servers"])
