"""Image bytes as objects of the cloud's object store."""
