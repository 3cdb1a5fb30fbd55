"""Upkeep of the image room."""

from . import dead_uploads, old_tasks, removals

SWEEPERS = (dead_uploads.SWEEPER, old_tasks.SWEEPER, removals.SWEEPER)
