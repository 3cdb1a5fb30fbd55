"""The domain's definition in libvirt's language."""

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.libvirt.domain_xml import Machine, domain_xml, interface_xml, ports_in
from aerostat.services.compute.drivers.libvirt.settings import DomainFolder
from aerostat.services.compute.host.protocol import DomainSpec, Interface, RescueDisk, RootDisk

FOLDER = DomainFolder(Path("/state/instances/an-id"))
CARD = Interface(port_id="port-1", mac="02:00:00:00:00:01", tap="tap1", mtu=1442)
SPEC = DomainSpec(
    id="11111111-1111-4111-8111-111111111111",
    name="instance-00000001",
    vcpus=2,
    memory_mib=256,
    root=RootDisk("image", 1),
)


def built(machine: Machine = Machine(), **changes: object) -> ET.Element:
    return ET.fromstring(domain_xml(msgspec.structs.replace(SPEC, **changes), FOLDER, machine))


def targets(domain: ET.Element) -> list[tuple[str | None, str | None, str | None]]:
    return [
        (disk.get("device"), disk.find("target").get("dev"), disk.find("target").get("bus"))
        for disk in domain.iterfind("devices/disk")
    ]


def test_what_was_asked_for_is_there():
    domain = built(title="web")
    assert domain.findtext("name") == SPEC.name
    assert domain.findtext("uuid") == SPEC.id
    assert domain.findtext("title") == "web"
    assert (domain.findtext("memory"), domain.find("memory").get("unit")) == ("256", "MiB")
    assert domain.findtext("vcpu") == "2"


def test_tcg_limits_its_code_cache_and_kvm_has_none():
    emulated = built()
    assert emulated.get("type") == "qemu"
    assert emulated.findtext("features/tcg/tb-cache") == "64"
    assert emulated.find("cpu").get("mode") == "maximum"
    native = built(Machine(domain_type="kvm"))
    assert native.get("type") == "kvm"
    assert native.find("features/tcg") is None
    assert native.find("cpu").get("mode") == "host-model"


def test_qemu_is_root_s_where_libvirt_would_choose_another_user():
    assert built().find("seclabel") is None
    label = built(Machine(qemu_as_root=True)).find("seclabel")
    assert label is not None
    assert label.attrib == {"type": "static", "model": "dac", "relabel": "no"}
    assert label.findtext("label") == "+0:+0"


def test_q35_has_spare_ports_for_what_is_plugged_in_later_and_pc_needs_none():
    def ports(domain):
        return len(domain.findall("devices/controller[@model='pcie-root-port']"))

    assert ports(built()) == 16
    assert ports(built(properties={"hw_machine_type": "pc"})) == 0


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        ("virtio", [("disk", "vda", "virtio"), ("disk", "vdb", "virtio"), ("disk", "vdc", "virtio")]),
        ("scsi", [("disk", "sda", "scsi"), ("disk", "sdb", "scsi"), ("disk", "sdc", "scsi")]),
    ],
)
def test_disks_come_in_order_and_the_config_drive_is_a_scsi_cd(bus, expected):
    domain = built(ephemeral_gib=(1,), swap_mib=64, config_drive={"a": b""}, properties={"hw_disk_bus": bus})
    *disks, cd = targets(domain)
    assert disks == expected
    assert cd == ("cdrom", "sda" if bus == "virtio" else "sdd", "scsi")
    booting = [disk for disk in domain.iterfind("devices/disk") if disk.find("boot") is not None]
    assert [disk.find("source").get("file") for disk in booting] == [str(FOLDER.root_disk)]


def test_no_config_drive_no_cd():
    assert targets(built()) == [("disk", "vda", "virtio")]


def test_a_card_sends_whole_checksums_and_can_be_found_again():
    domain = built(interfaces=(CARD,))
    card = domain.find("devices/interface")
    assert card.get("type") == "ethernet"
    assert card.find("target").attrib == {"dev": "tap1", "managed": "no"}
    assert card.find("mtu").get("size") == "1442"
    assert card.find("driver/host").attrib == dict.fromkeys(
        ("csum", "gso", "tso4", "tso6", "ecn", "ufo"), "off"
    )
    assert card.find("driver/guest").attrib == dict.fromkeys(("csum", "tso4", "tso6", "ecn", "ufo"), "off")
    assert ports_in(ET.tostring(domain, encoding="unicode")) == ("port-1",)


def test_offloads_are_set_only_on_cards_that_have_them():
    assert "csum" not in interface_xml(msgspec.structs.replace(CARD, model="e1000"))


def test_consoles_are_sockets_and_a_log_below_the_folder():
    devices = built().find("devices")
    assert devices.find("serial/source").get("path") == str(FOLDER.serial_socket)
    assert devices.find("serial/log").attrib == {"file": str(FOLDER.console_log), "append": "on"}
    assert devices.find("graphics/listen").attrib == {"type": "socket", "socket": str(FOLDER.vnc_socket)}
    assert devices.find("channel/target").get("name") == "org.qemu.guest_agent.0"


def test_a_title_may_hold_anything():
    assert built(title='</title><disk> & "\x00\n').findtext("title") == '</title><disk> & "'
    assert built(title="\n").find("title") is None


@pytest.mark.parametrize(
    "properties",
    [
        {"hw_machine_type": "microvm"},
        {"hw_disk_bus": "xen"},
        {"hw_disk_bus": "ide"},
        {"hw_video_model": "'/><evil/>"},
        {"hw_rng_model": "tpm"},
    ],
    ids=str,
)
def test_what_the_host_cannot_give_is_refused(properties):
    with pytest.raises(DriverError) as refused:
        built(properties=properties)
    assert not refused.value.retry


def test_unknown_properties_are_left_alone_and_bad_names_refused():
    assert built(properties={"os_distro": "debian"}) is not None
    with pytest.raises(DriverError):
        built(name="../../etc")
    with pytest.raises(DriverError):
        built(interfaces=(msgspec.structs.replace(CARD, model="ne2k_pci"),))


def boots_from(domain: ET.Element) -> list[str | None]:
    return [
        disk.find("source").get("file")
        for disk in domain.iterfind("devices/disk")
        if disk.find("boot") is not None
    ]


def test_a_rescue_disk_takes_the_first_place():
    domain = built(rescue=RescueDisk(image_id="mend"), swap_mib=8)
    assert boots_from(domain) == [str(FOLDER.rescue_disk)]
    names = [disk.find("source").get("file") for disk in domain.iterfind("devices/disk")]
    assert names == [str(FOLDER.rescue_disk), str(FOLDER.root_disk), str(FOLDER.swap)]
    assert [name for _, name, _ in targets(domain)] == ["vda", "vdb", "vdc"]


def test_a_rescue_disk_that_says_where_leaves_the_others_in_their_places():
    domain = built(rescue=RescueDisk(image_id="mend", device="disk", bus="usb"), config_drive={"a": b""})
    assert boots_from(domain) == [str(FOLDER.rescue_disk)]
    assert targets(domain) == [("disk", "vda", "virtio"), ("cdrom", "sda", "scsi"), ("disk", "sdb", "usb")]
    assert domain.find("devices/controller[@type='usb']").get("model") == "qemu-xhci"
    cd = built(rescue=RescueDisk(image_id="mend", device="cdrom"))
    assert targets(cd)[-1] == ("cdrom", "sda", "scsi")
    assert cd.findall("devices/disk")[-1].find("readonly") is not None


@pytest.mark.parametrize(
    "rescue",
    [
        RescueDisk(image_id="mend", bus="ide"),
        RescueDisk(image_id="mend", bus="parallel"),
        RescueDisk(image_id="mend", device="cdrom", bus="virtio"),
    ],
)
def test_rescue_disks_that_cannot_be_had(rescue):
    with pytest.raises(DriverError):
        built(rescue=rescue)
