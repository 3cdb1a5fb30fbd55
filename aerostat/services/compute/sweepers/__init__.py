"""Periodic upkeep of the compute room."""

SWEEPERS = ()
