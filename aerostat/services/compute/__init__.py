"""Compute: servers and what they need."""
