"""Where image bytes are kept: `file`."""

from aerostat.kernel.config import Config

from ..config import ImageConfig
from .file.store import FileStore
from .protocol import ImageStore


def open_driver(config: Config) -> ImageStore:
    """The driver that the settings name. Raises `ValueError` for one that is not there."""
    name = config.driver("image", "file")
    if name == "file":
        return FileStore(config.section(ImageConfig).folder or config.folder.images)
    raise ValueError(f"there is no image driver {name}; there is file")
