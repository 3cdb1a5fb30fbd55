"""The image room's settings. [](../../../docs/howto/image-settings.md) tells of each."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from aerostat.kernel.config import Config

from .drivers.web.settings import WebSettings

Method = Literal["glance-direct", "web-download", "copy-image", "glance-download"]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[image.stores.NAME]`: one place where image bytes are kept."""

    type: Literal["file", "object", "http"] = "file"
    description: str = ""
    weight: int = 0
    """Of several copies the one in the store with the largest weight is read first."""
    folder: Path | None = None
    """file: empty for the room's own folder if the store is called `file`, else for `stores/NAME` below it."""
    container: str = "images"
    """object: where images are kept; what they are made of is in another, `…_segments`."""
    project_id: str = "image"
    """object: whose account holds them. As it is, that is an account of the cloud's own, which no user sees."""
    segment_mib: Positive = 200
    """object: larger images are kept in pieces of this size."""


FILE, OBJECT = (
    StoreSettings(description="Files"),
    StoreSettings(type="object", description="The object store"),
)


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path | None = None
    """Where images are kept, the same for all processes of the control plane; empty: in the state folder."""
    stores: dict[str, StoreSettings] = {}
    """By name; empty: `file`, and `object` where the cloud has an object store."""
    default_store: str = ""
    """Where an upload goes that names no store; empty: the first."""
    max_image_bytes: int = 1 << 40
    """A larger upload is refused with 413."""
    require_format_match: bool = True
    """Refuse an image that is not of its `disk_format`; what would open other files is refused either way."""
    max_properties: int = 128
    max_tags: int = 128
    max_members: int = 128
    max_locations: int = 10
    upload_silence_s: float = 60.0
    """An upload whose process has not been heard of for this long is given up: the image is queued again."""
    delete_delay_s: float = 0.0
    """How long the bytes of a deleted image are kept."""
    output_format: Literal["", "qcow2", "raw", "vmdk"] = ""
    """What disks become that are imported; empty: they stay as they are. CDs, kernels and ramdisks always do."""
    import_methods: tuple[Method, ...] = ("glance-direct", "web-download", "copy-image", "glance-download")
    web: WebSettings = WebSettings()
    task_life_s: float = 48 * 3600.0
    """How long a task that has ended is still shown."""
    show_locations: bool = False
    """Show where the bytes of images are, and let those who may set them by `PATCH …/locations`."""
    show_direct_url: bool = False
    hash_locations: bool = True
    """Read what is behind a location that a client adds, to know its checksums."""
    cache_mib: int = 10 << 10
    """Local copies of images in stores elsewhere take at most this much room; 0: none are made."""
    property_protection_file: Path | None = None
    """Who may do what with which properties, in upstream's format; it is read again when it changes."""
    property_protection_rule_format: Literal["roles", "policies"] = "roles"
    test_image: bool = True
    """Make a small image to try the cloud with at the first start."""


def folder_of(config: Config) -> Path:
    return config.section(ImageConfig).folder or config.folder.images
