"""Checks of the machine: programs, hypervisor, room, memory, clock, rights."""

import asyncio
import importlib.util
import os
import shutil
import socket
import time
from pathlib import Path

from aerostat.cli.doctor.finding import Check, Finding, bad, good, note
from aerostat.cli.doctor.settings import has_joined, is_host
from aerostat.cli.settings import room_sections
from aerostat.cli.up import has_orphans
from aerostat.kernel.clock import clock
from aerostat.kernel.config import ConfigError, load
from aerostat.kernel.errors import DriverError
from aerostat.kernel.state_folder import StateFolder

# What a real cloud runs: program → Debian package.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovn-northd": "ovn-central",
    "ovn-controller": "ovn-host",
    "nsenter": "util-linux",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
}
LEAST_FREE_GIB = 5
LEAST_MEMORY_MIB = 1500
PROGRAM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check_programs(folder: StateFolder) -> Finding:
    if has_joined(folder):
        return good("left to the check of the host, which knows what it needs")
    path = os.environ.get("PATH", "") + ":" + PROGRAM_FOLDERS
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[name] for name in missing}))
        return note(
            f"missing for a real cloud: {', '.join(missing)} (`up --fake` needs none of them)",
            f"./aerostat up installs them, or: apt-get install --no-install-recommends {packages}",
        )
    return good("all programs of a real cloud are there")


def check_rights(folder: StateFolder) -> Finding:
    if os.geteuid() != 0:
        if has_joined(folder):
            return note("you are not root: a host with real guests does not work", "start it with sudo")
        return note("you are not root: only `up --fake` works", "start a real cloud with sudo")
    return good("root: namespaces and the hypervisor can be used")


def check_binding(folder: StateFolder) -> Finding:
    if importlib.util.find_spec("libvirt") is None:
        lost, who = "only `up --fake` works", "up"
        if has_joined(folder):
            lost, who = "a host with real guests does not work", "serve --role host"
        return note(
            f"libvirt's Python binding is not installed: {lost}",
            f"./aerostat {who} installs it, or: pip install 'aerostat[metal]'",
        )
    return good("libvirt's Python binding is there")


def check_accelerator(folder: StateFolder) -> Finding:
    """KVM is proved by booting, for devices and libvirt's word both can be wrong."""
    if shutil.which("qemu-system-x86_64") is None:
        return note("QEMU is not installed, so the accelerator was not tried")
    try:
        from aerostat.services.compute.drivers.libvirt.accelerator import find_accelerator

        accelerator = asyncio.run(find_accelerator())
    except (ImportError, DriverError) as error:
        return note(f"the accelerator could not be tried: {error}")
    if accelerator.name == "kvm":
        return good("KVM works: proved by booting")
    return note(
        f"KVM is not usable ({accelerator.reason}); guests are emulated, which works and is slow",
        "on a physical machine: enable virtualisation in the firmware; in a virtual one: nested virtualisation",
    )


def check_room(folder: StateFolder) -> Finding:
    places = {_nearest_there(path) for path in (folder.path, *_other_folders(folder))}
    free_gib, place = min((shutil.disk_usage(place).free / 2**30, place) for place in places)
    if free_gib < 1:
        return bad(
            f"{free_gib:.1f} GiB are free below {place}",
            "make room, or choose another --state; what is refused meanwhile can be asked for again",
        )
    if free_gib < LEAST_FREE_GIB:
        return note(
            f"{free_gib:.1f} GiB are free below {place}: enough to start, not for many guests", "make room"
        )
    return good(f"{free_gib:.0f} GiB are free below {place}")


def _other_folders(folder: StateFolder) -> list[Path]:
    """Where else the settings have things written to: images, disks of servers."""
    from aerostat.services.compute.config import ComputeConfig
    from aerostat.services.image.config import ImageConfig

    try:
        config = load(folder, room_sections())
    except ConfigError:
        return []
    named = (config.section(ImageConfig).folder, config.section(ComputeConfig).instances)
    return [Path(path) for path in named if path]


def _nearest_there(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def check_memory(folder: StateFolder) -> Finding:
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free_mib = int(values["MemAvailable"].split()[0]) // 1024
    if free_mib < LEAST_MEMORY_MIB:
        return note(
            f"{free_mib} MiB of memory are available; the cloud takes about 400 and each guest its own",
            "end something, or keep guests small (flavor m1.nano)",
        )
    return good(f"{free_mib} MiB of memory are available")


def check_clock(folder: StateFolder) -> Finding:
    """Tokens, leases and certificates live by the clock; it must not have gone back."""
    newest_s = max((file.stat().st_mtime for file in folder.log.glob("*.jsonl")), default=0.0)
    ahead_s = newest_s - time.time()
    if clock.now().year < 2024:
        return bad(f"the clock says {clock.now():%Y-%m-%d}", "set it: tokens and leases live by it")
    if ahead_s > 60:
        return bad(
            f"the clock went back: our newest log is {ahead_s:.0f} s in the future",
            "set the clock; until then tokens may be refused and leases last too long",
        )
    return good(f"the clock says {clock.now():%Y-%m-%d %H:%M} UTC")


def check_port(folder: StateFolder) -> Finding:
    try:
        config = load(folder)
    except ConfigError:
        return note("the settings cannot be read, so the port was not tried")
    address, port = config.kernel.listen_address, config.kernel.port
    if is_host(config):
        return good("a host listens on none")
    if not config.kernel.embedded:
        return good("left to the process that serves the API")
    if folder.owner_pid() is not None or has_orphans(folder):
        return good(f"port {port} is this cloud's")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return bad(
                f"cannot listen on {address} port {port}: {error.strerror}", "another one: up --port N"
            )
    return good(f"{address} port {port} is free")


CHECKS: dict[str, Check] = {
    "rights": check_rights,
    "programs": check_programs,
    "binding": check_binding,
    "accelerator": check_accelerator,
    "disk": check_room,
    "memory": check_memory,
    "clock": check_clock,
    "port": check_port,
}
