"""Disk images made by hand, as small as their formats allow: whole ones, and hostile ones."""

import struct
import uuid

from aerostat.services.image.trial_image import empty_qcow2

KIB, MIB = 1 << 10, 1 << 20
VIRTUAL = 8 * MIB
VMDK_TEXT = """# Disk DescriptorFile
version=1
CID=1
parentCID=ffffffff
createType="{type}"
{extents}
ddb.adapterType = "ide"
"""
EXTENT = 'RW 16384 SPARSE "disk.vmdk"'


def qcow2(*, backing: bytes = b"", version: int = 2, features: int = 0, size: int = MIB) -> bytes:
    image = bytearray(empty_qcow2(MIB))
    struct.pack_into(">Q", image, 24, size)
    if backing:
        struct.pack_into(">QI", image, 8, 512, len(backing))
        image[512 : 512 + len(backing)] = backing
    if version != 2:
        struct.pack_into(">I", image, 4, version)
        struct.pack_into(">QQQII", image, 72, features, 0, 0, 4, 104)
    return bytes(image)


def vmdk(
    *,
    type: str = "monolithicSparse",
    extents: str = EXTENT,
    capacity: int = VIRTUAL // 512,
    extra: str = "",
    grain_directory: int = 21,
    descriptor_sectors: int = 20,
    pad: bytes = b"\0",
) -> bytes:
    text = (VMDK_TEXT.format(type=type, extents=extents) + extra).encode()
    header = struct.pack(
        "<4sIIQQQQIQQQ", b"KDMV", 1, 3, capacity, 128, 1, descriptor_sectors, 512, 0, grain_directory, 128
    )
    return header.ljust(512, b"\0") + text.ljust(20 * 512, pad) + bytes(64 * KIB)


def streamed_vmdk(**footer: int) -> bytes:
    """streamOptimized: where its tables are is said in a footer."""
    at_end = 0xFFFFFFFFFFFFFFFF
    front = vmdk(type="streamOptimized", grain_directory=at_end)
    back = bytearray(vmdk(type="streamOptimized", grain_directory=21)[:512])
    for offset, value in ((28, footer.get("descriptor", 1)),):
        struct.pack_into("<Q", back, offset, value)
    marker = struct.pack("<QII496x", 1, 0, 3)
    return front + marker + bytes(back) + bytes(512)


def vdi(*, kind: int = 1, parent: bytes = bytes(16)) -> bytes:
    image = bytearray(64 * KIB)
    image[0:26] = b"<<< by no one in particular"[:26]
    struct.pack_into("<IIII", image, 0x40, 0xBEDA107F, 0x00010001, 400, kind)
    struct.pack_into("<Q", image, 0x170, VIRTUAL)
    image[440:456] = parent
    return bytes(image)


def _vhd_footer(kind: int, size: int) -> bytes:
    footer = bytearray(512)
    footer[0:8] = b"conectix"
    struct.pack_into(">QQ", footer, 40, size, size)
    struct.pack_into(">I", footer, 60, kind)
    return bytes(footer)


def vhd(*, kind: int = 3) -> bytes:
    return _vhd_footer(kind, VIRTUAL) + bytes(64 * KIB) + _vhd_footer(kind, VIRTUAL)


def fixed_vhd(*, size: int = 64 * KIB) -> bytes:
    return bytes(64 * KIB) + _vhd_footer(2, size)


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


VHDX_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
VHDX_PARENT = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"


def vhdx(*items: str, item_bytes: int = 8, regions: int = 1) -> bytes:
    """`items` beside the disk's size, by their GUIDs."""
    image = bytearray(2 * MIB)
    image[0:8] = b"vhdxfile"
    struct.pack_into("<4sIII", image, 192 * KIB, b"regi", 0, regions, 0)
    region = _guid("8b7ca206-4790-4b9a-b8fe-575f050f886e") + struct.pack("<QII", MIB, MIB, 1)
    image[192 * KIB + 16 : 192 * KIB + 16 + len(region)] = region
    entries = [(VHDX_SIZE, 64 * KIB, item_bytes), *((item, 65 * KIB, 8) for item in items)]
    struct.pack_into("<8sHH", image, MIB, b"metadata", 0, len(entries))
    for number, (guid, offset, length) in enumerate(entries):
        entry = _guid(guid) + struct.pack("<IIII", offset, length, 0, 0)
        image[MIB + 32 + 32 * number : MIB + 64 + 32 * number] = entry
    struct.pack_into("<Q", image, MIB + 64 * KIB, VIRTUAL)
    return bytes(image)


def iso(*, front: bytes = b"") -> bytes:
    image = bytearray(front.ljust(40 * KIB, b"\0"))
    image[32 * KIB : 32 * KIB + 6] = b"\x01CD001"
    struct.pack_into("<L", image, 32 * KIB + 80, 20)
    struct.pack_into("<H", image, 32 * KIB + 128, 2048)
    return bytes(image)


def gpt(*, boot_flag: int = 0) -> bytes:
    image = bytearray(64 * KIB)
    struct.pack_into("<B3BB3BII", image, 446, boot_flag, 0, 2, 0, 0xEE, 255, 255, 255, 1, 127)
    image[510:512] = b"\x55\xaa"
    return bytes(image)


def luks(version: int = 1) -> bytes:
    return struct.pack(">6sH", b"LUKS\xba\xbe", version).ljust(64 * KIB, b"\0")


def ploop(magic: bytes = b"WithouFreSpacExt") -> bytes:
    head = struct.pack("<16sIIIIIQII", magic, 2, 16, 1, 2048, 1, VIRTUAL // 512, 0, 2048)
    return head.ljust(64 * KIB, b"\0")


# What it was declared as, the bytes, the size that a guest sees.
GOOD: dict[str, tuple[str, bytes, int | None]] = {
    "qcow2": ("qcow2", qcow2(), MIB),
    "qcow2 of version 3": ("qcow2", qcow2(version=3), MIB),
    "vmdk": ("vmdk", vmdk(), VIRTUAL),
    "vmdk with a footer": ("vmdk", streamed_vmdk(), VIRTUAL),
    "vdi": ("vdi", vdi(), VIRTUAL),
    "vhd": ("vhd", vhd(), VIRTUAL),
    "vhd of fixed size": ("vhd", fixed_vhd(), 64 * KIB),
    "vhdx": ("vhdx", vhdx(), VIRTUAL),
    "iso": ("iso", iso(), 20 * 2048),
    "iso that boots from a stick": ("iso", iso(front=gpt()), 20 * 2048),
    "ploop": ("ploop", ploop(), VIRTUAL),
    "ploop, the older": ("ploop", ploop(b"WithoutFreeSpace"), VIRTUAL),
    "raw": ("raw", b"\x01" * 5000, 5000),
    "gpt as raw": ("raw", gpt(), 64 * KIB),
    "an odd boot record as raw": ("raw", gpt(boot_flag=7), 64 * KIB),
    "luks as raw": ("raw", luks(), 64 * KIB),
    "luks 2 as raw": ("raw", luks(2), 64 * KIB),
    "iso as raw": ("raw", iso(), 40 * KIB),
    "a kernel, which looks like a boot record": ("aki", gpt(), 64 * KIB),
    "ramdisk": ("ari", b"070701" * 99, 594),
    "file system": ("ami", bytes(4096), 4096),
}

HOSTILE: dict[str, tuple[str, bytes]] = {
    "backing file": ("qcow2", qcow2(backing=b"/etc/shadow")),
    "data file": ("qcow2", qcow2(version=3, features=1 << 2)),
    "feature nobody knows": ("qcow2", qcow2(version=3, features=1 << 40)),
    "qcow of version 1": ("qcow2", qcow2(version=1)),
    "larger than any disk": ("qcow2", qcow2(size=(1 << 64) - 512)),
    "not a qcow2": ("qcow2", b"#!/bin/sh\nrm -rf /\n" * 1000),
    "nothing as qcow2": ("qcow2", b""),
    "cut off": ("qcow2", qcow2()[:40]),
    "qcow2 as raw": ("raw", qcow2(backing=b"/etc/shadow")),
    "good qcow2 as raw": ("raw", qcow2()),
    "raw as vmdk": ("vmdk", bytes(70000)),
    "qcow2 as a kernel": ("aki", qcow2()),
    "qcow2 as ploop": ("ploop", qcow2(backing=b"/etc/shadow")),
    "qcow2 and iso at once, as iso": ("iso", iso(front=qcow2()[:512])),
    "qcow2 and iso at once, as qcow2": ("qcow2", iso(front=qcow2(backing=b"/etc/shadow")[:600])),
    "qed": ("raw", b"QED\0".ljust(4096, b"\0")),
    "vmdk that points elsewhere": (
        "vmdk",
        VMDK_TEXT.format(type="monolithicFlat", extents='RW 2048 FLAT "/etc/shadow" 0').encode().ljust(4096),
    ),
    "vmdk, a descriptor alone": (
        "vmdk",
        VMDK_TEXT.format(type="monolithicSparse", extents='RW 2048 SPARSE "a-neighbour"')
        .encode()
        .ljust(4096),
    ),
    "vmdk, an extent with a path": ("vmdk", vmdk(extents='RW 1 SPARSE "../x"')),
    "vmdk, two extents": ("vmdk", vmdk(extents=f'{EXTENT}\nRW 1 FLAT "other"')),
    "vmdk without capacity": ("vmdk", vmdk(capacity=0)),
    "vmdk of another type": ("vmdk", vmdk(type="twoGbMaxExtentSparse")),
    "vmdk with a parent": ("vmdk", vmdk(extra='parentFileNameHint="/etc/shadow"\n')),
    "vmdk with a parent in a comment": ("vmdk", vmdk(extra='# x\rparentFileNameHint="/etc/shadow"\n')),
    "vmdk without an end": (
        "vmdk",
        vmdk(descriptor_sectors=1, pad=b"\n"),
    ),
    "vmdk, footer and header differ": ("vmdk", streamed_vmdk(descriptor=2)),
    "vmdk larger than any disk": ("vmdk", vmdk(capacity=(1 << 64) - 1)),
    "vdi, a difference": ("vdi", vdi(kind=4)),
    "vdi with a parent": ("vdi", vdi(parent=b"p" * 16)),
    "vdi that is none": ("vdi", b"x" * 4096),
    "vhd, a difference": ("vhd", vhd(kind=4)),
    "vhd, a footer that promises more": ("vhd", fixed_vhd(size=128 * KIB)),
    "vhdx that is none": ("vhdx", b"vhdxfile" + bytes(65536)),
    "vhdx with a parent": ("vhdx", vhdx(VHDX_PARENT)),
    "vhdx whose size is no number": ("vhdx", vhdx(item_bytes=3)),
    "vhdx with too many regions": ("vhdx", vhdx(regions=1 << 31)),
    "iso that is none": ("iso", bytes(65536)),
    "raw as ploop": ("ploop", bytes(4096)),
}
