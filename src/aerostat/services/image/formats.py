"""What oslo.utils' inspectors leave open: other files that a header leads a tool to, and two formats they do not know.

Each check answers what is wrong, or None. Offsets are those of the formats' specifications and of QEMU's drivers, which
decide what would be opened: https://gitlab.com/qemu-project/qemu/-/tree/master/block
"""

import struct
import uuid
from collections.abc import Callable
from typing import Any

TAIL_BYTES = 512
SECTOR_BYTES = 512
_VHD_MAGIC = b"conectix"
_VHD_FIXED, _VHD_DYNAMIC = 2, 3
_VDI_TYPES = (1, 2)  # dynamic, static; others are differences from another disk
_VDI_LINKS = slice(424, 456)  # the UUIDs of a snapshot's and a difference's parent
_VHDX_PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_PLOOP_MAGICS = (b"WithoutFreeSpace", b"WithouFreSpacExt")
_EXTENT_ACCESS = ("rw ", "rdonly ", "noaccess ")


def _check_vmdk(inspector: Any) -> str | None:
    """The descriptor's `parentFileNameHint` is a backing file, found by QEMU anywhere in the text, comments too.

    Extents are opened by name if the header has no capacity of its own, or if there is no header at all.
    """
    if not inspector.has_region("header"):
        return "vmdk: only a descriptor, its data is in other files"
    capacity = int.from_bytes(inspector.region("header").data[12:20], "little")
    if capacity == 0:
        return "vmdk: its header has no capacity, its data is in other files"
    if 0 not in inspector.region("descriptor").data:
        return "vmdk: its descriptor has no end"  # QEMU reads on, where nobody has looked
    text: str = inspector.desc_text
    if "parentfilenamehint" in text:
        return "vmdk: it names a parent"
    if sum(line.strip().startswith(_EXTENT_ACCESS) for line in text.split("\n")) != 1:
        return "vmdk: it has more than one extent"
    return None


def _check_vdi(inspector: Any) -> str | None:
    header = bytes(inspector.region("header").data)
    (kind,) = struct.unpack_from("<I", header, 0x4C)
    if kind not in _VDI_TYPES or any(header[_VDI_LINKS]):
        return "vdi: it is a difference from another disk"
    return None


def _check_vhd(inspector: Any) -> str | None:
    (kind,) = struct.unpack_from(">I", inspector.region("header").data, 60)
    return None if kind in (_VHD_FIXED, _VHD_DYNAMIC) else "vhd: it is a difference from another disk"


def _check_vhdx(inspector: Any) -> str | None:
    if _VHDX_PARENT in bytes(inspector.region("metadata").data):
        return "vhdx: it names a parent"
    return None


CHECKS: dict[str, Callable[[Any], str | None]] = {
    "vmdk": _check_vmdk,
    "vdi": _check_vdi,
    "vhd": _check_vhd,
    "vhdx": _check_vhdx,
}


def is_fixed_vhd(tail: bytes, size: int) -> bool:
    """A VHD of fixed size is the plain disk with a footer behind it, and nothing before it."""
    if len(tail) != TAIL_BYTES or not tail.startswith(_VHD_MAGIC):
        return False
    (kind,) = struct.unpack_from(">I", tail, 60)
    return kind == _VHD_FIXED and vhd_bytes(tail) <= size - TAIL_BYTES


def vhd_bytes(footer: bytes) -> int:
    """The disk's size, as the footer (or its copy at the front) says it."""
    return int.from_bytes(footer[48:56], "big")


def ploop_bytes(head: bytes) -> int | None:
    """The disk's size, if this is the head (64 bytes) of a ploop image; None if not."""
    if len(head) < 44 or head[:16] not in _PLOOP_MAGICS:
        return None
    (sectors,) = struct.unpack_from("<Q", head, 36)
    if head.startswith(_PLOOP_MAGICS[0]):
        sectors &= 0xFFFFFFFF  # the older format has half as many bits
    return int(sectors) * SECTOR_BYTES
