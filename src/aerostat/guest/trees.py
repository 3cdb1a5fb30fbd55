"""The guest's files: the small tree in memory that finds the root file system, and that file system's own.

What we wrote ourselves is below `files/`; `@WORDS@` in it are filled in.
"""

import gzip
import shutil
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from .modules import Module, Modules
from .packages import Debian
from .tools import run

INITRD_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
ROOT_MODULES = (
    *("virtio_net", "virtio-rng", "virtio_console", "virtio_balloon", "button", "evdev"),
    *("sr_mod", "ata_piix", "isofs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1"),
)
FOLDERS = (
    *("bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "run", "mnt", "root/.ssh"),
    *(
        "etc/dropbear",
        "var/log",
        "var/lib/cloud",
        "var/empty",
        "lib/x86_64-linux-gnu",
        "lib64",
        "lib/modules",
    ),
)
PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/sbin/qemu-ga")
# Applets that would get in the way of what they are named after, or are of no use in a guest.
NO_LINKS = {"busybox", "dpkg", "dpkg-deb", "rpm", "rpm2cpio"}
IN_SBIN = {
    *(
        "init",
        "getty",
        "poweroff",
        "reboot",
        "halt",
        "ifconfig",
        "route",
        "udhcpc",
        "syslogd",
        "klogd",
        "acpid",
    ),
    "switch_root",
}


def initrd(debian: Debian, modules: Modules, words: Mapping[str, str]) -> bytes:
    """The initial RAM disk, compressed."""
    archive = CpioArchive()
    for folder in ("bin", "dev", "proc", "sys", "newroot", "lib", "lib/modules"):
        archive.add_folder(folder)
    archive.add_file("bin/busybox", debian.static_busybox.read_bytes(), 0o755)
    load = modules.load_order(*INITRD_MODULES)
    for module in load:
        archive.add_file(f"lib/modules/{module.name}", module.content)
    archive.add_file("lib/modules/order", _order(load))
    archive.add_file("init", fill_in(files(__package__) / "files/initrd/init", words), 0o755)
    return gzip.compress(archive.finish(), compresslevel=9, mtime=0)


def root(debian: Debian, modules: Modules, words: Mapping[str, str], root: Path) -> Path:
    """The root file system's tree, made at `root`."""
    home = f"home/{words['USER']}/.ssh"
    for folder in (*FOLDERS, home):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for private in ("root", "root/.ssh", home):
        (root / private).chmod(0o700)

    _add_own_files(files(__package__) / "files/root", root, {**words, "HASH": _password_hash(debian, words)})
    (root / "etc/shadow").chmod(0o600)
    (root / "etc/mtab").symlink_to("../proc/mounts")
    _add_programs(debian, root)
    load = modules.load_order(*ROOT_MODULES)
    for module in load:
        (root / "lib/modules" / module.name).write_bytes(module.content)
    (root / "lib/modules/order").write_bytes(_order(load))
    return root


def fill_in(file: Traversable, words: Mapping[str, str]) -> bytes:
    """One of our own files, with its words."""
    text = file.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text.encode()


def _add_own_files(source: Traversable, target: Path, words: Mapping[str, str]) -> None:
    for entry in source.iterdir():
        path = target / entry.name
        if entry.is_dir():
            path.mkdir(exist_ok=True)
            _add_own_files(entry, path, words)
        else:
            content = fill_in(entry, words)
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"#!") else 0o644)


def _add_programs(debian: Debian, root: Path) -> None:
    """Two busyboxes: the one with shared libraries first, since looking up names in glibc wants them, the
    static one for the few commands that only it has."""
    for name, busybox in (("busybox", debian.busybox), ("busybox-static", debian.static_busybox)):
        shutil.copyfile(busybox, root / "bin" / name)
        (root / "bin" / name).chmod(0o755)
        before = debian.loading if busybox == debian.busybox else ()
        for applet in run(*before, busybox, "--list").split():
            link = root / ("sbin" if applet in IN_SBIN else "bin") / applet
            if applet not in NO_LINKS and not _is_there(root, applet):
                link.symlink_to(f"/bin/{name}")
    programs = [debian.busybox]
    for program in PROGRAMS:
        shutil.copyfile(debian.tree / program, root / program)
        (root / program).chmod(0o755)
        programs.append(debian.tree / program)
    for library in {library for program in programs for library in debian.libraries(program)}:
        shutil.copyfile(library, root / "lib/x86_64-linux-gnu" / library.name)
    loader = root / "lib64" / debian.loader.name
    shutil.copyfile(debian.loader, loader)
    loader.chmod(0o755)


def _is_there(root: Path, name: str) -> bool:
    """Whether the tree has a command of this name: our own come before any applet's."""
    return any(
        (root / folder / name).exists() or (root / folder / name).is_symlink() for folder in ("bin", "sbin")
    )


def _password_hash(debian: Debian, words: Mapping[str, str]) -> str:
    salt = "aerostattest"
    return run(debian.static_busybox, "mkpasswd", "-m", "sha512", "-S", salt, words["PASSWORD"]).strip()


def _order(modules: list[Module]) -> bytes:
    return "".join(f"{module.name}\n" for module in modules).encode()


class CpioArchive:
    """A cpio archive in the `newc` form, the one that kernels unpack; everything in it belongs to root."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def add_folder(self, name: str) -> None:
        self._add(name, 0o040755, b"")

    def add_file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._add(name, 0o100000 | mode, content)

    def finish(self) -> bytes:
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, name: str, mode: int, content: bytes) -> None:
        self._count += 1
        encoded = name.encode() + b"\0"
        # inode, mode, uid, gid, links, time, size, device, device of a node, name's length, checksum
        fields = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._parts += [_padded(header + encoded), _padded(content)]


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
