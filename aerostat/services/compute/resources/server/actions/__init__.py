"""What can be done to a server by POST /servers/{id}/action, one file for each group that belongs together."""

from .lock import lock, unlock
from .power import pause, reboot, resume, start, stop, suspend, unpause

ACTIONS = (start, stop, reboot, pause, unpause, suspend, resume, lock, unlock)
