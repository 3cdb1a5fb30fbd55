"""Upkeep of the image room."""

from . import dead_uploads, removals

SWEEPERS = (dead_uploads.SWEEPER, removals.SWEEPER)
