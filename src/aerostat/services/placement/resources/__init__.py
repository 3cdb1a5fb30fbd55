"""Placement's API resources."""
