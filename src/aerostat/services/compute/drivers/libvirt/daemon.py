"""libvirt as a daemon of its own: what a host needs that sends running guests to others and takes them in.

A single host loads libvirt into its process and needs none of this. The daemon of root has its folders at fixed
places, so each runs in a mount namespace of its own, in which those places are folders below the host's state: the
same ones that the library in the process uses, so that a host finds its guests by either way.
"""

import asyncio
import uuid
from functools import partial
from pathlib import Path

from aerostat.kernel.supervise import Child

from .settings import MAX_SOCKET_PATH, LibvirtSettings

# Where the daemon looks, by the name of the folder below `libvirt_root`.
_PLACES = {
    "etc": "/etc/libvirt",
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}
# Plain root, no relabelling, no further daemons, no device namespaces: this works without systemd and udev,
# and inside network namespaces.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
namespaces = []
"""
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
log_outputs = "3:stderr"
host_uuid = "{host_uuid}"
"""
_SCRIPT = """\
set -e
hostname "$1"; shift
while [ "$1" != -- ]; do mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; done
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
"""
START_LIMIT_S = 90.0  # it looks QEMU over when it has never run before


def socket_of(settings: LibvirtSettings) -> Path:
    return settings.libvirt_root.absolute() / "run" / "libvirt-sock"


def uri_of(settings: LibvirtSettings) -> str:
    """By which this host's daemon is reached, from any process of this machine. Raises `ValueError`."""
    path = socket_of(settings)
    if len(str(path)) > MAX_SOCKET_PATH:
        raise ValueError(f"{path} is too long a name for a socket; choose a shorter state folder")
    return f"qemu+unix:///system?socket={path}"


def libvirtd(settings: LibvirtSettings, name: str, namespace: str) -> Child:
    """The daemon, for the supervisor: `name` in network namespace `namespace`. Guests outlive it."""
    root = settings.libvirt_root.absolute()
    mounts = [word for folder, place in _PLACES.items() for word in (str(root / folder), place)]
    inside = ["/bin/sh", "-c", _SCRIPT, name, settings.own_name, *mounts, "--"]
    return Child(
        name=name,
        argv=["unshare", "--mount", "--uts", "--propagation", "private", "--", *inside],
        namespace=namespace,
        after=(),
        prepare=partial(_prepare, root),
        ready=partial(_accepts, socket_of(settings)),
        ready_timeout_s=START_LIMIT_S,
        adopt=True,
    )


async def _prepare(root: Path) -> None:
    await asyncio.to_thread(_write, root)


def _write(root: Path) -> None:
    for folder in _PLACES:
        (root / folder).mkdir(parents=True, exist_ok=True)
    # Hosts of one machine must not take each other for themselves.
    host_uuid = uuid.uuid5(uuid.NAMESPACE_URL, str(root))
    (root / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(host_uuid=host_uuid))
    (root / "etc" / "qemu.conf").write_text(QEMU_CONF)
    (root / "run" / "libvirt-sock").unlink(missing_ok=True)


async def _accepts(path: Path) -> bool:
    """Whether somebody listens at a unix socket; OSError if not."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()
    return True
