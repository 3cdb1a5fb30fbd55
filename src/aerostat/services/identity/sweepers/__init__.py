"""Upkeep of identity."""
