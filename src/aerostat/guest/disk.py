"""The guest's disk: a partition table, a FAT with boot loader and kernel, an ext4 with everything else.

All made as files: mtools and syslinux (from the downloaded packages) and mke2fs write into them, so that
neither mounts nor loop devices are needed.
"""

import os
import shutil
import struct
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from .packages import Debian
from .tools import run
from .trees import fill_in

ROOT_LABEL = "testroot"
BOOT_MIB = 24
ROOT_MIB = 72
_MIB = 1 << 20
_SECTOR = 512
_BOOT_START = _MIB
_ROOT_START = _BOOT_START + BOOT_MIB * _MIB
_DISK_BYTES = _ROOT_START + (ROOT_MIB + 1) * _MIB
_FAT16, _LINUX, _BOOTABLE = 0x0E, 0x83, 0x80


def make(debian: Debian, initrd: bytes, root: Path, words: Mapping[str, str], work: Path) -> Path:
    """The whole disk as a raw file below `work`."""
    boot = _boot_partition(debian, initrd, words, work)
    system = _root_partition(root, work)
    loader = debian.find("usr/lib/syslinux/mbr/mbr.bin", "usr/lib/SYSLINUX/mbr.bin").read_bytes()
    path = work / "disk.raw"
    with path.open("wb") as disk:
        disk.write(_boot_record(loader))
        for start, partition in ((_BOOT_START, boot), (_ROOT_START, system)):
            disk.seek(start)
            with partition.open("rb") as content:
                shutil.copyfileobj(content, disk, 1 << 20)
        disk.truncate(_DISK_BYTES)
    return path


def _boot_partition(debian: Debian, initrd: bytes, words: Mapping[str, str], work: Path) -> Path:
    path = work / "boot.fat"
    with path.open("wb") as partition:
        partition.truncate(BOOT_MIB * _MIB)
    kernel, ramdisk, config = work / "vmlinuz", work / "initrd.gz", work / "syslinux.cfg"
    shutil.copyfile(debian.find("boot/vmlinuz-*"), kernel)
    ramdisk.write_bytes(initrd)
    config.write_bytes(fill_in(files(__package__) / "files/boot/syslinux.cfg", words))

    tools = _tools(debian, work / "bin")
    env = {"PATH": f"{tools}:{os.environ.get('PATH', os.defpath)}", "MTOOLS_SKIP_CHECK": "1"}
    sectors, hidden = BOOT_MIB * _MIB // _SECTOR, _BOOT_START // _SECTOR
    geometry = ("-T", str(sectors), "-h", "16", "-s", "63", "-H", str(hidden))
    run(tools / "mformat", "-i", path, *geometry, "-v", "BOOT", "::", env=env)
    run(tools / "mcopy", "-i", path, kernel, ramdisk, config, "::", env=env)
    run(tools / "syslinux", "--install", path, env=env)
    return path


def _tools(debian: Debian, folder: Path) -> Path:
    """Programs of the tree as commands; syslinux calls mtools by their names."""
    folder.mkdir()
    names = {
        "mformat": "mtools",
        "mcopy": "mtools",
        "mattrib": "mtools",
        "mmove": "mtools",
        "syslinux": "syslinux",
    }
    before = " ".join(f'"{word}"' for word in debian.loading)
    for name, program in names.items():
        command = folder / name
        command.write_text(
            f'#!/bin/sh\nexec {before} --argv0 {name} "{debian.tree}/usr/bin/{program}" "$@"\n'
        )
        command.chmod(0o755)
    return folder


def _root_partition(root: Path, work: Path) -> Path:
    path = work / "rootfs.ext4"
    options = ("-t", "ext4", "-L", ROOT_LABEL, "-m", "0", "-b", "1024", "-E", "root_owner=0:0")
    run("mke2fs", "-q", "-F", *options, "-d", root, path, f"{ROOT_MIB}M")
    if os.geteuid() != 0:
        # the files belong to whoever builds: make them root's, inside the file system
        inside = ["/" + str(file.relative_to(root)) for file in sorted(root.rglob("*"))]
        lines = [f"set_inode_field {name} {field} 0\n" for name in inside for field in ("uid", "gid")]
        run("debugfs", "-w", "-f", "-", path, input_="".join(lines))
    return path


def _boot_record(loader: bytes) -> bytes:
    """The first sector: boot code and partition table, by sector numbers only."""
    table = _entry(_BOOTABLE, _FAT16, _BOOT_START, BOOT_MIB) + _entry(0, _LINUX, _ROOT_START, ROOT_MIB)
    return loader[:440].ljust(446, b"\0") + table.ljust(64, b"\0") + b"\x55\xaa"


def _entry(flag: int, kind: int, start_bytes: int, size_mib: int) -> bytes:
    beyond = b"\xfe\xff\xff"  # "not in cylinders and heads"
    sectors = struct.pack("<II", start_bytes // _SECTOR, size_mib * _MIB // _SECTOR)
    return bytes([flag]) + beyond + bytes([kind]) + beyond + sectors
