"""Which accelerator really works here, proved by booting.

`/dev/kvm` and libvirt's word are not enough: inside some clouds KVM opens, runs the first instructions and
then hangs in the firmware's protected-mode code. So a boot sector is started through the firmware; it
writes two letters to the serial line and leaves by QEMU's exit device with a status of its own.
"""

import asyncio
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

import msgspec

from aerostat.kernel.errors import DriverError

from .boot_sector import exit_by_device

SAID = b"OK"
STATUS = 33
"""What QEMU exits with when the guest writes 0x10 to the exit device: (0x10 << 1) | 1."""
KVM_LIMIT_S = 3.0
SLOW_LIMIT_S = 10.0
SLOW_MACHINE_S = 1.5
"""A TCG boot that takes longer shows a loaded machine, on which KVM is given a second, longer chance."""


class Accelerator(msgspec.Struct, frozen=True):
    """`reason`: why it is not kvm."""

    name: Literal["kvm", "tcg"]
    reason: str = ""

    @property
    def domain_type(self) -> str:
        return "kvm" if self.name == "kvm" else "qemu"


class _Proof(msgspec.Struct, frozen=True):
    """What was found, and on what: neither the running kernel nor QEMU may have changed since."""

    machine: str
    found: Accelerator


async def find_accelerator(
    wanted: Literal["auto", "kvm", "tcg"] = "auto", remembered: Path | None = None
) -> Accelerator:
    """The accelerator to use. Raises `DriverError` if `kvm` is wanted and does not work, or nothing does.

    A proof costs seconds where KVM hangs, so it is kept in the file `remembered` until the machine starts
    anew or gets another QEMU.
    """
    if wanted == "tcg":
        return Accelerator("tcg", "the settings say tcg")
    machine = await asyncio.to_thread(_machine)
    found = await asyncio.to_thread(_recall, remembered, machine)
    if found is None:
        reason = await _why_not_kvm()
        found = Accelerator("tcg", reason) if reason else Accelerator("kvm")
        if remembered is not None:
            await asyncio.to_thread(remembered.write_bytes, msgspec.json.encode(_Proof(machine, found)))
    if wanted == "kvm" and found.name != "kvm":
        raise DriverError(f"KVM does not work here: {found.reason}.")
    return found


def _machine() -> str:
    """This start of this machine, with this QEMU."""
    qemu = shutil.which(_qemu())
    built = os.stat(qemu).st_mtime_ns if qemu else 0
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {qemu} {built}"


def _recall(remembered: Path | None, machine: str) -> Accelerator | None:
    if remembered is None:
        return None
    try:
        proof = msgspec.json.decode(remembered.read_bytes(), type=_Proof)
    except (FileNotFoundError, msgspec.DecodeError):  # never proved, or cut short by a death
        return None
    return proof.found if proof.machine == machine else None


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


def _qemu() -> str:
    return f"qemu-system-{platform.machine()}"


async def _boot(accelerator: str, limit_s: float) -> str:
    """Boot the sector; an empty string, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="aerostat-probe-") as folder:
        image = Path(folder) / "boot.img"
        image.write_bytes(exit_by_device(SAID))
        try:
            process = await asyncio.create_subprocess_exec(
                *(_qemu(), "-accel", accelerator, "-m", "16", "-nodefaults", "-display", "none"),
                *("-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
                *("-drive", f"file={image},format=raw,if=floppy,readonly=on"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise DriverError("QEMU is not installed on this host.", detail=f"no {_qemu()}") from None
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
