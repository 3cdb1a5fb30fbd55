"""The config drive: a CD with the metadata, for guests that ask no network.

ISO 9660 with Rock Ridge (Linux) and Joliet (Windows) names and the volume label that guests look for.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath

import pycdlib

LABEL = "config-2"


def build_config_drive(files: Mapping[str, bytes], output: Path) -> None:
    """Write `files` (relative path → content) as an image to `output`."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident=LABEL, rock_ridge="1.09", joliet=3)
    plain = {PurePosixPath("/"): PurePosixPath("/")}  # our path → its ISO 9660 path, which allows few letters
    for number, (name, content) in enumerate(sorted(files.items())):
        path = PurePosixPath("/") / name
        for folder in reversed(path.parents):
            if folder not in plain:
                plain[folder] = plain[folder.parent] / f"D{len(plain):07d}"
                iso.add_directory(str(plain[folder]), rr_name=folder.name, joliet_path=str(folder))
        iso.add_fp(
            BytesIO(content),
            len(content),
            f"{plain[path.parent] / f'F{number:07d}'}.;1",
            rr_name=path.name,
            joliet_path=str(path),
        )
    try:
        iso.write(str(output))
    finally:
        iso.close()
