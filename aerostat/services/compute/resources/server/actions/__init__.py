"""What can be done to a server by POST /servers/{id}/action, one file for each group that belongs together."""

from .console import get_console_output, get_serial_console, get_spice_console, get_vnc_console
from .lock import lock, unlock
from .power import pause, reboot, resume, start, stop, suspend, unpause

ACTIONS = (
    start,
    stop,
    reboot,
    pause,
    unpause,
    suspend,
    resume,
    lock,
    unlock,
    get_console_output,
    get_vnc_console,
    get_serial_console,
    get_spice_console,
)
