"""Which accelerator really works here, proved by booting.

`/dev/kvm` and libvirt's word are not enough: inside some clouds KVM opens, runs the first instructions and
then hangs in the firmware's protected-mode code. So a boot sector is started through the firmware; it
writes two letters to the serial line and leaves by QEMU's exit device with a status of its own.
"""

import asyncio
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aerostat.kernel.errors import DriverError

from .boot_sector import exit_by_device

SAID = b"OK"
STATUS = 33
"""What QEMU exits with when the guest writes 0x10 to the exit device: (0x10 << 1) | 1."""
KVM_LIMIT_S = 3.0
SLOW_LIMIT_S = 10.0
SLOW_MACHINE_S = 1.5
"""A TCG boot that takes longer shows a loaded machine, on which KVM is given a second, longer chance."""


@dataclass(frozen=True)
class Accelerator:
    """`reason`: why it is not kvm."""

    name: Literal["kvm", "tcg"]
    reason: str = ""

    @property
    def domain_type(self) -> str:
        return "kvm" if self.name == "kvm" else "qemu"


async def find_accelerator(wanted: Literal["auto", "kvm", "tcg"] = "auto") -> Accelerator:
    """The accelerator to use. Raises `DriverError` if `kvm` is wanted and does not work, or nothing does."""
    if wanted == "tcg":
        return Accelerator("tcg", "the settings say tcg")
    reason = await _why_not_kvm()
    if not reason:
        return Accelerator("kvm")
    if wanted == "kvm":
        raise DriverError(f"KVM does not work here: {reason}.")
    return Accelerator("tcg", reason)


async def _why_not_kvm() -> str:
    if closed := _why_no_device():
        return closed
    said = await _boot("kvm", KVM_LIMIT_S)
    if not said:
        return ""
    began = time.monotonic()
    if broken := await _boot("tcg", SLOW_LIMIT_S):
        raise DriverError("QEMU does not run on this host.", detail=broken)
    if time.monotonic() - began > SLOW_MACHINE_S:
        said = await _boot("kvm", SLOW_LIMIT_S)
    return f"a test guest under KVM failed: {said}" if said else ""


def _why_no_device() -> str:
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    return "" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm may not be opened"


async def _boot(accelerator: str, limit_s: float) -> str:
    """Boot the sector; an empty string, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="aerostat-probe-") as folder:
        image = Path(folder) / "boot.img"
        image.write_bytes(exit_by_device(SAID))
        qemu = f"qemu-system-{platform.machine()}"
        try:
            process = await asyncio.create_subprocess_exec(
                *(qemu, "-accel", accelerator, "-m", "16", "-nodefaults", "-display", "none"),
                *("-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
                *("-drive", f"file={image},format=raw,if=floppy,readonly=on"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise DriverError("QEMU is not installed on this host.", detail=f"no {qemu}") from None
        try:
            said, complaint = await asyncio.wait_for(process.communicate(), limit_s)
        except TimeoutError:
            return f"it hung for {limit_s:.0f} seconds"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == STATUS and SAID in said:
            return ""
        return complaint.decode(errors="replace").strip()[-200:] or f"QEMU ended with {process.returncode}"
