"""Network namespaces: making them, working inside them, taking them away with everything in them.

A namespace belongs to a thread, and a socket to the namespace it was made in. Work inside a namespace is
done by a thread that enters it, does one thing and ends: no thread can be left in the wrong place. Needs
root.
"""

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute, NetlinkError, netns

from aerostat.kernel.errors import DriverError
from aerostat.kernel.processes import Process

T = TypeVar("T")

_FOLDER = Path("/run/netns")
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


async def run_inside(namespace: str | None, work: Callable[[], T], timeout_s: float = 20.0) -> T:
    """Run blocking `work` in a thread of its own inside `namespace` (None: where we are); DriverError when there is no
    such namespace.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def enter_and_work() -> None:
        try:
            if namespace is not None:
                if not is_namespace(namespace):
                    raise DriverError(f"there is no network namespace {namespace}", retry=True)
                netns.setns(namespace)
            outcome: tuple[T | None, BaseException | None] = work(), None
        except BaseException as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=enter_and_work, name=f"inside {namespace}", daemon=True).start()
    try:
        return await asyncio.wait_for(future, timeout_s)
    except NetlinkError as error:
        raise DriverError(
            f"the kernel refused work inside {namespace}", detail=str(error), retry=True
        ) from error
    except TimeoutError:
        raise DriverError(f"work inside {namespace} took more than {timeout_s:g} s", retry=True) from None


def is_namespace(name: str) -> bool:
    """Whether it is there and whole: a file that nothing is mounted on was left by a death half-way."""
    try:
        return (_FOLDER / name).stat().st_dev == os.stat("/proc/self/ns/net").st_dev
    except FileNotFoundError:
        return False


def list_namespaces(prefix: str) -> list[str]:
    """Names of namespaces that begin with `prefix`."""
    return sorted(name for name in netns.listnetns() if name.startswith(prefix))


async def ensure_namespace(name: str) -> None:
    """Make a namespace with its loopback up and without IPv6 of its own; a repeat mends it."""
    if not is_namespace(name):
        (_FOLDER / name).unlink(missing_ok=True)
        await asyncio.to_thread(netns.create, name)
    await run_inside(name, _set_up)


async def remove_namespace(name: str) -> None:
    """End all processes in a namespace and take it away, its links with it; a repeat does nothing."""
    if is_namespace(name):
        found = (Process.find(pid) for pid in list_processes(name))
        await asyncio.gather(*(process.end(signal.SIGTERM, 5.0) for process in found if process))
        await asyncio.to_thread(netns.remove, name)
    (_FOLDER / name).unlink(missing_ok=True)


def list_processes(name: str) -> list[int]:
    """Pids of the processes that live in a namespace (not those with a mere thread in it)."""
    inside = (_FOLDER / name).stat()
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                lives_in = (entry / "ns" / "net").stat()
                if (lives_in.st_dev, lives_in.st_ino) == (inside.st_dev, inside.st_ino):
                    pids.append(int(entry.name))
    return pids


def find_link(ip: Any, name: str) -> int | None:
    """The index of a link in the present namespace."""
    found = ip.link_lookup(ifname=name)
    return found[0] if found else None


def disable_checksum_offload(link: str) -> None:
    """Let the kernel write whole checksums for what leaves by `link`.

    Into a userspace switch packets go as they are; one with a checksum left for hardware to finish is
    thrown away by its connection tracking, and TCP never connects.
    """
    value = array.array("I", [_ETHTOOL_STXCSUM, 0])
    request = struct.pack("16sP", link.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SIOCETHTOOL, request.ljust(40, b"\0"))


def _set_up() -> None:
    # Links made for switching shall not speak: the kernel's own router solicitations would reach guests.
    for scope in ("default", "all"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
