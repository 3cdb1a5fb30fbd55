"""What can be done to a server by POST /servers/{id}/action, one file for each group that belongs together."""

from .admin import force_delete, inject_network_info, reset_state, restore
from .console import get_console_output, get_serial_console, get_spice_console, get_vnc_console
from .evacuate import evacuate
from .floating_ip import add_floating_ip, remove_floating_ip
from .guest import change_password, trigger_crash_dump
from .image import create_backup, create_image
from .lock import lock, unlock
from .migrate import migrate, migrate_live
from .power import pause, reboot, resume, start, stop, suspend, unpause
from .rebuild import confirm, rebuild, resize, revert
from .rescue import rescue, unrescue
from .security_group import add_security_group, remove_security_group
from .shelve import shelve, shelve_offload, unshelve

ACTIONS = (
    *(start, stop, reboot, pause, unpause, suspend, resume),
    *(lock, unlock),
    *(rebuild, resize, confirm, revert, create_image, create_backup),
    *(rescue, unrescue, shelve, shelve_offload, unshelve),
    *(change_password, trigger_crash_dump),
    *(get_console_output, get_vnc_console, get_serial_console, get_spice_console),
    *(add_security_group, remove_security_group, add_floating_ip, remove_floating_ip),
    *(migrate, migrate_live, evacuate),
    *(reset_state, force_delete, restore, inject_network_info),
)
