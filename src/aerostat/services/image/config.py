"""The image room's settings."""

from pathlib import Path

import msgspec


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path | None = None
    """Where images are kept, the same for all processes of the control plane; empty: in the state folder."""
    max_image_bytes: int = 1 << 40
    """A larger upload is refused with 413."""
    require_format_match: bool = True
    """Refuse an image that is not of its `disk_format`; what would open other files is refused either way."""
    max_properties: int = 128
    max_tags: int = 128
    max_members: int = 128
    upload_silence_s: float = 60.0
    """An upload whose process has not been heard of for this long is given up: the image is queued again."""
    test_image: bool = True
    """Make a small image to try the cloud with at the first start."""
