"""Upkeep of the image room."""

from . import dead_uploads

SWEEPERS = (dead_uploads.SWEEPER,)
