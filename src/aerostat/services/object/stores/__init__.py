"""What lies on a device: objects as files, containers and accounts as databases."""
