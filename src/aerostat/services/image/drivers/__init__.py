"""Where image bytes are kept. One name, one driver."""

from pathlib import Path

from .file.store import FileStore
from .protocol import ImageStore


def open_image_store(name: str, folder: Path) -> ImageStore:
    """The store that the settings name. Raises `ValueError` for one that is not there."""
    if name == "file":
        return FileStore(folder)
    raise ValueError(f"there is no image store called {name}; known: file")
