"""Image bytes as files."""
