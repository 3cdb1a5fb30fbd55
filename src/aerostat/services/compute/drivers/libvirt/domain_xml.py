"""A domain in libvirt's XML, from its specification. Pure: the same input gives the same text.

https://libvirt.org/formatdomain.html

What is not obvious here was learnt by running it:

* QEMU takes every PCIe card that is plugged in later into a root port of its own, and a port cannot be
  added to a running q35: so there are spare ones from the start.
* q35 has no IDE and small kernels have no AHCI: the config drive is a CD on virtio-scsi.
* Frames must leave a guest with whole checksums, since the userspace switch's connection tracking drops
  the others: all offloads of the network cards are off.
* QEMU's cache of translated code is up to a quarter of the host's memory unless it is told otherwise.
* The serial line has a log and a socket at once; two devices would show each half.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.host.protocol import DomainSpec, Interface

from .settings import DomainFolder

SPARE_ROOT_PORTS = 16
TB_CACHE_MIB = 64

MACHINES = {"pc": "pc", "q35": "q35"}
DISK_BUSES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
RESCUE_BUSES = {**DISK_BUSES, "usb": "sd"}
VIDEO_MODELS = ("vga", "virtio", "cirrus", "qxl", "bochs", "none")
NIC_MODELS = ("virtio", "e1000", "e1000e", "rtl8139")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST_OFFLOADS = ("csum", "gso", "tso4", "tso6", "ecn", "ufo")
_GUEST_OFFLOADS = ("csum", "tso4", "tso6", "ecn", "ufo")


@dataclass(frozen=True)
class Machine:
    """What the host decides for all its domains."""

    domain_type: str = "qemu"
    arch: str = "x86_64"
    disk_cache: str = "none"
    qemu_as_root: bool = False


def check_spec(spec: DomainSpec) -> None:
    """Raise `DriverError` if this hypervisor cannot give what `spec` asks for."""
    if not _NAME.fullmatch(spec.name):
        raise DriverError("The server's name on the host is not allowed.", detail=repr(spec.name))
    machine, bus, _ = _hardware(spec)
    if machine == "q35" and bus == "ide":
        raise DriverError("A machine of type q35 has no IDE disks.")
    if (rescue := spec.rescue) is not None and rescue.bus:
        _check_one_of("bus of rescue disks", rescue.bus, RESCUE_BUSES)
        if machine == "q35" and rescue.bus == "ide":
            raise DriverError("A machine of type q35 has no IDE disks.")
        if rescue.device == "cdrom" and rescue.bus == "virtio":
            raise DriverError("There are no CD drives on virtio, only disks.")
    for interface in spec.interfaces:
        _check_one_of("network card", interface.model, NIC_MODELS)


def domain_xml(spec: DomainSpec, folder: DomainFolder, machine: Machine) -> str:
    """The definition of a domain whose files are in `folder`."""
    check_spec(spec)
    machine_type, _, video = _hardware(spec)
    domain = ET.Element("domain", type=machine.domain_type)
    _add(domain, "name", spec.name)
    _add(domain, "uuid", spec.id)
    if title := _printable(spec.title):
        _add(domain, "title", title)
    _add(domain, "memory", str(spec.memory_mib), unit="MiB")
    _add(domain, "vcpu", str(spec.vcpus), placement="static")
    _add_smbios(domain, spec)
    boot = _add(domain, "os")
    _add(boot, "type", "hvm", arch=machine.arch, machine=machine_type)
    _add(boot, "smbios", mode="sysinfo")
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if machine.domain_type == "qemu":
        _add(_add(features, "tcg"), "tb-cache", str(TB_CACHE_MIB), unit="MiB")
    _add(domain, "cpu", mode="host-model" if machine.domain_type == "kvm" else "maximum")
    _add(domain, "clock", offset="utc")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    _add(domain, "on_crash", "destroy")

    if machine.qemu_as_root:
        label = _add(domain, "seclabel", type="static", model="dac", relabel="no")
        _add(label, "label", "+0:+0")

    devices = _add(domain, "devices")
    uses_usb = spec.rescue is not None and spec.rescue.bus == "usb"
    _add_controllers(devices, machine_type, uses_usb=uses_usb)
    _add_disks(devices, spec, folder, machine)
    for interface in spec.interfaces:
        devices.append(_interface(interface))
    _add_consoles(devices, folder, video)
    _add(_add(devices, "memballoon", model="virtio"), "stats", period="10")
    if spec.properties.get("hw_rng_model", "virtio") != "none":
        _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode")


def interface_xml(interface: Interface) -> str:
    """One network card, to be plugged in."""
    return ET.tostring(_interface(interface), encoding="unicode")


def interface_alias(port_id: str) -> str:
    """The name by which a card is found again, in the running domain and in the stored one."""
    return f"ua-port-{port_id}"


def ports_in(xml: str) -> tuple[str, ...]:
    """The port ids of a domain's cards, read back from its XML."""
    prefix = interface_alias("")
    names = (alias.get("name", "") for alias in ET.fromstring(xml).iterfind("devices/interface/alias"))
    return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def _hardware(spec: DomainSpec) -> tuple[str, str, str]:
    """Machine type, disk bus and video model, checked."""
    wanted = spec.properties
    machine = _check_one_of("machine", wanted.get("hw_machine_type", "q35"), MACHINES)
    bus = _check_one_of("disk bus", wanted.get("hw_disk_bus", "virtio"), DISK_BUSES)
    video = _check_one_of("video card", wanted.get("hw_video_model", "vga"), VIDEO_MODELS)
    _check_one_of("random number generator", wanted.get("hw_rng_model", "virtio"), ("virtio", "none"))
    return machine, bus, video


def _check_one_of(what: str, value: str, allowed: object) -> str:
    names = list(allowed)  # type: ignore[call-overload]
    if value not in names:
        raise DriverError(f"This host has no {what} {value!r}, only {', '.join(names)}.")
    return value


def _add_smbios(domain: ET.Element, spec: DomainSpec) -> None:
    """What guests recognise the kind of cloud by: cloud-init looks for this product name."""
    system = _add(_add(domain, "sysinfo", type="smbios"), "system")
    for name, value in (
        ("manufacturer", "OpenStack Foundation"),
        ("product", "OpenStack Nova"),
        ("serial", spec.id),
        ("uuid", spec.id),
        ("family", "Virtual Machine"),
    ):
        _add(system, "entry", value, name=name)


def _add_controllers(devices: ET.Element, machine_type: str, *, uses_usb: bool) -> None:
    if machine_type == "q35":
        _add(devices, "controller", type="pci", index="0", model="pcie-root")
        for index in range(1, SPARE_ROOT_PORTS + 1):
            _add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    _add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    _add(devices, "controller", type="usb", index="0", model="qemu-xhci" if uses_usb else "none")


def _add_disks(devices: ET.Element, spec: DomainSpec, folder: DomainFolder, machine: Machine) -> None:
    _, bus, _ = _hardware(spec)
    letters = {prefix: iter("abcdefghijklmnopqrstuvwxyz") for prefix in set(RESCUE_BUSES.values())}
    rescue = spec.rescue
    keeps_places = rescue is not None and bool(rescue.device or rescue.bus)

    def add(path: str, fmt: str, *, bus: str = bus, device: str = "disk", boots: bool = False) -> None:
        disk = _add(devices, "disk", type="file", device=device)
        discard = {"discard": "unmap"} if device == "disk" else {}
        _add(disk, "driver", name="qemu", type=fmt, cache=machine.disk_cache, **discard)
        _add(disk, "source", file=path)
        _add(disk, "target", dev=RESCUE_BUSES[bus] + next(letters[RESCUE_BUSES[bus]]), bus=bus)
        if boots:
            _add(disk, "boot", order="1")
        if device == "cdrom":
            _add(disk, "readonly")

    if rescue is not None and not keeps_places:
        add(str(folder.rescue_disk), "qcow2", boots=True)
    add(str(folder.root_disk), "qcow2", boots=rescue is None)
    for index in range(len(spec.ephemeral_gib)):
        add(str(folder.ephemeral(index)), "raw")
    if spec.swap_mib:
        add(str(folder.swap), "raw")
    if spec.config_drive is not None:
        cd = _add(devices, "disk", type="file", device="cdrom")
        _add(cd, "driver", name="qemu", type="raw")
        _add(cd, "source", file=str(folder.config_drive))
        # A name near the others: libvirt makes a controller for each seven names it must count to.
        _add(cd, "target", dev="sd" + next(letters["sd"]), bus="scsi")
        _add(cd, "readonly")
    if rescue is not None and keeps_places:
        kind = rescue.device or "disk"
        rescue_bus = rescue.bus or ("scsi" if kind == "cdrom" else bus)
        add(str(folder.rescue_disk), "qcow2", bus=rescue_bus, device=kind, boots=True)


def _interface(card: Interface) -> ET.Element:
    interface = ET.Element("interface", type="ethernet")
    _add(interface, "mac", address=card.mac)
    _add(interface, "target", dev=card.tap, managed="no")
    _add(interface, "model", type=card.model)
    if card.model == "virtio":
        driver = _add(interface, "driver")
        _add(driver, "host", **dict.fromkeys(_HOST_OFFLOADS, "off"))
        _add(driver, "guest", **dict.fromkeys(_GUEST_OFFLOADS, "off"))
    _add(interface, "alias", name=interface_alias(card.port_id))
    _add(interface, "mtu", size=str(card.mtu))
    return interface


def _add_consoles(devices: ET.Element, folder: DomainFolder, video: str) -> None:
    serial = _add(devices, "serial", type="unix")
    _add(serial, "source", mode="bind", path=str(folder.serial_socket))
    _add(serial, "log", file=str(folder.console_log), append="on")
    _add(serial, "target", type="isa-serial", port="0")
    channel = _add(devices, "channel", type="unix")
    _add(channel, "source", mode="bind", path=str(folder.agent_socket))
    _add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    if video != "none":
        graphics = _add(devices, "graphics", type="vnc")
        _add(graphics, "listen", type="socket", socket=str(folder.vnc_socket))
    _add(_add(devices, "video"), "model", type=video)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _printable(text: str) -> str:
    """`text` without what XML or libvirt refuse: control characters and line ends."""
    return "".join(c for c in text if c.isprintable()).strip()
