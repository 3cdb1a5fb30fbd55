"""Upkeep of identity."""

from . import old_revocations

SWEEPERS = (old_revocations.SWEEPER,)
