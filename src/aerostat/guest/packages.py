"""The Debian packages that the guest is made of: downloaded, unpacked, never installed."""

import re
from dataclasses import dataclass
from pathlib import Path

from .tools import GuestBuildError, run

NAMES = (
    *("busybox", "busybox-static", "libc6", "libcrypt1", "zlib1g"),
    *("dropbear-bin", "libtomcrypt1", "libtommath1", "libgmp10"),
    *("qemu-guest-agent", "libglib2.0-0", "libpcre2-8-0", "libudev1", "liburing2", "libnuma1"),
    *("syslinux", "syslinux-common", "mtools"),
)
# Debian 13 renamed it for 64-bit time; whichever the machine knows is taken.
OTHER_NAMES = {"libglib2.0-0": "libglib2.0-0t64"}
_KERNEL = "linux-image-cloud-amd64"
_ARCH = "x86_64-linux-gnu"


@dataclass(frozen=True)
class Debian:
    """Unpacked packages. `dynamic` holds the busybox that wants shared libraries, `tree` all the rest."""

    tree: Path
    dynamic: Path

    def find(self, *names: str, within: Path | None = None) -> Path:
        """The first of `names` that exists; Debian moves things below /usr from time to time."""
        within = within or self.tree
        for name in names:
            for path in sorted(within.glob(name)):
                return path
        raise GuestBuildError(f"The Debian packages hold none of: {', '.join(names)}")

    @property
    def modules(self) -> Path:
        return self.find("lib/modules/*", "usr/lib/modules/*")

    @property
    def kernel(self) -> str:
        """The kernel's release, as `uname -r` says it."""
        return self.modules.name

    @property
    def loader(self) -> Path:
        return self.find("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2")

    @property
    def static_busybox(self) -> Path:
        return self.find("bin/busybox", "usr/bin/busybox")

    @property
    def busybox(self) -> Path:
        return self.find("bin/busybox", "usr/bin/busybox", within=self.dynamic)

    @property
    def loading(self) -> tuple[str | Path, ...]:
        """What to put before a program of the tree to run it on this machine, with its own libraries."""
        libraries = f"{self.tree}/lib/{_ARCH}:{self.tree}/usr/lib/{_ARCH}"
        return (self.loader, "--library-path", libraries)

    def libraries(self, program: Path) -> list[Path]:
        """The shared libraries that a program of the tree wants."""
        said = run(*self.loading, "--list", program)
        found = [Path(path) for path in re.findall(r"=> (\S+) \(", said)]
        if strangers := [path for path in found if self.tree not in path.parents]:
            raise GuestBuildError(f"{program.name} wants {strangers[0]}, which is in none of the packages")
        return found


def fetch(folder: Path) -> list[Path]:
    """Download what is not in `folder` yet; gives all package files."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [_kernel_name(folder), *(_known_name(folder, name) for name in NAMES)]
    missing = [name for name in wanted if _in(folder, name) is None]
    if missing:
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *missing, cwd=folder)
    return [path for name in wanted if (path := _in(folder, name)) is not None]


def unpack(files: list[Path], folder: Path) -> Debian:
    """Unpack the packages below `folder`."""
    debian = Debian(tree=folder / "tree", dynamic=folder / "dynamic")
    for file in files:
        # both busybox packages have the same file
        target = debian.dynamic if file.name.startswith("busybox_") else debian.tree
        target.mkdir(parents=True, exist_ok=True)
        run("dpkg-deb", "-x", file, target)
    return debian


def _in(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{name}_*.deb"))), None)


def _kernel_name(folder: Path) -> str:
    """The package with the current kernel, which has its release in its name."""
    cached = next(iter(sorted(folder.glob("linux-image-*-cloud-amd64_*.deb"))), None)
    if cached is not None:
        return cached.name.split("_")[0]
    said = run("apt-cache", "depends", _KERNEL)
    found = re.search(r"Depends: (linux-image-\d\S*)", said)
    if found is None:
        raise GuestBuildError(f"apt knows no {_KERNEL}: run `apt-get update` first")
    return found.group(1)


def _known_name(folder: Path, name: str) -> str:
    other = OTHER_NAMES.get(name)
    if other is None or _in(folder, name):
        return name
    if _in(folder, other):
        return other
    return (
        name if f"Package: {name}\n" in run("apt-cache", "show", "--no-all-versions", name, other) else other
    )
