"""Upkeep of the image room."""
