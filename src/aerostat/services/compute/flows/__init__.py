"""Long operations of the compute room, one file each."""

from .backup_server import backup_server
from .create_server import create_server
from .delete_server import delete_server
from .evacuate_server import evacuate_server
from .interfaces import attach_interface, detach_interface
from .live_migrate_server import live_migrate_server
from .migrate_server import migrate_server
from .power_server import (
    pause_server,
    reboot_hard_server,
    reboot_server,
    resume_server,
    start_server,
    stop_server,
    suspend_server,
    unpause_server,
)
from .rebuild_server import rebuild_server
from .rescue_server import rescue_server, unrescue_server
from .resize_server import confirm_resize, resize_server, revert_resize
from .shelve_server import offload_server, shelve_server, unshelve_server
from .snapshot_server import snapshot_server

FLOWS = (
    create_server,
    delete_server,
    start_server,
    stop_server,
    reboot_server,
    reboot_hard_server,
    pause_server,
    unpause_server,
    suspend_server,
    resume_server,
    attach_interface,
    detach_interface,
    rebuild_server,
    resize_server,
    confirm_resize,
    revert_resize,
    snapshot_server,
    live_migrate_server,
    migrate_server,
    evacuate_server,
    backup_server,
    rescue_server,
    unrescue_server,
    shelve_server,
    offload_server,
    unshelve_server,
)
