"""What a cloud on this machine is made of: processes, namespaces, and what the processes tell of it.

A process that serves writes `STATE/run/<process>.ready` when it can be used: its pid and what it found out
about the machine (accelerator, why not a better one, …). The supervisor waits for that file, `status` and
the closing words of `up` show what stands in it.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

import aerostat
from aerostat.cli.confinement import Confined
from aerostat.kernel.config import Config
from aerostat.kernel.errors import DriverError
from aerostat.kernel.host_place import HostPlace, place_of, places_of
from aerostat.kernel.state_folder import StateFolder, write_private
from aerostat.kernel.supervise import Child

CONTROL_ROLES = ("api", "engine", "console", "object")


class PartError(Exception):
    """The machine lacks something that a part of the cloud needs; the message says what."""


class Ready(msgspec.Struct, frozen=True):
    """What stands in a ready file."""

    pid: int
    facts: dict[str, Any]


async def children(config: Config, confined: Confined | None) -> list[Child]:
    """The cloud's processes in the order in which they start; without `confined`, those of a fake cloud."""
    if confined is None:
        return [serving("cloud", config, "--fake")]
    client = (confined.user.uid, confined.user.gid)
    hosts = [child for place in places_of(config) for child in await host_children(config, place, client)]
    roles = [word for role in CONTROL_ROLES for word in ("--role", role)]
    return [*hosts, serving("control", config, *roles, after=["ovn-nb"], confined=confined)]


async def host_children(config: Config, place: HostPlace, client: tuple[int, int]) -> list[Child]:
    """What one compute host is made of; its namespaces are made now."""
    from aerostat.services.network.drivers.ovn.daemons import OvnHost

    network = OvnHost.at(place, place_of(config), client)
    try:
        await asyncio.to_thread(_make_folders, place, client)
        await network.ensure_namespaces()
    except (OSError, DriverError) as error:
        raise PartError(f"cannot make the cloud's network namespaces: {error}") from error
    daemons = network.children()
    if place.has_daemon:
        daemons.append(_libvirtd(config, place, network.host_namespace))
    own = serving(
        place.process,
        config,
        *("--role", "host", "--number", str(place.number)),
        namespace=None if place.has_daemon else network.host_namespace,
        after=[daemon.name for daemon in daemons],
    )
    return [*daemons, own]


def _libvirtd(config: Config, place: HostPlace, namespace: str) -> Child:
    from aerostat.services.compute.drivers.libvirt.daemon import libvirtd
    from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings

    if shutil.which("libvirtd") is None:
        raise PartError("several hosts need libvirtd, which is not installed (Debian: libvirt-daemon)")
    settings = LibvirtSettings(state=place.instances, host_name=place.name)
    return libvirtd(settings, place.named("libvirt"), namespace)


def _make_folders(place: HostPlace, client: tuple[int, int]) -> None:
    """The folders of a further host, through which the control process reaches its consoles."""
    if place.is_first:
        return
    for folder in (place.state.parent, place.state, place.instances):
        folder.mkdir(exist_ok=True)
        os.chown(folder, -1, client[1])
        folder.chmod(0o710)


def serving(
    process: str,
    config: Config,
    *words: str,
    namespace: str | None = None,
    after: Sequence[str] = (),
    confined: Confined | None = None,
) -> Child:
    """A process of our own: `aerostat serve` with `words`; root's unless it is `confined`."""
    ready_file = ready_file_of(config.folder, process)

    command = [*(confined.words if confined else ()), sys.executable, "-m", "aerostat", "serve"]
    env = {"PYTHONPATH": _own_path(), "AEROSTAT_KERNEL_WHOLE": "true"}
    if confined and confined.user.cache is not None:
        env |= dict.fromkeys(("HOME", "XDG_CACHE_HOME"), str(confined.user.cache))

    async def prepare() -> None:
        ready_file.unlink(missing_ok=True)

    async def ready() -> bool:
        return ready_file.exists()

    return Child(
        name=process,
        argv=[*command, "--process", process, "--state", str(config.state), *words],
        env=env,
        namespace=namespace,
        after=after,
        prepare=prepare,
        ready=ready,
        ready_timeout_s=60.0,
        stop_timeout_s=20.0,
    )


def own_environment() -> dict[str, str]:
    """Our environment, by which a child finds the very package that we run."""
    return {**os.environ, "PYTHONPATH": _own_path()}


def _own_path() -> str:
    """A PYTHONPATH by which a child finds the very package that we run, whatever its working directory is."""
    own = str(Path(aerostat.__file__).resolve().parents[1])
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])


async def remove_network(config: Config) -> None:
    """Remove the cloud's namespaces, and with them every device in them."""
    if not list_namespaces(config.folder):
        return
    from aerostat.services.network.drivers.ovn.daemons import remove_everything

    await remove_everything(config.folder.prefix)


def list_namespaces(folder: StateFolder) -> list[str]:
    """Names of the network namespaces that belong to the cloud of `folder`."""
    return sorted(path.name for path in Path("/run/netns").glob(f"{folder.prefix}-*"))


def ready_file_of(folder: StateFolder, process: str) -> Path:
    return folder.run / f"{process}.ready"


def write_ready(folder: StateFolder, process: str, facts: dict[str, Any]) -> None:
    """Say that `process`, which is the present one, can be used now."""
    text = json.dumps({"pid": os.getpid(), "facts": facts})
    write_private(ready_file_of(folder, process), text)


def read_facts(folder: StateFolder) -> dict[str, Any]:
    """What all ready processes found out, put together."""
    facts: dict[str, Any] = {}
    for file in sorted(folder.run.glob("*.ready")):
        try:
            facts.update(msgspec.json.decode(file.read_bytes(), type=Ready).facts)
        except (FileNotFoundError, msgspec.DecodeError):
            continue  # just being replaced
    return facts


def remove_runtime_files(folder: StateFolder) -> None:
    """Sockets and ready files of processes that have ended; the lock's file stays."""
    if folder.run.is_dir():
        for file in folder.run.iterdir():
            if file != folder.lock_file and not file.is_dir():
                file.unlink(missing_ok=True)
