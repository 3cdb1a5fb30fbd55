"""The test guest's image for tests that boot it: built once, and again when its sources have changed."""

import os
import shutil
from pathlib import Path

import aerostat.guest
from aerostat.guest import build_test_image

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "aerostat" / "guest"


async def guest_image() -> Path:
    """The path of a current image."""
    image = CACHE / "test-guest.qcow2"
    sources = Path(aerostat.guest.__file__).parent.rglob("*")
    newest = max(path.stat().st_mtime for path in sources if "__pycache__" not in path.parts)
    if not image.exists() or image.stat().st_mtime < newest:
        await build_test_image(image, CACHE / "packages")
    return image


def why_no_guest() -> str:
    """What is missing to build the image; empty if nothing is."""
    missing = [tool for tool in ("apt-get", "dpkg-deb", "depmod", "mke2fs") if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}" if missing else ""
