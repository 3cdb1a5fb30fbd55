"""Upkeep of the image room."""

from . import cached_images, dead_uploads, old_tasks, removals

SWEEPERS = (cached_images.SWEEPER, dead_uploads.SWEEPER, old_tasks.SWEEPER, removals.SWEEPER)
