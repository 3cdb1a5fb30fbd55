"""What can be done to a server by POST /servers/{id}/action, one file for each group that belongs together."""

from .admin import force_delete, reset_state
from .console import get_console_output, get_serial_console, get_spice_console, get_vnc_console
from .evacuate import evacuate
from .image import create_image
from .lock import lock, unlock
from .migrate import migrate, migrate_live
from .power import pause, reboot, resume, start, stop, suspend, unpause
from .rebuild import confirm, rebuild, resize, revert
from .refused import REFUSED
from .security_group import add_security_group, remove_security_group

ACTIONS = (
    *(start, stop, reboot, pause, unpause, suspend, resume),
    *(lock, unlock),
    *(rebuild, resize, confirm, revert, create_image),
    *(get_console_output, get_vnc_console, get_serial_console, get_spice_console),
    *(add_security_group, remove_security_group),
    *(migrate, migrate_live, evacuate),
    *(reset_state, force_delete),
    *REFUSED,
)
