"""The hypervisor of this host: QEMU, driven by libvirt.

The contract is `host/protocol.py`. Everything about a domain has a fixed name made from its id: its UUID in
libvirt and its folder on the disk. So a repeat, or another process, finds what the first one made.
"""

import asyncio
import contextlib
import os
import platform
import shutil
from collections.abc import AsyncIterator
from typing import Any, Literal
from xml.etree import ElementTree as ET

import libvirt

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import is_uuid
from aerostat.kernel.turns import Turns
from aerostat.services.compute.host.protocol import (
    BaseImage,
    BaseImageSpec,
    ConsoleSockets,
    Domain,
    DomainEvent,
    DomainSpec,
    HostFacts,
    Interface,
    Power,
)

from .accelerator import Accelerator, find_accelerator
from .base_images import BaseImages
from .connection import OPEN_LIMIT_S, Connection
from .consoles import let_in, read_tail, take_screenshot, trim_logs
from .disks import ensure_disks, write_config_drive
from .domain_xml import Machine, check_spec, domain_xml, interface_alias, interface_xml, ports_in
from .exports import FORMAT, Exports
from .moves import Moves, find_owner, take_over
from .power import PowerSwitch, lookup
from .settings import DomainFolder, LibvirtSettings
from .states import happening, state_of

GIB = 1 << 30
LOOK_EVERY_S = 0.2
UNREAD_EVENTS = 1000


class LibvirtHypervisor:
    """See `Hypervisor` for what each verb promises; can also take screenshots and copy disks out."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings
        self._images = BaseImages(settings.images)
        self._connection = Connection(settings, self._ask_for_events)
        self._power = PowerSwitch(self._connection)
        self._exports = Exports(self._connection)
        self.moves = Moves(settings, self._connection, self._forget)
        self._turns = Turns()  # of everybody who has to do with a domain
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue(UNREAD_EVENTS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._proving = asyncio.Lock()
        self._accelerator: Accelerator | None = None
        self._trimming: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._loop is not None:
            return
        self._settings.check()
        self._settings.instances.mkdir(parents=True, exist_ok=True)
        self._images.open()
        self._loop = asyncio.get_running_loop()
        await self._connection.open()
        self._trimming = asyncio.create_task(trim_logs(self._settings.instances))

    async def close(self) -> None:
        if self._trimming is not None:
            self._trimming.cancel()
            await asyncio.gather(self._trimming, return_exceptions=True)
        await self._connection.close()
        self._loop = self._trimming = self._accelerator = None

    async def events(self) -> AsyncIterator[DomainEvent]:
        while True:
            yield await self._events.get()

    async def inspect_host(self) -> HostFacts:
        accelerator = await self._prove_accelerator()
        version, capabilities = await self._connection.call(
            "The hypervisor does not tell what it can.",
            lambda connection: (connection.getVersion(), connection.getCapabilities()),
            limit_s=OPEN_LIMIT_S,
        )
        disk = os.statvfs(self._settings.instances)
        return HostFacts(
            host_name=self._settings.own_name,
            arch=platform.machine(),
            vcpus=os.cpu_count() or 1,
            memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            disk_gib=disk.f_frsize * disk.f_blocks // GIB,
            disk_free_gib=disk.f_frsize * disk.f_bavail // GIB,
            accelerator=accelerator.name,
            accelerator_reason=accelerator.reason,
            hypervisor_type="QEMU",
            hypervisor_version=version,
            cpu_info=_cpu_info(capabilities),
        )

    # Base images

    async def ensure_base_image(self, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> BaseImage:
        return await self._images.ensure(image, chunks)

    async def find_base_image(self, image_id: str) -> BaseImage | None:
        return await self._images.find(image_id)

    async def remove_base_image(self, image_id: str) -> None:
        self._images.remove(image_id)

    async def list_base_images(self) -> list[BaseImage]:
        return await self._images.list()

    # Domains

    async def ensure_domain(self, spec: DomainSpec, power: Power = "running") -> Domain:
        check_spec(spec)
        folder = self._folder(spec.id)
        async with self._turns.of(spec.id):
            found = await self._find(spec.id)
            if found is None or found.state in ("shutoff", "crashed"):
                await ensure_disks(spec, folder, self._images)
                await write_config_drive(spec, folder)
                xml = domain_xml(spec, folder, await self._machine())
                await self._connection.call(
                    "The hypervisor refused the server's definition.", lambda c: c.defineXML(xml)
                )
            take_over(folder, self._settings.own_name)
            await self._power.bring_to(spec.id, power, 0.0)
            return await self._inspect(spec.id)

    async def remove_domain(self, domain_id: str) -> None:
        folder = self._folder(domain_id)
        async with self._turns.of(domain_id):
            await self._take_away(domain_id)
            if folder.path.exists() and find_owner(folder) in (None, self._settings.own_name):
                await asyncio.to_thread(shutil.rmtree, folder.path)

    async def _forget(self, domain_id: str) -> None:
        async with self._turns.of(domain_id):
            await self._take_away(domain_id)

    async def _take_away(self, domain_id: str) -> None:
        """Stop the domain and take away what libvirt knows of it, and its sockets; its files stay. With its lock."""
        folder = self._folder(domain_id)
        await self._exports.give_up(domain_id)
        if await self._find(domain_id) is not None:
            await self._power.cut(domain_id)
            await self._connection.call(
                "The hypervisor could not remove the server.", lambda c: _undefine(c, domain_id)
            )
        if folder.apart is not None and folder.apart.exists():
            await asyncio.to_thread(shutil.rmtree, folder.apart)

    async def inspect_domain(self, domain_id: str) -> Domain | None:
        return await self._find(domain_id)

    async def list_domains(self) -> list[Domain]:
        def look(connection: Any) -> list[Domain]:
            found = (_seen(connection, domain) for domain in connection.listAllDomains())
            return sorted((domain for domain in found if domain is not None), key=lambda domain: domain.id)

        return await self._connection.call("The hypervisor's servers are not known.", look)

    async def ensure_power(self, domain_id: str, power: Power, *, limit_s: float = 60.0) -> Domain:
        async with self._turns.of(domain_id):
            await self._power.bring_to(domain_id, power, limit_s)
            return await self._inspect(domain_id)

    async def reboot(self, domain_id: str, *, hard: bool = False, limit_s: float = 60.0) -> Domain:
        async with self._turns.of(domain_id):
            await self._power.reboot(domain_id, hard, limit_s)
            return await self._inspect(domain_id)

    async def ensure_interface(self, domain_id: str, interface: Interface) -> None:
        xml = interface_xml(interface)

        def plug(connection: Any) -> None:
            domain = lookup(connection, domain_id)
            for where in _places(domain):
                if interface.port_id not in _ports(domain, where):
                    domain.attachDeviceFlags(xml, where)

        async with self._turns.of(domain_id):
            await self._connection.call("The network card could not be plugged in.", plug)

    async def remove_interface(self, domain_id: str, port_id: str, *, limit_s: float = 20.0) -> None:
        alias = interface_alias(port_id)

        def unplug(connection: Any) -> bool:
            """Ask, from the stored definition first; whether the card is gone from everywhere."""
            domain = lookup(connection, domain_id)
            places = [where for where in _places(domain) if port_id in _ports(domain, where)]
            for where in places:
                # libvirt refuses to ask twice while the guest makes up its mind
                with contextlib.suppress(libvirt.libvirtError):
                    domain.detachDeviceAlias(alias, where)
            return not places

        complaint = "The guest did not let go of its network card."
        async with self._turns.of(domain_id):
            try:
                async with asyncio.timeout(limit_s):
                    while True:
                        if await self._connection.call(complaint, unplug):
                            return
                        await asyncio.sleep(LOOK_EVERY_S)
            except TimeoutError:
                raise DriverError(complaint, detail=f"{alias} after {limit_s} s", retry=True) from None

    # Consoles

    async def console_log(self, domain_id: str, max_bytes: int = 102_400) -> str:
        await self._inspect(domain_id)
        return await asyncio.to_thread(read_tail, self._folder(domain_id).console_log, max_bytes)

    async def console_sockets(self, domain_id: str) -> ConsoleSockets:
        await self._check_active(domain_id)
        folder = self._folder(domain_id)
        if self._settings.client is not None:
            await asyncio.to_thread(let_in, self._settings, folder)
        return ConsoleSockets(vnc=str(folder.vnc_socket), serial=str(folder.serial_socket))

    async def screenshot(self, domain_id: str) -> bytes:
        await self._check_active(domain_id)
        return await self._connection.call(
            "The screen could not be read.",
            lambda connection: take_screenshot(connection, lookup(connection, domain_id)),
        )

    # Copies of disks

    @property
    def export_format(self) -> Literal["raw", "qcow2"]:
        return FORMAT

    async def export_disk(self, domain_id: str, export_id: str) -> None:
        folder = self._folder(domain_id)
        async with self._turns.of(domain_id):
            await self._inspect(domain_id)
            await self._exports.ensure(domain_id, folder, export_id)

    async def read_export(self, domain_id: str, export_id: str, offset: int, size: int) -> bytes:
        return await self._exports.read(self._folder(domain_id), export_id, offset, size)

    async def remove_export(self, domain_id: str, export_id: str) -> None:
        await self._exports.remove(self._folder(domain_id), export_id)

    # What is done to a guest that runs

    async def interrupt(self, domain_id: str) -> None:
        await self._check_active(domain_id)
        await self._connection.call(
            "The server could not be interrupted.",
            lambda connection: lookup(connection, domain_id).injectNMI(),
        )

    async def set_password(self, domain_id: str, user: str, password: str) -> None:
        await self._check_active(domain_id)
        await self._connection.call(
            "The guest's agent did not change the password.",
            lambda connection: lookup(connection, domain_id).setUserPassword(user, password),
        )

    # Within

    def _folder(self, domain_id: str) -> DomainFolder:
        if not is_uuid(domain_id):
            raise DriverError("This is no server id.", detail=repr(domain_id))
        return self._settings.folder(domain_id)

    async def _prove_accelerator(self) -> Accelerator:
        async with self._proving:
            if self._accelerator is None:
                self._accelerator = await find_accelerator(
                    self._settings.accelerator, self._settings.state / "accelerator.json"
                )
            return self._accelerator

    async def _machine(self) -> Machine:
        accelerator = await self._prove_accelerator()
        return Machine(
            domain_type=accelerator.domain_type,
            arch=platform.machine(),
            disk_cache="none" if self._takes_direct_io() else "writeback",
            qemu_as_root=self._settings.qemu_as_root,
        )

    def _takes_direct_io(self) -> bool:
        """Some file systems (tmpfs) have no way past the page cache, and QEMU then refuses to start."""
        probe = self._settings.instances / ".direct-io"
        try:
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return True

    async def _find(self, domain_id: str) -> Domain | None:
        def look(connection: Any) -> Domain | None:
            try:
                return _seen(connection, connection.lookupByUUIDString(domain_id))
            except libvirt.libvirtError as failed:
                if failed.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
                    return None
                raise

        return await self._connection.call("The server's state is not known.", look)

    async def _inspect(self, domain_id: str) -> Domain:
        found = await self._find(domain_id)
        if found is None:
            raise DriverError("The host does not know this server.", detail=f"no domain {domain_id}")
        return found

    async def _check_active(self, domain_id: str) -> None:
        if (await self._inspect(domain_id)).state not in ("running", "paused"):
            raise DriverError("The server is not running.")

    # Events come in libvirt's thread; they are taken over into ours

    def _ask_for_events(self, connection: Any) -> list[int]:
        lifecycle, reboot = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
        return [
            connection.domainEventRegisterAny(None, lifecycle, self._on_lifecycle, None),
            connection.domainEventRegisterAny(None, reboot, self._on_reboot, None),
        ]

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        if (what := happening(event, detail)) is not None:
            self._tell(DomainEvent(domain.UUIDString(), what))

    def _on_reboot(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        self._tell(DomainEvent(domain.UUIDString(), "rebooted"))

    def _tell(self, event: DomainEvent) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: DomainEvent) -> None:
        if event.what == "rebooted":
            self._power.saw_reboot(event.domain_id)
        with contextlib.suppress(asyncio.QueueFull):  # some may be lost
            self._events.put_nowait(event)


def _seen(connection: Any, domain: Any) -> Domain | None:
    """A libvirt domain in the contract's words; None if it went away meanwhile."""
    wanted = (
        libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
    )
    try:
        state, reason = state_of(domain)
        # without waiting: a long job on one domain must not hide it from the list
        nowait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        stats = connection.domainListGetStats([domain], wanted, nowait)[0][1]
        return Domain(
            id=domain.UUIDString(),
            name=domain.name(),
            state=state,
            reason=reason,
            vcpus=stats.get("vcpu.current", 0),
            memory_mib=domain.maxMemory() >> 10,
            cpu_time_s=stats.get("cpu.time", 0) / 1e9,
            resident_mib=stats.get("balloon.rss", 0) >> 10,
            ports=_ports(domain, 0),
        )
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _places(domain: Any) -> list[int]:
    """Where a device is to be changed: in the stored definition, and in the machine if it runs."""
    stored = [libvirt.VIR_DOMAIN_AFFECT_CONFIG]
    return [*stored, libvirt.VIR_DOMAIN_AFFECT_LIVE] if domain.isActive() else stored


def _ports(domain: Any, where: int) -> tuple[str, ...]:
    stored = where == libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return ports_in(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if stored else 0))


def _undefine(connection: Any, domain_id: str) -> None:
    lookup(connection, domain_id).undefineFlags(
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    )


def _cpu_info(capabilities: str) -> dict[str, object]:
    """The host's processor as the compute API shows it, from libvirt's capabilities."""
    cpu = ET.fromstring(capabilities).find("host/cpu")
    if cpu is None:
        return {"arch": platform.machine()}
    topology = cpu.find("topology")
    return {
        "arch": cpu.findtext("arch"),
        "vendor": cpu.findtext("vendor"),
        "model": cpu.findtext("model"),
        "topology": {
            key: int(value)
            for key, value in (topology.attrib if topology is not None else {}).items()
            if key in ("sockets", "cores", "threads")
        },
        "features": [feature.get("name") for feature in cpu.iterfind("feature")],
    }
