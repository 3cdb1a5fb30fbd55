"""Killing what a cloud is made of, and telling when it has come to itself again."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import keystoneauth1.exceptions
import openstack.exceptions

from tests.metal.real_cloud import RealCloud, real_cloud
from tests.waiting import eventually

OURS = ("control", "host", "supervisor")
DAEMONS = ("ovn-nb", "ovn-sb", "ovn-northd", "ovs-db", "ovs-switch", "ovn-controller")
HALTS = b"\xfa\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"
"""A disk of one sector that halts the processor (cli; hlt; jmp to hlt): a guest that costs nothing."""
OBEYS = (
    (
        b"\xba\x02\x06\xb8\x00\x01\xef"  # mov dx, 0x602; mov ax, 0x100; out dx, ax: ask to be told of the power button
        b"\xfb\xf4\xba\x00\x06\xed\xf6\xc4\x01\x74\xf6"  # sti; hlt; mov dx, 0x600; in ax, dx; until it is pressed
        b"\xba\x04\x06\xb8\x00\x20\xef"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax: off
        b"\xfa\xf4\xeb\xfd"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)
"""A disk of one sector that waits for the power button, and then switches off: it costs next to nothing."""
READY_LIMIT_S = 90.0

Unreachable = (keystoneauth1.exceptions.ConnectFailure, keystoneauth1.exceptions.RetriableConnectionFailure)


def quick_cloud(prefix: str) -> contextlib.AbstractContextManager[RealCloud]:
    """A real cloud without the image that takes long to build."""
    return real_cloud(prefix, "[image]\ntest_image = false\n")


def make_halting_image(demo: Any) -> Any:
    """An image of the guest that costs nothing."""
    return demo.image.create_image(
        name="halts", data=HALTS, disk_format="raw", container_format="bare", visibility="private"
    )


def children_of(pid: int) -> list[int]:
    """Ids of its child processes; none of one that is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill(cloud: RealCloud, victim: str) -> None:
    """End it at once. Who watches over it starts it again; a killed supervisor we start ourselves, and a guest stays
    dead: to a user it has powered off.
    """
    if victim == "guest":
        for pid in cloud.guest_ids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return
    os.kill(cloud.process_ids()[victim], signal.SIGKILL)
    if victim == "supervisor":
        eventually(lambda: cloud.folder.owner_pid() is None, 10, why="the lock is free")
        cloud.up()


def wait_ready(cloud: RealCloud, demo: Any, told: str) -> None:
    eventually(lambda: answers(cloud, demo), READY_LIMIT_S, why=f"the API after {told}")


def answers(cloud: RealCloud, demo: Any) -> bool:
    """Whether the API answers, and all processes run."""
    status = cloud.status()
    if not status["running"] or any(process["state"] != "running" for process in status["processes"]):
        return False
    with contextlib.suppress(*Unreachable, openstack.exceptions.HttpException):
        return isinstance(list(demo.compute.servers()), list)
    return False
