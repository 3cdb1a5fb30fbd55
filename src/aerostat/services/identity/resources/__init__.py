"""Identity's API resources, one file each."""
