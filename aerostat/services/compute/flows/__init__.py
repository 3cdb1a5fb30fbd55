"""Long operations of the compute room, one file each."""

from .create_server import create_server
from .delete_server import delete_server
from .power_server import (
    pause_server,
    reboot_server,
    resume_server,
    start_server,
    stop_server,
    suspend_server,
    unpause_server,
)

FLOWS = (
    create_server,
    delete_server,
    start_server,
    stop_server,
    reboot_server,
    pause_server,
    unpause_server,
    suspend_server,
    resume_server,
)
