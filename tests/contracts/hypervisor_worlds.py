"""The worlds in which the hypervisor's contract is tested: one in memory, one of real QEMU processes.

A world knows what the contract does not say: how to bring up a hypervisor, an image that does something
visible within a second, and how to make a guest do what guests do.
"""

import asyncio
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from aerostat.kernel.ids import new_id, short_id
from aerostat.services.compute.drivers.fake import FakeHypervisor
from aerostat.services.compute.drivers.libvirt.boot_sector import echo
from aerostat.services.compute.host.protocol import BaseImageSpec, DomainSpec, Hypervisor, RootDisk

BOOT_IMAGE = echo(b"hello from the boot sector\r\n").ljust(1 << 20, b"\0")  # firmware boots no smaller disk
_libvirt_state: Path | None = None


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def eventually(check, limit_s: float = 15.0):
    """Await `check()` until it gives something true, and give that."""
    async with asyncio.timeout(limit_s):
        while True:
            if value := await check():
                return value
            await asyncio.sleep(0.05)


class World:
    """`image_id` is in the cache; `spec` makes specifications of domains that are removed in the end."""

    hypervisor: Hypervisor

    def __init__(self) -> None:
        self.image_id = new_id()
        self.domain_ids: list[str] = []

    async def open(self) -> None:
        await self.hypervisor.open()
        image = BaseImageSpec(id=self.image_id, format="raw", size_bytes=len(BOOT_IMAGE))
        await self.hypervisor.ensure_base_image(image, chunks(BOOT_IMAGE))

    async def close(self) -> None:
        for domain_id in self.domain_ids:
            await self.hypervisor.remove_domain(domain_id)
        for image in await self.hypervisor.list_base_images():
            await self.hypervisor.remove_base_image(image.id)
        await self.hypervisor.close()

    def spec(self, **values) -> DomainSpec:
        domain_id = new_id()
        self.domain_ids.append(domain_id)
        defaults = {
            "name": f"as-{short_id(8)}",
            "vcpus": 1,
            "memory_mib": 32,
            "root": RootDisk(self.image_id),
        }
        return DomainSpec(id=domain_id, **{**defaults, **values})

    async def add_image(self, text: str) -> tuple[str, str]:
        """One more image in the cache: its id, and what a guest that boots from it writes to its console."""
        content = echo(f"{text}\r\n".encode()).ljust(1 << 20, b"\0")
        image = BaseImageSpec(id=new_id(), format="raw")
        await self.hypervisor.ensure_base_image(image, chunks(content))
        return image.id, self.says(image.id, text)

    def says(self, image_id: str, text: str) -> str:
        return text

    def crash(self, spec: DomainSpec) -> None:
        """Let the domain end as it should not."""
        raise NotImplementedError

    def tap(self) -> str:
        """The name of a tap device that is there while the test runs."""
        raise NotImplementedError


class FakeWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self.hypervisor = self.fake = FakeHypervisor("fake-1")

    def says(self, image_id: str, text: str) -> str:
        return image_id

    def crash(self, spec: DomainSpec) -> None:
        self.fake.guest_crashes(spec.id)

    def tap(self) -> str:
        return "tap0"


class LibvirtWorld(World):
    """Embedded libvirt knows one state folder in the life of a process: all tests share it."""

    def __init__(self) -> None:
        from aerostat.services.compute.drivers.libvirt.hypervisor import LibvirtHypervisor
        from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings

        super().__init__()
        global _libvirt_state
        if _libvirt_state is None:
            _libvirt_state = Path(tempfile.mkdtemp(prefix="as-hv-", dir="/tmp"))
            atexit.register(shutil.rmtree, _libvirt_state)
        self.state = _libvirt_state
        self.hypervisor = LibvirtHypervisor(LibvirtSettings(self.state, accelerator="tcg"))
        self.taps: list[str] = []

    async def close(self) -> None:
        await super().close()
        for tap in self.taps:
            await asyncio.to_thread(subprocess.run, ["ip", "link", "del", tap], check=True)

    def crash(self, spec: DomainSpec) -> None:
        pid = int((self.state / "libvirt" / "run" / "qemu" / f"{spec.name}.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    def tap(self) -> str:
        name = f"as{short_id(8)}"
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
        self.taps.append(name)
        return name


def why_no_libvirt() -> str:
    """What is missing on this machine for real domains; empty if nothing is."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("qemu-system-x86_64", "qemu-img", "ip"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return "needs libvirt's Python binding"
    return ""
