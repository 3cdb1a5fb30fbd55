"""Where image bytes are kept: `file`, `object`; and whence they may be read: `web`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .protocol import ImageStore

if TYPE_CHECKING:
    from ..config import StoreSettings


def open_driver(settings: "StoreSettings", folder: Path, objects: Callable[[str], Any]) -> ImageStore:
    """The driver of one store. `objects(project)` is a client of the object store, in an account of that project."""
    if settings.type == "object":
        from .object.store import ObjectStore

        return ObjectStore(
            lambda: objects(settings.project_id), settings.container, settings.segment_mib << 20
        )
    from .file.store import FileStore

    return FileStore(settings.folder or folder)
