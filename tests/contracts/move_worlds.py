"""Pairs of hosts between which domains move: two of the fake world, or two libvirts in namespaces of this machine."""

import asyncio
import atexit
import dataclasses
import secrets
import shutil
import tempfile
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute

from aerostat.kernel.ids import new_id, short_id
from aerostat.kernel.namespaces import ensure_namespace, find_link, remove_namespace, run_inside
from aerostat.kernel.supervise import Supervisor
from aerostat.services.compute.drivers import fake
from aerostat.services.compute.drivers.fake_kept import KeptFakeHypervisor
from aerostat.services.compute.drivers.libvirt.boot_sector import fill_and_halt
from aerostat.services.compute.host.protocol import BaseImageSpec, DomainSpec, RootDisk

from .hypervisor_worlds import BOOT_IMAGE, chunks, why_no_libvirt

BUSY_IMAGE = fill_and_halt(b"hello from the large boot sector\r\n").ljust(1 << 20, b"\0")


def why_no_libvirtd() -> str:
    """Why there cannot be several hosts here; empty if there can."""
    if missing := why_no_libvirt():
        return missing
    absent = [tool for tool in ("libvirtd", "unshare", "nsenter") if shutil.which(tool) is None]
    return f"needs {', '.join(absent)}" if absent else ""


_seed: Path | None = None


def _seed_folder() -> Path:
    """What libvirt found out about QEMU, which takes it many seconds, from one test to the next."""
    global _seed
    if _seed is None:
        _seed = Path(tempfile.mkdtemp(prefix="as-caps-", dir="/tmp"))
        atexit.register(shutil.rmtree, _seed)
    return _seed


class Pair:
    """Hosts `one` and `two`; `shared` says whether their domains' files are in one place."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self.image_id, self.busy_image_id = new_id(), new_id()
        self.domain_ids: list[str] = []

    async def open(self) -> None:
        for host in (self.one, self.two):
            await host.open()
            for image_id, content in ((self.image_id, BOOT_IMAGE), (self.busy_image_id, BUSY_IMAGE)):
                image = BaseImageSpec(id=image_id, format="raw", size_bytes=len(content))
                await host.ensure_base_image(image, chunks(content))

    async def close(self) -> None:
        for host in (self.one, self.two):
            for domain_id in self.domain_ids:
                await host.remove_domain(domain_id)
            await host.close()

    def spec(self, *, busy: bool = False) -> DomainSpec:
        domain_id = new_id()
        self.domain_ids.append(domain_id)
        root = RootDisk(self.busy_image_id if busy else self.image_id)
        return DomainSpec(id=domain_id, name=f"as-{short_id(8)}", vcpus=1, memory_mib=32, root=root)

    def make_busy(self, domain_id: str) -> None:
        """Let sending the domain take so long that somebody can have a say in it."""
        raise NotImplementedError


class FakePair(Pair):
    def __init__(self, *, shared: bool) -> None:
        super().__init__(shared=shared)
        world = fake.FakeWorld()
        world.shared_storage = shared
        self.one, self.two = world.host("one"), world.host("two")

    def make_busy(self, domain_id: str) -> None:
        self.one.moves.make_busy(domain_id)

    def has_files(self, host, domain_id: str) -> bool:
        return domain_id in host.files


class KeptPair(FakePair):
    """Two fake hosts as processes of their own have them: all they share are sockets."""

    def __init__(self, *, shared: bool) -> None:
        Pair.__init__(self, shared=shared)
        self.folder = Path(tempfile.mkdtemp(prefix="as-kept-", dir="/tmp"))
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        self.one, self.two = (KeptFakeHypervisor(name, self.folder / name) for name in ("one", "two"))

    async def close(self) -> None:
        await super().close()
        shutil.rmtree(self.folder)


class LibvirtPair(Pair):
    """Two daemons, each with a network namespace, a mount namespace and a state folder; a wire between them."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__(shared=shared)
        from aerostat.services.compute.drivers.libvirt.daemon import libvirtd, uri_of
        from aerostat.services.compute.drivers.libvirt.hypervisor import LibvirtHypervisor
        from aerostat.services.compute.drivers.libvirt.settings import LibvirtSettings

        self.state = Path(tempfile.mkdtemp(prefix="as-mv-", dir="/tmp"))
        self.prefix = f"as-{secrets.token_hex(3)}"
        daemons = []
        for number, name in ((1, "one"), (2, "two")):
            settings = LibvirtSettings(
                self.state / name,
                accelerator="tcg",
                host_name=name,
                shared_instances=self.state / "shared" if shared else None,
                address=f"172.31.253.{number}",
            )
            settings = dataclasses.replace(settings, uri=uri_of(settings), landing_uri=uri_of(settings))
            daemons.append(libvirtd(settings, f"libvirt-{name}", f"{self.prefix}-{name}"))
            setattr(self, name, LibvirtHypervisor(settings))
        self.caches = [self.state / name / "libvirt" / "cache" for name in ("one", "two")]
        self.supervisor = Supervisor(daemons, self.state)

    async def open(self) -> None:
        for name in ("one", "two"):
            await ensure_namespace(f"{self.prefix}-{name}")
        await run_inside(f"{self.prefix}-one", partial(_join, f"{self.prefix}-two"))
        for number, name in ((1, "one"), (2, "two")):
            await run_inside(f"{self.prefix}-{name}", partial(_address, f"172.31.253.{number}"))
        for cache in self.caches:
            await asyncio.to_thread(shutil.copytree, _seed_folder(), cache)
        await self.supervisor.start()
        await super().open()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self.supervisor.stop()
            for cache in self.caches:
                await asyncio.to_thread(shutil.copytree, cache, _seed_folder(), dirs_exist_ok=True)
            for name in ("one", "two"):
                await remove_namespace(f"{self.prefix}-{name}")
            await asyncio.to_thread(shutil.rmtree, self.state)

    def make_busy(self, domain_id: str) -> None:
        """One megabyte a second, of eight that the guest has filled."""
        self.one._connection._connected().lookupByUUIDString(domain_id).migrateSetMaxSpeed(1)

    def has_files(self, host, domain_id: str) -> bool:
        return host._settings.folder(domain_id).path.exists()


def _join(other: str) -> None:
    with IPRoute() as ip:
        ip.link("add", ifname="wire", kind="veth", peer={"ifname": "wire", "net_ns_fd": other})


def _address(address: str) -> None:
    with IPRoute() as ip:
        index = find_link(ip, "wire")
        ip.addr("replace", index=index, address=address, prefixlen=24)
        ip.link("set", index=index, state="up")
