"""The check of a machine that is a compute host of a cloud elsewhere: what its distribution must run for it."""

import asyncio

from aerostat.cli.doctor.finding import Check, Finding, bad, good, note
from aerostat.cli.doctor.settings import is_host
from aerostat.cli.settings import room_sections
from aerostat.kernel.config import ConfigError, load
from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import place_of
from aerostat.kernel.state_folder import StateFolder


def check_host(folder: StateFolder) -> Finding:
    """Whether what is installed, runs and is set up here is enough; changes nothing."""
    try:
        config = load(folder, room_sections())
    except ConfigError:
        return note("the settings cannot be read, so the host was not looked at")
    if not is_host(config):
        return good("this machine has not joined a cloud elsewhere")
    if config.driver("compute", "libvirt") == "fake":
        return good(f"{config.kernel.host_name} is a fake host")
    from aerostat import app_own_machine

    try:
        troubles = asyncio.run(app_own_machine.find_troubles(config, place_of(config, None)))
    except DriverError as error:
        return bad(f"{error.message} ({error.detail})", "look at the logs of openvswitch-switch and ovn-host")
    if troubles:
        return bad("; ".join(one.what for one in troubles), "; ".join(one.next_step for one in troubles))
    return good(f"{config.kernel.host_name} has its switch, its controller and libvirt")


CHECKS: dict[str, Check] = {"host": check_host}
