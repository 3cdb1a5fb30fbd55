"""The image room's API resources."""
