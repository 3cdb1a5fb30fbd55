"""Building the test guest's image: packages → kernel modules → trees → file systems → disk."""

import asyncio
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import disk, modules, packages, trees
from .tools import GuestBuildError, check_tools, run

USER = "cloud"
PASSWORD = "cloud"

Progress = Callable[[str], None]

_TOOLS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "xz": "xz-utils",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}


async def build_test_image(
    output: Path, cache: Path | None = None, *, progress: Progress | None = None
) -> Path:
    """Make the image as qcow2 at `output` and give its path; what stood there before is replaced whole.

    `cache` keeps the downloaded packages (35 MB), so that the next build needs no network. `progress` is
    called in this loop with a line for each stage. Takes about 15 s. Raises `GuestBuildError`, with what
    to do about it.
    """
    loop = asyncio.get_running_loop()

    def tell(line: str) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, line)

    await asyncio.to_thread(_build, output, cache, tell)
    return output


async def cached_test_image(*, progress: Progress | None = None) -> Path:
    """The image in the user's cache folder, built if it is not there yet for this version of the recipe.

    `$XDG_CACHE_HOME/aerostat`, else `~/.cache/aerostat`. Raises `GuestBuildError`.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aerostat"
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"test-guest-{_recipe()}.qcow2"
    if output.exists():
        return output
    return await build_test_image(output, folder / "packages", progress=progress)


def _recipe() -> str:
    """A short hash of everything that decides how the image comes out, packages apart."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _build(output: Path, cache: Path | None, tell: Progress) -> None:
    if platform.machine() != "x86_64":
        raise GuestBuildError(f"The test guest is made for x86_64, not for {platform.machine()}.")
    check_tools(_TOOLS)
    with tempfile.TemporaryDirectory(prefix="aerostat-guest-") as folder:
        work = Path(folder)
        debs = cache or work / "packages"
        tell("fetching Debian packages")
        debian = packages.unpack(packages.fetch(debs), work / "debian")

        tell(f"choosing drivers of kernel {debian.kernel}")
        drivers = modules.Modules(debian)

        tell("making the trees")
        words = {"LABEL": disk.ROOT_LABEL, "USER": USER, "PASSWORD": PASSWORD, "KERNEL": debian.kernel}
        initrd = trees.initrd(debian, drivers, words)
        root = trees.root(debian, drivers, words, work / "root")

        tell("making the disk")
        raw = disk.make(debian, initrd, root, words, work)
        part = output.with_name(f".{output.name}.part")
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, part)
            os.replace(part, output)
        finally:
            part.unlink(missing_ok=True)
        tell(f"{output.name}: {output.stat().st_size >> 20} MiB, kernel {debian.kernel}")
