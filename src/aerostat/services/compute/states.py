"""What states a server can be in, what moves it, and what the API shows of them.

One stored state says all: the two words that the API shows (`vm_state`, `task_state`) and the status in capitals are
functions of it, at the end of this file. Passing states (`stopping`) have a flow at work; resting ones do not.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from aerostat.kernel.work.states import ANY, Machine

RESTING = (
    *("active", "stopped", "paused", "suspended", "resized"),
    *("rescued", "shelved", "shelved_offloaded", "error"),
)
SETTLED = frozenset(RESTING) - {"resized"}
"""With nothing anywhere but on the server's own host: one that was moved and waits to be confirmed is on two."""
PASSING = (
    "building",
    "starting",
    "stopping",
    "rebooting",
    "rebooting_hard",
    "pausing",
    "unpausing",
    "suspending",
    "resuming",
    "rebuilding",
    "snapshotting",
    "backing_up",
    "rescuing",
    "unrescuing",
    "shelving",
    "offloading",
    "unshelving",
    "resizing",
    "confirming",
    "reverting",
    "migrating",
    "evacuating",
)
MOVING = frozenset(PASSING) - {"building"}

SERVER = Machine(
    # event          from                                                  to
    ("built",        "building",                                           "active"),
    ("start",        "stopped",                                            "starting"),
    ("stop",         {"active", "error"},                                  "stopping"),
    ("reboot",       "active",                                             "rebooting"),
    ("reboot_hard",  {"active", "stopped", "paused", "suspended", "error", "rebooting"}, "rebooting_hard"),
    ("pause",        "active",                                             "pausing"),
    ("unpause",      "paused",                                             "unpausing"),
    ("suspend",      "active",                                             "suspending"),
    ("resume",       "suspended",                                          "resuming"),
    ("rebuild",      {"active", "stopped", "error"},                       "rebuilding"),
    ("snapshot",     {"active", "stopped", "paused", "suspended"},         "snapshotting"),
    ("backup",       {"active", "stopped", "paused", "suspended"},         "backing_up"),
    ("rescue",       {"active", "stopped", "error"},                       "rescuing"),
    ("rescued",      "rescuing",                                           "rescued"),
    ("unrescue",     "rescued",                                            "unrescuing"),
    ("shelve",       {"active", "stopped", "paused", "suspended"},         "shelving"),
    ("shelved",      {"shelving", "offloading", "unshelving"},             "shelved"),
    ("offload",      {"shelving", "shelved"},                              "offloading"),
    ("offloaded",    {"offloading", "unshelving"},                         "shelved_offloaded"),
    ("unshelve",     {"shelved", "shelved_offloaded"},                     "unshelving"),
    ("resize",       {"active", "stopped"},                                "resizing"),
    ("resized",      "resizing",                                           "resized"),
    ("confirm",      "resized",                                            "confirming"),
    ("revert",       "resized",                                            "reverting"),
    ("migrate_live", {"active", "paused"},                                 "migrating"),
    ("evacuate",     {"active", "stopped", "error"},                       "evacuating"),
    ("running",      MOVING,                                               "active"),
    ("halted",       MOVING | {"active", "paused", "suspended"},           "stopped"),
    ("paused",       MOVING,                                               "paused"),
    ("suspended",    MOVING,                                               "suspended"),
    ("fail",         ANY - {"deleted"},                                    "error"),
    ("reset",        ANY - {"deleted", "deleting"},                        "active"),
    ("delete",       ANY - {"deleted"},                                    "deleting"),
    ("deleted",      "deleting",                                           "deleted"),
    initial="building",
)  # fmt: skip


class Shown(NamedTuple):
    """A stored state in the API's words. `status` is what users read."""

    vm_state: str
    task_state: str | None
    status: str


SHOWN = {
    "building": Shown("building", "spawning", "BUILD"),
    "active": Shown("active", None, "ACTIVE"),
    "stopped": Shown("stopped", None, "SHUTOFF"),
    "paused": Shown("paused", None, "PAUSED"),
    "suspended": Shown("suspended", None, "SUSPENDED"),
    "resized": Shown("resized", None, "VERIFY_RESIZE"),
    "rescued": Shown("rescued", None, "RESCUE"),
    "shelved": Shown("shelved", None, "SHELVED"),
    "shelved_offloaded": Shown("shelved_offloaded", None, "SHELVED_OFFLOADED"),
    "error": Shown("error", None, "ERROR"),
    "starting": Shown("stopped", "powering-on", "SHUTOFF"),
    "stopping": Shown("active", "powering-off", "ACTIVE"),
    "rebooting": Shown("active", "rebooting", "REBOOT"),
    "rebooting_hard": Shown("active", "rebooting_hard", "HARD_REBOOT"),
    "pausing": Shown("active", "pausing", "ACTIVE"),
    "unpausing": Shown("paused", "unpausing", "PAUSED"),
    "suspending": Shown("active", "suspending", "ACTIVE"),
    "resuming": Shown("suspended", "resuming", "SUSPENDED"),
    "rebuilding": Shown("active", "rebuilding", "REBUILD"),
    "snapshotting": Shown("active", "image_snapshot", "ACTIVE"),
    "backing_up": Shown("active", "image_backup", "ACTIVE"),
    "rescuing": Shown("active", "rescuing", "ACTIVE"),
    "unrescuing": Shown("rescued", "unrescuing", "RESCUE"),
    "shelving": Shown("active", "shelving", "ACTIVE"),
    "offloading": Shown("shelved", "shelving_offloading", "SHELVED"),
    "unshelving": Shown("shelved_offloaded", "unshelving", "SHELVED_OFFLOADED"),
    "resizing": Shown("active", "resize_migrating", "RESIZE"),
    "confirming": Shown("resized", None, "VERIFY_RESIZE"),
    "reverting": Shown("resized", "resize_reverting", "REVERT_RESIZE"),
    "migrating": Shown("active", "migrating", "MIGRATING"),
    "evacuating": Shown("active", "rebuilding", "REBUILD"),
    "deleting": Shown("active", "deleting", "ACTIVE"),
    "deleted": Shown("deleted", None, "DELETED"),
}

# Progress is shown for these statuses only, as upstream does.
SHOWS_PROGRESS = frozenset({"ACTIVE", "BUILD", "ERROR", "PASSWORD", "REBUILD", "RESIZE", "VERIFY_RESIZE"})
SHOWS_FAULT = frozenset({"ERROR", "DELETED"})

# What the hypervisor says, as the API's numbers.
NO_STATE, RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED = 0, 1, 3, 4, 6, 7
POWER_STATES = {
    "running": RUNNING,
    "paused": PAUSED,
    "shutoff": SHUTDOWN,
    "crashed": CRASHED,
    "suspended": SUSPENDED,
}

DesiredPower = Literal["running", "shutoff", "paused", "suspended"]

# What a server's domain should be while it rests in a state. Others are nobody's business but the flow's.
DESIRED_POWER: dict[str, DesiredPower] = {
    "active": "running",
    "stopped": "shutoff",
    "paused": "paused",
    "suspended": "suspended",
    "resized": "running",
    "rescued": "running",
    "shelved": "shutoff",
}

# While it is in one of these, its guest boots from the rescue disk.
RESCUED = frozenset({"rescuing", "rescued"})

ENDED_MOVES = ("completed", "confirmed", "reverted", "error", "failed", "cancelled")
"""Statuses of migrations of which nothing is left on a host or in placement. An evacuation that is `done` waits for its
dead host.
"""

OVER_MOVES = (*ENDED_MOVES, "done")
"""Statuses of migrations that hold nothing of a host that is alive."""

# Passing states in which a server still is what it was before, as far as the API shows.
AS_BEFORE = frozenset({"snapshotting", "backing_up", "rescuing", "shelving", "unshelving", "deleting"})

# The event that brings a server back to the state it rested in.
REST_EVENTS = {"active": "running", "stopped": "halted", "paused": "paused", "suspended": "suspended"}


def desired_power(state: str, flavor_before: Mapping[str, Any] | None) -> DesiredPower | None:
    """What the domain of a server that rests should be. One that was off when it was resized or moved stays off."""
    if state == "resized" and was_stopped(flavor_before):
        return "shutoff"
    return DESIRED_POWER.get(state)


def was_stopped(flavor_before: Mapping[str, Any] | None) -> bool:
    """Whether a server that waits for its resize or move to be confirmed was off when that began."""
    return (flavor_before or {}).get("was") == "stopped"


def shown(state: str, before: str | None = None) -> Shown:
    """A stored state as the API shows it; a server that is being deleted shows the state it was in."""
    words = SHOWN[state]
    if before is None or before not in SHOWN or state in ("active", "error", "deleted", "building"):
        return words
    if state in AS_BEFORE:
        return Shown(SHOWN[before].vm_state, words.task_state, SHOWN[before].status)
    if state in ("migrating", "evacuating"):
        return Shown(SHOWN[before].vm_state, words.task_state, words.status)
    return words


STATUSES = frozenset(word.status for word in SHOWN.values())


def states_of_status(status: str) -> tuple[str, ...]:
    """Stored states that show this status; empty for a status that there is not."""
    return tuple(state for state, words in SHOWN.items() if words.status == status.upper())
